//! Memory of the process, and what the kernel says of its own.

use std::fs;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::Failure;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Mapped memory.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<libc::c_void>,
    length: usize,
}

impl Mapping {
    /// Memory of nobody else, zero.
    ///
    /// # Errors
    /// There is none.
    pub fn anonymous(length: usize) -> Result<Self, Failure> {
        let size = NonZeroUsize::new(length).ok_or("nothing to map")?;
        let (access, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe { mmap_anonymous(None, size, access, flags) }?;
        Ok(Self { start, length })
    }

    /// A file, to be read. Nobody writes to it meanwhile.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub fn of_file(file: impl AsFd, length: usize) -> Result<Self, Failure> {
        let size = NonZeroUsize::new(length).ok_or("nothing to map")?;
        let (access, flags) = (ProtFlags::PROT_READ, MapFlags::MAP_SHARED);
        // SAFETY: as above.
        let start = unsafe { mmap(None, size, access, flags, file, 0) }?;
        Ok(Self { start, length })
    }

    /// One byte, as it is in memory: no compiler leaves this out.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn read(&self, offset: usize) -> u8 {
        assert!(offset < self.length, "within the mapping");
        // SAFETY: the offset is within the mapping, which lives as long as `self` and may be read.
        unsafe { self.start.cast::<u8>().add(offset).read_volatile() }
    }

    /// Memory that may be written, as words.
    ///
    /// # Safety
    /// It is anonymous.
    pub unsafe fn words(&mut self) -> &mut [u64] {
        // SAFETY: mapped, aligned to a page, initialised (zero), and borrowed from `self` alone.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.cast::<u64>().as_ptr(), self.length / 8)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length; `self` ends, so nobody refers to it any more.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}

/// A line `NAME: … kB` of a file of `/proc`, in MiB.
///
/// # Errors
/// It is not there.
pub fn mebibytes_of(file: &str, name: &str) -> Result<f64, Failure> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    number.map(|kilobytes| kilobytes / 1024.0).ok_or_else(|| format!("{file} has no {name}").into())
}
