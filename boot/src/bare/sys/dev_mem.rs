//! Physical memory through `/dev/mem`.
//!
//! Distribution kernels (`CONFIG_STRICT_DEVMEM`) refuse RAM above 1 MiB and let RAM below it be
//! mapped (`devmem_is_allowed`, arch/x86/mm/init.c); lockdown closes the device altogether.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::NonNull;

use nix::fcntl::{Flock, FlockArg};

use crate::units::PhysAddr;

/// Why physical memory cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DevMemError {
    /// the device cannot be opened
    #[error("/dev/mem cannot be opened; `partitiond doctor` tells what stands in the way")]
    Open(#[source] io::Error),
    /// the kernel refuses this range
    #[error("the kernel refuses {length:#x} bytes of physical memory at {start:#x}")]
    Map {
        /// First byte.
        start: u64,
        /// Length.
        length: usize,
        /// What it said.
        source: io::Error,
    },
}

/// A piece of physical memory, mapped. Whoever else uses it (CPUs of a partition, the host's kernel)
/// does so at the same time, so every access is volatile.
#[derive(Debug)]
pub struct PhysicalWindow {
    pointer: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and every access is volatile.
unsafe impl Send for PhysicalWindow {}

impl PhysicalWindow {
    /// Maps `length` bytes at `start` (page-aligned) as the memory that it is: cached.
    ///
    /// # Errors
    ///
    /// [`DevMemError`] where the device is closed or the kernel refuses the range.
    pub fn map(start: PhysAddr, length: usize) -> Result<Self, DevMemError> {
        Self::map_with(start, length, 0)
    }

    /// Maps device registers: uncached.
    ///
    /// # Errors
    ///
    /// As [`PhysicalWindow::map`].
    pub fn map_registers(start: PhysAddr, length: usize) -> Result<Self, DevMemError> {
        Self::map_with(start, length, libc::O_SYNC)
    }

    fn map_with(start: PhysAddr, length: usize, flags: i32) -> Result<Self, DevMemError> {
        let device: File = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open("/dev/mem")
            .map_err(DevMemError::Open)?;
        let failed = |source| DevMemError::Map { start: start.0, length, source };
        let offset = i64::try_from(start.0)
            .map_err(|_| failed(io::Error::from(io::ErrorKind::InvalidInput)))?;
        // SAFETY: a fresh mapping at an address of the kernel's choice; no memory of ours changes.
        let pointer = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                device.as_raw_fd(),
                offset,
            )
        };
        match NonNull::new(pointer.cast::<u8>()) {
            Some(pointer) if pointer.as_ptr().cast() != libc::MAP_FAILED => {
                Ok(Self { pointer, length })
            }
            _ => Err(failed(io::Error::last_os_error())),
        }
    }

    /// Copies from the window; false, and nothing copied, where that leaves it.
    pub fn read(&self, at: usize, buffer: &mut [u8]) -> bool {
        if at.checked_add(buffer.len()).is_none_or(|end| end > self.length) {
            return false;
        }
        for (index, byte) in buffer.iter_mut().enumerate() {
            // SAFETY: at + index is inside the mapping, as checked above.
            *byte = unsafe { self.pointer.as_ptr().add(at + index).read_volatile() };
        }
        true
    }

    /// Copies into the window; false, and nothing copied, where that leaves it.
    pub fn write(&self, at: usize, bytes: &[u8]) -> bool {
        if at.checked_add(bytes.len()).is_none_or(|end| end > self.length) {
            return false;
        }
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: at + index is inside the mapping, as checked above.
            unsafe { self.pointer.as_ptr().add(at + index).write_volatile(*byte) };
        }
        true
    }

    /// Reads an aligned 32-bit register; all ones outside the window or where misaligned.
    pub fn read_u32(&self, at: usize) -> u32 {
        if !at.is_multiple_of(4) || at.checked_add(4).is_none_or(|end| end > self.length) {
            return u32::MAX;
        }
        // SAFETY: inside the mapping and aligned: the mapping is page-aligned, `at` is checked.
        unsafe { self.pointer.as_ptr().add(at).cast::<u32>().read_volatile() }
    }

    /// Writes an aligned 32-bit register; nothing outside the window or where misaligned.
    pub fn write_u32(&self, at: usize, value: u32) {
        if at.is_multiple_of(4) && at.checked_add(4).is_some_and(|end| end <= self.length) {
            // SAFETY: inside the mapping and aligned: the mapping is page-aligned, `at` is checked.
            unsafe { self.pointer.as_ptr().add(at).cast::<u32>().write_volatile(value) };
        }
    }

    /// Bytes in the window; never zero.
    pub fn len(&self) -> usize {
        self.length
    }
}

impl Drop for PhysicalWindow {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it: all accesses copy.
        unsafe { libc::munmap(self.pointer.as_ptr().cast(), self.length) };
    }
}

/// Keeps every other process out that changes low memory of the host's, until it is dropped. (The
/// lock is on the device file: every user of it finds the same one.)
///
/// # Errors
///
/// [`DevMemError::Open`] where the device is closed.
pub fn lock_low_memory() -> Result<Flock<File>, DevMemError> {
    let device = File::open("/dev/mem").map_err(DevMemError::Open)?;
    Flock::lock(device, FlockArg::LockExclusive)
        .map_err(|(_, error)| DevMemError::Open(io::Error::from(error)))
}
