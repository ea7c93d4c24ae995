//! Where a kernel file keeps its log ring.
//!
//! Distribution kernels carry no symbols, but the ring is initialised statically
//! (`_DEFINE_PRINTKRB`), and the initial values of its ids and positions are so odd that they are
//! found nowhere else: with `2^b` descriptors, head and tail id are both `-(2^b + 1)`, cut to 32
//! bits up to 6.11 and to 62 bits since, and head and tail position are both minus the size of the
//! text ring.

use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

/// Where the log ring lies, in the kernel's own virtual addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// `printk_rb_static`, the ring that is used from the first message on.
    pub ring: u64,
    /// Places that hold the address of `printk_rb_static`; one of them is `prb`, which a kernel with
    /// many CPUs points to a larger ring.
    pub pointers: Vec<u64>,
    /// Whether the descriptor ring has `last_finalized_id` (6.1) or `last_finalized_seq` (6.8).
    pub has_last_finalized: bool,
}

/// Why no log ring was found.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// the file cannot be read
    #[error("the kernel file cannot be read")]
    Read(#[from] io::Error),
    /// no ELF file
    #[error("the kernel file is no ELF file")]
    NotElf,
    /// no ring in it
    #[error(
        "the kernel file holds no log ring of a known form: the log of this kernel cannot be read from outside"
    )]
    NotFound,
}

/// Ids have 62 bits, the upper two are a descriptor's state (`DESC_ID_MASK`).
pub(super) const ID_MASK: u64 = (1 << 62) - 1;

/// A kernel's data is a few MiB; what claims more is not read.
const MAX_DATA: u64 = 256 << 20;

/// Places that may hold `prb`, at most.
const MAX_POINTERS: usize = 8;

impl Anchor {
    /// Finds the log ring in an ELF kernel.
    ///
    /// # Errors
    ///
    /// [`AnchorError`] where the file is none, or has no ring of a known form.
    pub fn find<F: Read + Seek>(file: &mut F) -> Result<Self, AnchorError> {
        for segment in writable_segments(file)? {
            file.seek(SeekFrom::Start(segment.offset))?;
            let mut data = Vec::new();
            file.take(segment.size.min(MAX_DATA)).read_to_end(&mut data)?;
            if let Some(anchor) = Self::find_in(&data, segment.address) {
                return Ok(anchor);
            }
        }
        Err(AnchorError::NotFound)
    }

