//! Walking the log ring of a kernel that may be running, dead or hostile.

use super::anchor::{Anchor, ID_MASK, field};
use super::{ReadMemory, Record};
use crate::units::PhysAddr;

/// Virtual address of the kernel image (`__START_KERNEL_map`, arch/x86/include/asm/page_64_types.h).
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// Virtual address of the direct map with four-level page tables and no KASLR
/// (`__PAGE_OFFSET_BASE_L4`). A partition's kernel is entered behind the code that would choose
/// another.
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;

/// `struct prb_desc`: state and id, begin and next of its text.
const DESCRIPTOR: u64 = 24;

/// `struct printk_info`, by what kernels have made of it: with the fields of 5.10 to 7.2, and with
/// room for more.
const INFO_SIZES: [u64; 4] = [88, 96, 104, 112];

/// Records that one call returns at most.
const MAX_RECORDS: usize = 8192;

/// Bytes of text that one call returns at most. The texts of a true ring do not overlap; a hostile
/// one's may, and 1 MiB of its memory would become 512 MiB of ours.
const MAX_TEXT: usize = 2 << 20;

/// Descriptors that one call looks at, at most twice: a ring may claim 16 million of them, and be read
/// ten times a second. A true ring has hardly any without a record.
const MAX_LOOKS: usize = 1 << 16;

/// Records by which the form of a ring is recognised.
const SAMPLE: usize = 17;

/// The log of one partition's kernel.
#[derive(Clone, Debug)]
pub struct KernelLog {
    anchor: Anchor,
    /// From where the kernel is linked to where it was loaded, wrapping.
    offset: u64,
}

/// Why a log cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// the kernel has written over it
    #[error("the partition's kernel log is damaged ({0})")]
    Damaged(&'static str),
    /// records whose numbers do not follow each other, whatever size is assumed
    #[error("the records of this kernel's log have an unknown form")]
    UnknownForm,
}

/// A ring as it is right now.
struct Ring {
    count: u64,
    descriptors: PhysAddr,
    infos: PhysAddr,
    head: u64,
    tail: u64,
    text_size: u64,
    text: PhysAddr,
}

struct Descriptor {
    id: u64,
    begin: u64,
    next: u64,
}

impl KernelLog {
    /// The log of a kernel linked at `linked_at` and loaded at `loaded_at`.
    pub fn new(anchor: Anchor, linked_at: PhysAddr, loaded_at: PhysAddr) -> Self {
        Self { anchor, offset: loaded_at.0.wrapping_sub(linked_at.0) }
    }

    /// The records that are there from number `from` on, oldest first, at most 8,192 and 2 MiB of
    /// text. A record that is being written is left for the next call.
    ///
    /// # Errors
    ///
    /// [`LogError`] where the ring in memory is not one.
    pub fn read(&self, memory: &dyn ReadMemory, from: u64) -> Result<Vec<Record>, LogError> {
        let ring = self.ring(memory)?;
        let readable = |start: u64| {
            let ids = ring.ids(start).take(MAX_LOOKS);
            ids.filter_map(|id| ring.descriptor(memory, id))
        };
        let sample: Vec<Descriptor> = readable(0).take(SAMPLE).collect();
        let Some(info_size) = ring.info_size(memory, &sample) else {
            return if sample.is_empty() { Ok(Vec::new()) } else { Err(LogError::UnknownForm) };
        };
        // Numbers follow each other as ids do: what is known already need not be looked at.
        let known = sample.first().and_then(|first| {
            let oldest = ring.number(memory, first.id, info_size)?;
            let before = first.id.wrapping_sub(ring.tail) & ID_MASK;
            before.checked_add(from.saturating_sub(oldest))
        });
        let mut room = MAX_TEXT;
        Ok(readable(known.unwrap_or(0))
            .filter_map(|descriptor| ring.record(memory, &descriptor, info_size, from))
            .map_while(|record| {
                room = room.checked_sub(record.text.len())?;
                Some(record)
            })
            .take(MAX_RECORDS)
            .collect())
    }

