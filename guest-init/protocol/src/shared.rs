//! Memory that somebody else writes to at the same time: the only `unsafe` module of this crate.
//!
//! Every access is an atomic one of at most eight bytes, so that a peer that writes meanwhile can
//! make us read nonsense but nothing worse; every access checks its bounds.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Bytes of one word; copies go by words where they can.
pub(crate) const WORD: usize = size_of::<u64>();

/// Bytes that processors hand to each other at a time: one cache line of x86-64.
pub(crate) const LINE: usize = 64;

/// Private memory begins where a cache line does, as every page does.
#[derive(Default)]
#[repr(align(64))]
struct Aligned(
    #[expect(dead_code, reason = "reached through its address")] [AtomicU64; LINE / WORD],
);

/// A piece of memory shared with another process or another kernel. Clones are the same memory.
#[derive(Clone)]
pub struct SharedMemory {
    base: NonNull<u8>,
    length: usize,
    /// Keeps the mapping for as long as any clone lives.
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the memory is only reached by atomic accesses, and the owner that keeps it is Send and
// Sync itself.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SharedMemory({} bytes)", self.length)
    }
}

struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; only its address is stored here.
unsafe impl Send for Mapping {}
// SAFETY: as above; nothing is reached through a shared reference.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `map_file` with this length, and the last user of it is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

impl SharedMemory {
    /// Memory of this process alone, zeroed, for tests and for the two ends of one process.
    pub fn private(length: usize) -> Self {
        let lines: Arc<Vec<Aligned>> =
            Arc::new((0..length.div_ceil(LINE)).map(|_| Aligned::default()).collect());
        let base = NonNull::new(lines.as_ptr().cast_mut().cast()).unwrap_or(NonNull::dangling());
        Self { base, length, _owner: lines }
    }

    /// Maps `length` bytes of a file (hugetlbfs, device DAX, `/dev/mem`, any file) at `offset`,
    /// shared and write-back, readable and writable. The mapping goes with the last clone.
    ///
    /// The file must not shrink meanwhile: reaching a missing page ends the process with SIGBUS.
    ///
    /// # Errors
    ///
    /// What mmap(2) says.
    pub fn map_file(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: a fresh mapping at an address that the kernel chooses touches nothing existing.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(address.cast::<u8>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self { base, length, _owner: Arc::new(Mapping { base, length }) })
    }

