//! A partition's memory, mapped in the order of physical addresses: what is contiguous physically is so
//! in this process too, whichever files it comes from.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{GuestAddress, GuestRegionMmap};

use crate::memory::{PartitionMemory, Segment};
use crate::units::{Bytes, PhysAddr};

/// Physical memory, and the file through which it is reached.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Where it lies.
    pub place: Segment,
    /// The file.
    pub file: &'a File,
    /// Where in the file.
    pub offset: u64,
    /// Whether what this process writes stays its own: until then it sees what the file has.
    pub own: bool,
}

/// Why memory cannot be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// no room in this process
    #[error("there is no address space for {0} of memory")]
    Room(Bytes, #[source] io::Error),
    /// a piece
    #[error("{} of memory at {:?} cannot be mapped", place.size, place.start)]
    Piece {
        /// Which.
        place: Segment,
        /// What the kernel said.
        source: io::Error,
    },
    /// two pieces are the same memory
    #[error("the partition's memory at {0:?} was given to it twice: this is a defect")]
    Twice(PhysAddr),
    /// vm-memory refused the regions
    #[error("the partition's memory cannot be mapped: {0}")]
    Regions(String),
}

/// The largest page that a piece may consist of: addresses that differ by a multiple of it can be
/// mapped by the same pages.
const ALIGNMENT: u64 = 1 << 30;

/// Maps pieces, and tells which segments they make. The mapping lives as long as the process: whoever
/// holds the memory may keep pointers.
///
/// # Errors
///
/// [`MapError`].
pub fn map<'a>(
    pieces: impl Iterator<Item = Piece<'a>>,
) -> Result<(PartitionMemory, Vec<Segment>), MapError> {
    let mut pieces: Vec<Piece> = pieces.collect();
    pieces.sort_by_key(|piece| piece.place);
    let segments = segments(pieces.iter().map(|piece| piece.place))?;
    let size = segments.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.size.0));
    let area = Mapping::reserve(size, ALIGNMENT).map_err(|e| MapError::Room(Bytes(size), e))?;
    let mut at = 0;
    for piece in pieces {
        let place = piece.place;
        area.place(at, &piece).map_err(|source| MapError::Piece { place, source })?;
        at += place.size.0;
    }
    let base = area.leak();
    let mut regions = Vec::new();
    let mut at = 0;
    for segment in &segments {
        // SAFETY: base..base + size is one mapping that is never unmapped; the segments lie in
        // it one behind the other.
        let region = unsafe {
            MmapRegionBuilder::<()>::new(segment.size.0 as usize)
                .with_raw_mmap_pointer(base.as_ptr().add(at))
        };
        let region = region
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_SHARED)
            .build()
            .map_err(|error| MapError::Regions(error.to_string()))?;
        let region = GuestRegionMmap::new(region, GuestAddress(segment.start.0))
            .ok_or_else(|| MapError::Regions("beyond the address space".to_owned()))?;
        regions.push(region);
        at += segment.size.0 as usize;
    }
    let memory = PartitionMemory::from_regions(regions)
        .map_err(|error| MapError::Regions(error.to_string()))?;
    Ok((memory, segments))
}

/// Joins pieces (ascending) that touch.
///
/// # Errors
///
/// [`MapError::Twice`] where two overlap.
pub fn segments(pieces: impl Iterator<Item = Segment>) -> Result<Vec<Segment>, MapError> {
    let mut segments: Vec<Segment> = Vec::new();
    for piece in pieces {
        match segments.last_mut() {
            Some(last) if last.end() > piece.start => return Err(MapError::Twice(piece.start)),
            Some(last) if last.end() == piece.start => last.size.0 += piece.size.0,
            _ => segments.push(piece),
        }
    }
    Ok(segments)
}

/// A mapping of this process.
pub struct Mapping {
    pointer: NonNull<u8>,
    length: usize,
    keep: bool,
}