    fn ring(&self, memory: &dyn ReadMemory) -> Result<Ring, LogError> {
        let fixed = self.ring_at(memory, self.anchor.ring)?;
        // A kernel with many CPUs moves to a larger ring early in boot.
        let moved = self.anchor.pointers.iter().find_map(|pointer| {
            let target = u64_at(memory, self.physical(*pointer)?)?;
            (target != self.anchor.ring)
                .then(|| self.ring_at(memory, target).ok())
                .flatten()
                .filter(|ring| ring.count > fixed.count || ring.text_size > fixed.text_size)
        });
        Ok(moved.unwrap_or(fixed))
    }

    fn ring_at(&self, memory: &dyn ReadMemory, address: u64) -> Result<Ring, LogError> {
        let mut bytes = [0; 80];
        let at = self.physical(address).ok_or(LogError::Damaged("its address"))?;
        if !memory.read(at, &mut bytes) {
            return Err(LogError::Damaged("its address"));
        }
        let text_at = if self.anchor.has_last_finalized { 48 } else { 40 };
        let (count_bits, size_bits) = (field::<4>(&bytes, 0), field::<4>(&bytes, text_at));
        if !(4..=24).contains(&count_bits) || !(8..=30).contains(&size_bits) {
            return Err(LogError::Damaged("its size"));
        }
        let pointer =
            |at| self.physical(field::<8>(&bytes, at)).ok_or(LogError::Damaged("a pointer in it"));
        Ok(Ring {
            count: 1 << count_bits,
            descriptors: pointer(8)?,
            infos: pointer(16)?,
            head: field::<8>(&bytes, 24) & ID_MASK,
            tail: field::<8>(&bytes, 32) & ID_MASK,
            text_size: 1 << size_bits,
            text: pointer(text_at + 8)?,
        })
    }

    fn physical(&self, address: u64) -> Option<PhysAddr> {
        if address >= KERNEL_MAP {
            Some(PhysAddr((address - KERNEL_MAP).wrapping_add(self.offset)))
        } else {
            address.checked_sub(DIRECT_MAP).map(PhysAddr)
        }
    }
}

impl Ring {
    /// The ids from the oldest to the newest record's but for the first `start`, never more than
    /// there are descriptors.
    fn ids(&self, start: u64) -> impl Iterator<Item = u64> {
        let last = self.head.wrapping_sub(self.tail) & ID_MASK;
        (start..=last.min(self.count - 1)).map(|index| (self.tail + index) & ID_MASK)
    }

    /// The number of the record with this id.
    fn number(&self, memory: &dyn ReadMemory, id: u64, info_size: u64) -> Option<u64> {
        u64_at(memory, self.infos.checked_add((id % self.count) * info_size)?)
    }

    /// The descriptor with this id, where it is there and its record is complete.
    fn descriptor(&self, memory: &dyn ReadMemory, id: u64) -> Option<Descriptor> {
        const COMMITTED: u64 = 1;
        const FINALIZED: u64 = 2;
        let mut bytes = [0; DESCRIPTOR as usize];
        let at = self.descriptors.checked_add((id % self.count) * DESCRIPTOR)?;
        if !memory.read(at, &mut bytes) {
            return None;
        }
        let state = field::<8>(&bytes, 0);
        let complete = matches!(state >> 62, COMMITTED | FINALIZED) && state & ID_MASK == id;
        complete.then(|| Descriptor {
            id,
            begin: field::<8>(&bytes, 8),
            next: field::<8>(&bytes, 16),
        })
    }

    /// The size of a `struct printk_info` with which the records' numbers follow each other.
    fn info_size(&self, memory: &dyn ReadMemory, readable: &[Descriptor]) -> Option<u64> {
        INFO_SIZES.into_iter().find(|size| {
            let number = |descriptor: &Descriptor| self.number(memory, descriptor.id, *size);
            let Some((first, rest)) = readable.split_first() else { return false };
            let Some(start) = number(first) else { return false };
            rest.iter().all(|descriptor| {
                let distance = descriptor.id.wrapping_sub(first.id) & ID_MASK;
                number(descriptor) == start.checked_add(distance)
            })
        })
    }

