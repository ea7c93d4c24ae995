//! What works on a disk: the seam between requests and how the host does them.

use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use super::threads::Threads;
use super::uring::Uring;
use crate::kvm::virtio::buffers::Piece;
use crate::units::Bytes;

/// A disk, opened.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its file or block device.
    pub file: Arc<File>,
    /// How large it is, whole sectors.
    pub size: Bytes,
    /// The unit in which it is read and written: 512 or more, a power of two.
    pub block: u32,
    /// Whether it is a block device.
    pub device: bool,
    /// Whether nothing is written to it.
    pub read_only: bool,
    /// What its guest knows it by; at most 20 bytes of it.
    pub name: String,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Data goes to the guest.
    Read,
    /// Data comes from the guest.
    Write,
    /// What was written is made to last.
    Flush,
    /// A range is given back.
    Discard,
    /// A range becomes zeros.
    Zero,
}

impl Kind {
    /// Whether so many bytes as asked for have to move.
    pub fn moves_data(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

impl Disk {
    /// How a range of it is given back or filled with zeros (fallocate(2)): both leave zeros, and the disk as
    /// long as it is.
    pub fn fallocate_mode(&self, kind: Kind) -> i32 {
        libc::FALLOC_FL_KEEP_SIZE
            | match (kind, self.device) {
                // A device that cannot give blocks back writes zeros then.
                (Kind::Zero, true) => libc::FALLOC_FL_ZERO_RANGE,
                _ => libc::FALLOC_FL_PUNCH_HOLE,
            }
    }
}

/// A request for an engine.
#[derive(Debug)]
pub struct Job {
    /// What it is known by, until it is finished.
    pub head: u16,
    /// What is to be done.
    pub kind: Kind,
    /// Where on the disk, in bytes.
    pub offset: u64,
    /// How much, in bytes; of data the sum of the pieces.
    pub length: u64,
    /// Where data is in our mapping of the guest's memory.
    pub pieces: Vec<Piece>,
}

/// Does what requests ask for.
pub trait Engine: Send {
    /// Takes a request on. It is known to be on the disk, and its data in the guest's memory.
    ///
    /// # Errors
    ///
    /// Where it cannot even be begun.
    fn begin(&mut self, job: Job) -> io::Result<()>;

    /// Begins with all that was taken on, at the latest.
    ///
    /// # Errors
    ///
    /// Where the engine is of no use any more.
    fn submit(&mut self) -> io::Result<()>;

    /// Tells of all that has finished: what it is known by, and how many bytes were moved.
    fn finished(&mut self, hear: &mut dyn FnMut(u16, io::Result<u32>));

    /// Waits until something has finished that [`Engine::finished`] has not told of; not at all where nothing is
    /// worked on.
    fn wait(&mut self);

    /// Can be read when something has finished.
    fn event(&self) -> RawFd;

    /// Waits until nothing is worked on; what has finished is forgotten.
    fn drain(&mut self);
}

/// The best engine for a disk.
///
/// # Errors
///
/// Where there is none.
pub fn engine(disk: &Disk) -> io::Result<Box<dyn Engine>> {
    match Uring::new(disk) {
        Ok(uring) => Ok(Box::new(uring)),
        // An old kernel, or one that is told not to (`kernel.io_uring_disabled`).
        Err(_) => Ok(Box::new(Threads::new(disk)?)),
    }
}