impl Mapping {
    /// Maps a piece of a file.
    pub fn of_file(file: &File, offset: u64, length: u64) -> io::Result<Self> {
        let flags = libc::MAP_SHARED;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let pointer = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                file.as_raw_fd(),
                offset as i64,
            )
        };
        Self::checked(pointer, length)
    }

    /// Where it begins in this process.
    pub fn address(&self) -> u64 {
        self.pointer.as_ptr() as u64
    }

    /// Address space without memory, aligned to `alignment`.
    fn reserve(length: u64, alignment: u64) -> io::Result<Self> {
        let total = length + alignment;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let pointer = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                total as usize,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let whole = Self::checked(pointer, total)?.leak();
        let skip = whole.as_ptr().align_offset(alignment as usize);
        // SAFETY: skip < alignment, and alignment bytes more than length were mapped. What is left
        // over at both ends stays reserved, which costs address space only.
        let aligned = unsafe { whole.add(skip) };
        Ok(Self { pointer: aligned, length: length as usize, keep: false })
    }

    fn checked(pointer: *mut libc::c_void, length: u64) -> io::Result<Self> {
        match NonNull::new(pointer.cast::<u8>()) {
            Some(pointer) if pointer.as_ptr().cast() != libc::MAP_FAILED => {
                Ok(Self { pointer, length: length as usize, keep: false })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Puts a piece at `at` in this reservation.
    fn place(&self, at: u64, piece: &Piece<'_>) -> io::Result<()> {
        let length = piece.place.size.0;
        let own = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
        let sharing = if piece.own { own } else { libc::MAP_SHARED };
        if at.checked_add(length).is_none_or(|end| end > self.length as u64) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: at..at + length lies inside the reservation, which holds nothing but what this
        // function put there.
        let pointer = unsafe {
            libc::mmap(
                self.pointer.as_ptr().add(at as usize).cast(),
                length as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                sharing | libc::MAP_FIXED,
                piece.file.as_raw_fd(),
                piece.offset as i64,
            )
        };
        if pointer == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Reads a byte of every page, so that each is in the page tables.
    pub fn touch(&self, page: u64) {
        for at in (0..self.length).step_by(page as usize) {
            // SAFETY: inside the mapping; the file's pages are allocated, so this cannot fault.
            unsafe { self.pointer.as_ptr().add(at).read_volatile() };
        }
    }

    fn leak(mut self) -> NonNull<u8> {
        self.keep = true;
        self.pointer
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if !self.keep {
            // SAFETY: the mapping is ours and nobody was given a pointer into it.
            unsafe { libc::munmap(self.pointer.as_ptr().cast(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start_mib: u64, size_mib: u64) -> Segment {
        Segment { start: PhysAddr(start_mib << 20), size: Bytes::mib(size_mib) }
    }

    #[test]
    fn what_touches_is_one_segment() {
        let joined = segments([piece(2, 4), piece(6, 2), piece(10, 2)].into_iter()).unwrap();
        assert_eq!(joined, [piece(2, 6), piece(10, 2)]);
    }

    #[test]
    fn memory_is_not_mapped_twice() {
        let twice = segments([piece(2, 4), piece(4, 2)].into_iter());
        assert!(matches!(twice, Err(MapError::Twice(PhysAddr(0x40_0000)))));
    }

    #[test]
    fn pieces_of_files_stand_in_physical_order() {
        use std::io::Write;
        use vm_memory::Bytes as _;

        let mut file = File::from(
            nix::sys::memfd::memfd_create(c"pieces", nix::sys::memfd::MFdFlags::empty()).unwrap(),
        );
        for page in 0..3_u8 {
            file.write_all(&[page; 4096]).unwrap();
        }
        let page = |start: u64, offset| Piece {
            place: Segment { start: PhysAddr(start), size: Bytes::kib(4) },
            file: &file,
            offset,
            own: false,
        };
        let pieces = [page(0x3000, 0), page(0x1000, 4096), page(0x2000, 8192)];
        let (memory, segments) = map(pieces.into_iter()).unwrap();
        assert_eq!(segments, [Segment { start: PhysAddr(0x1000), size: Bytes::kib(12) }]);
        let at = |address| memory.read_obj::<u8>(GuestAddress(address)).unwrap();
        assert_eq!([at(0x1000), at(0x2000), at(0x3000)], [1, 2, 0]);
    }
}