    fn record(
        &self,
        memory: &dyn ReadMemory,
        descriptor: &Descriptor,
        info_size: u64,
        from: u64,
    ) -> Option<Record> {
        let mut info = [0; 24];
        let at = self.infos.checked_add((descriptor.id % self.count) * info_size)?;
        if !memory.read(at, &mut info) {
            return None;
        }
        let sequence = field::<8>(&info, 0);
        if sequence < from {
            return None;
        }
        Some(Record {
            sequence,
            nanoseconds: field::<8>(&info, 8),
            level: (field::<1>(&info, 19) >> 5) as u8,
            text: self.text(memory, descriptor, field::<2>(&info, 16)).unwrap_or_default(),
        })
    }

    /// A record's text; `None` where it has none or has been overwritten since.
    fn text(
        &self,
        memory: &dyn ReadMemory,
        descriptor: &Descriptor,
        length: u64,
    ) -> Option<Vec<u8>> {
        let Descriptor { id, begin, next } = *descriptor;
        // Odd positions say that there is no text (`BLK_DATALESS`).
        if begin & 1 == 1 || next & 1 == 1 {
            return None;
        }
        // A block never straddles the end of the ring: it is moved to the start instead.
        let wrapped = begin / self.text_size != next.wrapping_sub(1) / self.text_size;
        let start = if wrapped { 0 } else { begin % self.text_size };
        let end = match next % self.text_size {
            0 => self.text_size,
            end => end,
        };
        let room = end.checked_sub(start)?.checked_sub(8)?;
        let at = self.text.checked_add(start)?;
        if u64_at(memory, at)? != id {
            return None;
        }
        let mut text = vec![0; length.min(room) as usize];
        memory.read(at.checked_add(8)?, &mut text).then_some(text)
    }
}