    /// Finds the log ring in data that belongs at the virtual address `address`.
    fn find_in(data: &[u8], address: u64) -> Option<Self> {
        let words: Vec<u64> = data
            .chunks_exact(8)
            .map(|word| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
            .collect();
        let found = words.windows(10).position(|words| is_ring(words).is_some())?;
        let has_last_finalized = is_ring(words.get(found..found + 10)?)?;
        let ring = address.checked_add(found as u64 * 8)?;
        let pointers = words
            .iter()
            .enumerate()
            .filter(|(_, word)| **word == ring)
            .map(|(index, _)| address.saturating_add(index as u64 * 8))
            .take(MAX_POINTERS)
            .collect();
        Some(Self { ring, pointers, has_last_finalized })
    }
}

/// Whether ten words are a `struct printk_ringbuffer` as it is initialised, and if so whether it has
/// `last_finalized_seq`.
fn is_ring(words: &[u64]) -> Option<bool> {
    let &[count_bits, descriptors, infos, head_id, tail_id, a, b, c, d, e] = words else {
        return None;
    };
    // The test that nearly nothing passes stands first: this runs over megabytes.
    if head_id != tail_id || !(4..=24).contains(&count_bits) {
        return None;
    }
    let first_id = ((1_u64 << count_bits) + 1).wrapping_neg();
    let kernel = |pointer: u64| pointer >= 0xffff_ffff_8000_0000;
    if ![first_id & ID_MASK, first_id & 0xffff_ffff].contains(&head_id)
        || !kernel(descriptors)
        || !kernel(infos)
    {
        return None;
    }
    let text_ring = |size_bits: u64, data: u64, head: u64, tail: u64| {
        (8..=30).contains(&size_bits)
            && kernel(data)
            && head == (1_u64 << size_bits).wrapping_neg()
            && tail == head
    };
    if text_ring(a, b, c, d) {
        Some(false)
    } else if (a == 0 || a == head_id) && text_ring(b, c, d, e) {
        Some(true)
    } else {
        None
    }
}

struct DataSegment {
    offset: u64,
    size: u64,
    address: u64,
}

/// The writable segments of an ELF file, without those that the file holds nothing of.
fn writable_segments<F: Read + Seek>(file: &mut F) -> Result<Vec<DataSegment>, AnchorError> {
    const PT_LOAD: u64 = 1;
    const WRITABLE: u64 = 2;
    const MAX_HEADERS: u64 = 64;
    let header: [u8; 64] = read_at(file, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(AnchorError::NotElf);
    }
    let (table, count) = (field::<8>(&header, 32), field::<2>(&header, 56).min(MAX_HEADERS));
    let mut segments = Vec::new();
    for index in 0..count {
        let at = table.checked_add(index * 56).ok_or(AnchorError::NotElf)?;
        let header: [u8; 56] = read_at(file, at)?;
        let size = field::<8>(&header, 32);
        if field::<4>(&header, 0) == PT_LOAD && field::<4>(&header, 4) & WRITABLE != 0 && size > 0 {
            segments.push(DataSegment {
                offset: field::<8>(&header, 8),
                size,
                address: field::<8>(&header, 16),
            });
        }
    }
    Ok(segments)
}

fn read_at<const N: usize, F: Read + Seek>(file: &mut F, at: u64) -> Result<[u8; N], AnchorError> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes).map_err(|_| AnchorError::NotElf)?;
    Ok(bytes)
}

pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at.saturating_add(N)).unwrap_or_default();
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: u64 = ((1_u64 << 12) + 1).wrapping_neg() & ID_MASK;
    const SHORT: u64 = LONG & 0xffff_ffff;

    /// A ring as the kernel file has it, with this word behind the ids where there is one.
    fn initial_ring(id: u64, last_finalized: Option<u64>) -> Vec<u64> {
        let mut ring = vec![12, 0xffff_ffff_8200_0000, 0xffff_ffff_8210_0000, id, id];
        ring.extend(last_finalized);
        let position = (1_u64 << 17).wrapping_neg();
        ring.extend([17, 0xffff_ffff_8220_0000, position, position, 0, 0]);
        ring
    }

    #[test]
    fn finds_the_ring_of_every_form_and_who_points_to_it() {
        // 5.10, 6.1, 6.12, and what comes after it.
        for (id, last_finalized) in
            [(SHORT, None), (SHORT, Some(SHORT)), (SHORT, Some(0)), (LONG, Some(0))]
        {
            let mut words = vec![u64::MAX; 100];
            words.extend(initial_ring(id, last_finalized));
            words.push(0xffff_ffff_8123_0000 + 100 * 8);
            let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let anchor = Anchor::find_in(&data, 0xffff_ffff_8123_0000).unwrap();
            assert_eq!(anchor.ring, 0xffff_ffff_8123_0000 + 800);
            assert_eq!(anchor.has_last_finalized, last_finalized.is_some());
            assert_eq!(anchor.pointers, [0xffff_ffff_8123_0000 + (words.len() as u64 - 1) * 8]);
        }
    }

    #[test]
    fn a_ring_that_is_off_by_one_is_none() {
        for spoilt in 0..9 {
            let mut words = initial_ring(LONG, None);
            words[spoilt] = words[spoilt].wrapping_add(1) & 0xffff_ffff;
            let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(Anchor::find_in(&data, 0), None, "word {spoilt}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(mut bytes: Vec<u8>, elf: bool) {
            if elf {
                bytes.splice(..0, b"\x7fELF\x02\x01".iter().copied());
            }
            let _ = Anchor::find(&mut io::Cursor::new(bytes));
        }
    }
}