    /// Takes over memory that the caller has mapped.
    ///
    /// # Safety
    ///
    /// `base` is aligned to 8 bytes, and `length` bytes from it on are mapped readable and writable
    /// for as long as `owner` lives. Nobody in this process reaches them through references.
    pub unsafe fn from_raw(
        base: NonNull<u8>,
        length: usize,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self { base, length, _owner: owner }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A part of this memory; `None` where it does not lie inside, or not on a word's border.
    pub fn slice(&self, offset: usize, length: usize) -> Option<Self> {
        let end = offset.checked_add(length)?;
        if end > self.length || !offset.is_multiple_of(WORD) {
            return None;
        }
        // SAFETY: `offset` lies inside the memory (checked above).
        let base = unsafe { self.base.add(offset) };
        Some(Self { base, length, _owner: Arc::clone(&self._owner) })
    }

    /// The byte at `offset`; `None` where it lies outside.
    #[inline]
    pub fn byte(&self, offset: usize) -> Option<&AtomicU8> {
        if offset >= self.length {
            return None;
        }
        // SAFETY: inside the memory (checked above), which lives as long as `self`; a byte is
        // always aligned; everybody uses atomics.
        Some(unsafe { AtomicU8::from_ptr(self.base.as_ptr().add(offset)) })
    }

    /// The `u32` at `offset`; `None` where it lies outside or is not aligned.
    #[inline]
    pub fn u32(&self, offset: usize) -> Option<&AtomicU32> {
        if offset.checked_add(size_of::<u32>())? > self.length
            || !offset.is_multiple_of(size_of::<u32>())
        {
            return None;
        }
        // SAFETY: inside the memory and aligned (checked above, the base is aligned to a word);
        // the memory lives as long as `self`; everybody uses atomics.
        Some(unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) })
    }

    /// The `u64` at `offset`; `None` where it lies outside or is not aligned.
    #[inline]
    pub fn u64(&self, offset: usize) -> Option<&AtomicU64> {
        if offset.checked_add(WORD)? > self.length || !offset.is_multiple_of(WORD) {
            return None;
        }
        // SAFETY: as for `u32`.
        Some(unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) })
    }

    /// The words of the cache line at `offset`; `None` where it does not lie inside or `offset` is
    /// no multiple of [`LINE`].
    #[inline]
    pub(crate) fn line(&self, offset: usize) -> Option<&[AtomicU64; LINE / WORD]> {
        if offset.checked_add(LINE)? > self.length || !offset.is_multiple_of(LINE) {
            return None;
        }
        // SAFETY: as for `u32`, for each of the words; an array of them has no other needs.
        Some(unsafe { self.base.add(offset).cast().as_ref() })
    }

    /// Copies bytes out of the memory, from `offset` on; `false` (and nothing copied) where they do
    /// not all lie inside. Orders nothing: the caller has acquired what says that they are there.
    #[must_use]
    #[inline]
    pub fn read(&self, offset: usize, into: &mut [u8]) -> bool {
        if offset.checked_add(into.len()).is_none_or(|end| end > self.length) {
            return false;
        }
        let lead = offset.next_multiple_of(WORD).wrapping_sub(offset).min(into.len());
        let (first, rest) = into.split_at_mut(lead);
        let mut at = offset;
        for byte in first {
            // SAFETY: `at` is below `offset + into.len()`, which is inside (checked above).
            *byte = unsafe { self.load_byte(at) };
            at += 1;
        }
        let mut words = rest.chunks_exact_mut(WORD);
        for word in &mut words {
            // SAFETY: as above for all eight bytes, and `at` is a multiple of a word by now.
            let value = unsafe { self.word_at(at) }.load(Ordering::Relaxed);
            word.copy_from_slice(&value.to_ne_bytes());
            at += WORD;
        }
        for byte in words.into_remainder() {
            // SAFETY: as for the first bytes.
            *byte = unsafe { self.load_byte(at) };
            at += 1;
        }
        true
    }

    /// Copies bytes into the memory, as [`SharedMemory::read`] copies them out.
    #[must_use]
    #[inline]
    pub fn write(&self, offset: usize, from: &[u8]) -> bool {
        if offset.checked_add(from.len()).is_none_or(|end| end > self.length) {
            return false;
        }
        let lead = offset.next_multiple_of(WORD).wrapping_sub(offset).min(from.len());
        let (first, rest) = from.split_at(lead);
        let mut at = offset;
        for byte in first {
            // SAFETY: `at` is below `offset + from.len()`, which is inside (checked above).
            unsafe { self.store_byte(at, *byte) };
            at += 1;
        }
        let (words, last) = rest.as_chunks::<WORD>();
        for word in words {
            // SAFETY: as above for all eight bytes, and `at` is a multiple of a word by now.
            unsafe { self.word_at(at) }.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            at += WORD;
        }
        for byte in last {
            // SAFETY: as for the first bytes.
            unsafe { self.store_byte(at, *byte) };
            at += 1;
        }
        true
    }

    /// # Safety
    ///
    /// `at` lies inside.
    #[inline]
    unsafe fn load_byte(&self, at: usize) -> u8 {
        // SAFETY: the caller's promise; everybody uses atomics.
        unsafe { AtomicU8::from_ptr(self.base.as_ptr().add(at)) }.load(Ordering::Relaxed)
    }

    /// # Safety
    ///
    /// `at` lies inside.
    #[inline]
    unsafe fn store_byte(&self, at: usize, value: u8) {
        // SAFETY: the caller's promise; everybody uses atomics.
        unsafe { AtomicU8::from_ptr(self.base.as_ptr().add(at)) }.store(value, Ordering::Relaxed);
    }

    /// # Safety
    ///
    /// `at` is a multiple of a word, and the word lies inside.
    #[inline]
    unsafe fn word_at(&self, at: usize) -> &AtomicU64 {
        // SAFETY: the caller's promise; the base is aligned to a word.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(at).cast()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_can_be_reached() {
        let memory = SharedMemory::private(64);
        let mut bytes = [0; 8];
        assert!(memory.read(56, &mut bytes));
        assert!(!memory.read(57, &mut bytes));
        assert!(!memory.write(usize::MAX, &bytes));
        assert!(memory.byte(64).is_none());
        assert!(memory.u32(61).is_none());
        assert!(memory.u32(62).is_none());
        assert!(memory.u64(60).is_none());
        assert!(memory.line(0).is_some());
        assert!(memory.line(64).is_none());
        assert!(memory.line(8).is_none());
        assert!(memory.line(usize::MAX - 63).is_none());
        assert!(memory.slice(32, 33).is_none());
        assert!(memory.slice(usize::MAX - 7, 8).is_none());
        assert_eq!(memory.slice(32, 32).unwrap().len(), 32);
    }

    #[test]
    fn a_file_mapped_twice_is_the_same_memory() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let one = SharedMemory::map_file(&file, 0, 4096).unwrap();
        let other = SharedMemory::map_file(&file, 0, 4096).unwrap();
        assert!(one.write(101, b"across"));
        let mut bytes = [0; 6];
        assert!(other.read(101, &mut bytes));
        assert_eq!(&bytes, b"across");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_at_any_alignment(offset in 0_usize..40, data: Vec<u8>) {
            let memory = SharedMemory::private(64);
            let fits = offset + data.len() <= 64;
            assert_eq!(memory.write(offset, &data), fits);
            let mut back = vec![0; data.len()];
            assert_eq!(memory.read(offset, &mut back), fits);
            if fits {
                assert_eq!(back, data);
            }
        }
    }
}