fn u64_at(memory: &dyn ReadMemory, at: PhysAddr) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(at, &mut bytes).then(|| u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel linked at 16 MiB and loaded at 32 MiB, with a ring of 16 records and 256 bytes.
    struct Kernel {
        memory: Vec<u8>,
    }

    const BASE: u64 = 32 << 20;
    const RING: u64 = 0x1000;
    const DESCRIPTORS: u64 = 0x2000;
    const INFOS: u64 = 0x3000;
    const TEXT: u64 = 0x5000;

    impl ReadMemory for Kernel {
        fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool {
            let Some(start) = address.0.checked_sub(BASE) else { return false };
            let Some(end) = (start as usize).checked_add(buffer.len()) else { return false };
            match self.memory.get(start as usize..end) {
                Some(bytes) => {
                    buffer.copy_from_slice(bytes);
                    true
                }
                None => false,
            }
        }
    }

    impl Kernel {
        fn new(count: u64) -> Self {
            let mut kernel = Self { memory: vec![0; 0x6000] };
            let virtual_address = |offset: u64| KERNEL_MAP + (16 << 20) + offset;
            kernel.put(RING, &[4, virtual_address(DESCRIPTORS), virtual_address(INFOS)]);
            kernel.put(RING + 40, &[8, virtual_address(TEXT)]);
            let mut position = 0_u64;
            for sequence in 0..count {
                let id = 100 + sequence;
                let text = format!("this is line {sequence}");
                let size = 8 + (text.len() as u64).next_multiple_of(8);
                let (begin, mut start) = (position, position % 256);
                let mut next = begin + size;
                if begin / 256 != (next - 1) / 256 {
                    start = 0;
                    next = (begin / 256 + 1) * 256 + size;
                }
                let slot = id % 16;
                kernel.put(DESCRIPTORS + slot * 24, &[2 << 62 | id, begin, next]);
                let flags = (text.len() as u64) | 6 << 29;
                kernel.put(INFOS + slot * 88, &[sequence, sequence * 1000, flags]);
                kernel.put(TEXT + start, &[id]);
                let at = (TEXT + start + 8) as usize;
                kernel.memory[at..at + text.len()].copy_from_slice(text.as_bytes());
                position = next;
            }
            let tail = 100 + count.saturating_sub(16);
            kernel.put(RING + 24, &[99 + count, tail]);
            kernel
        }

        fn put(&mut self, at: u64, words: &[u64]) {
            for (index, word) in words.iter().enumerate() {
                let at = at as usize + index * 8;
                self.memory[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
    }

    fn log() -> KernelLog {
        let anchor = Anchor {
            ring: KERNEL_MAP + (16 << 20) + RING,
            pointers: vec![],
            has_last_finalized: false,
        };
        KernelLog::new(anchor, PhysAddr(16 << 20), PhysAddr(BASE))
    }

    #[test]
    fn reads_records_in_order() {
        let records = log().read(&Kernel::new(5), 0).unwrap();
        let texts: Vec<_> = records.iter().map(|r| String::from_utf8_lossy(&r.text)).collect();
        assert_eq!(texts, ["0", "1", "2", "3", "4"].map(|n| format!("this is line {n}")));
        assert_eq!(records[4].level, 6);
        assert_eq!(records[4].nanoseconds, 4000);
        let later = log().read(&Kernel::new(5), 3).unwrap();
        assert_eq!(later.len(), 2);
    }

    #[test]
    fn a_ring_that_wrapped_gives_what_is_left() {
        let records = log().read(&Kernel::new(40), 0).unwrap();
        assert_eq!(records.len(), 16);
        assert_eq!(records[15].sequence, 39);
        // 256 bytes hold fewer texts than 16 descriptors; the oldest have been overwritten.
        assert_eq!(records[15].text, b"this is line 39");
        assert!(records.iter().any(|record| record.text.is_empty()));
    }

    #[test]
    fn texts_that_overlap_do_not_become_more_memory_than_there_is() {
        const COUNT: u64 = 4096;
        const TEXT: u64 = 0x8_0000;
        let mut kernel = Kernel { memory: vec![0; 0x20_0000] };
        let virtual_address = |offset: u64| KERNEL_MAP + (16 << 20) + offset;
        let infos = DESCRIPTORS + COUNT * DESCRIPTOR;
        kernel.put(RING, &[12, virtual_address(DESCRIPTORS), virtual_address(infos)]);
        kernel.put(RING + 24, &[COUNT - 1, 0, 20, virtual_address(TEXT)]);
        for id in 0..COUNT {
            let begin = id * 8;
            kernel.put(DESCRIPTORS + id * DESCRIPTOR, &[2 << 62 | id, begin, begin + 0x1_0008]);
            kernel.put(infos + id * 88, &[id, 0, 0xffff]);
            kernel.put(TEXT + begin, &[id]);
        }
        let mut read = 0;
        while read < COUNT {
            let records = log().read(&kernel, read).unwrap();
            assert_eq!(records.first().map(|record| record.sequence), Some(read));
            assert_eq!(records[0].text.len(), 0xffff);
            assert!(records.iter().map(|record| record.text.len()).sum::<usize>() <= 2 << 20);
            read += records.len() as u64;
        }
    }

    /// Memory that counts how often it is read.
    struct Counted(Kernel, std::cell::Cell<usize>);

    impl ReadMemory for Counted {
        fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool {
            self.1.set(self.1.get() + 1);
            self.0.read(address, buffer)
        }
    }

    #[test]
    fn a_ring_of_millions_costs_no_more_than_a_large_one() {
        let reads = |kernel: Kernel, from| {
            let memory = Counted(kernel, std::cell::Cell::new(0));
            let found = log().read(&memory, from).map(|records| records.len());
            (memory.1.get(), found)
        };
        // Nothing in it but its size.
        let mut empty = Kernel::new(0);
        empty.put(RING, &[24]);
        empty.put(RING + 24, &[(1 << 24) - 1, 0]);
        let (count, found) = reads(empty, 0);
        assert!(count <= MAX_LOOKS + 16, "{count}");
        assert_eq!(found, Ok(0));
        // What has been read already is not looked at again.
        let (all, _) = reads(Kernel::new(16), 0);
        let (last, found) = reads(Kernel::new(16), 15);
        assert_eq!(found, Ok(1));
        assert!(last + 30 < all, "{last} of {all}");
    }

    proptest::proptest! {
        #[test]
        fn no_memory_panics(
            noise in proptest::collection::vec((0u64..0xbf0, proptest::num::u64::ANY), 0..40),
            has_last_finalized: bool,
        ) {
            let mut kernel = Kernel::new(20);
            for (word, value) in noise {
                kernel.put(word * 8, &[value]);
            }
            let mut log = log();
            log.anchor.has_last_finalized = has_last_finalized;
            log.anchor.pointers = vec![KERNEL_MAP, u64::MAX, 0];
            let _ = log.read(&kernel, 0);
        }
    }
}
