//! A machine's memory, as its keeper reaches it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::spec::{Record, Spec, StartError};
use super::{address_space, cgroup, control};
use crate::host_memory::{self, Piece};
use crate::kernel_log::ReadMemory;
use crate::memory::{PartitionMemory, Segment};
use crate::units::{Bytes, PhysAddr};

/// A machine's memory.
pub enum Reach {
    /// All of it is mapped here, and is the same as in its process.
    Shared(PartitionMemory),
    /// Its process has its own, and shares the mailbox alone.
    Own {
        /// The mailbox.
        mailbox: PartitionMemory,
        /// All of it, as its process has it.
        process: ProcessMemory,
    },
}

impl Reach {
    /// That of a machine that runs.
    ///
    /// # Errors
    ///
    /// [`StartError`] where its memory, or its process, is not there.
    pub fn of_running(record: &Record, file: &File) -> Result<Self, StartError> {
        let spec = &record.spec;
        if spec.memory_of_snapshot.is_none() {
            return Ok(Self::Shared(address_space::map(file, spec.size())?));
        }
        let process = ProcessMemory::open(spec).map_err(StartError::Answer)?;
        Ok(Self::Own { mailbox: map_mailbox(file, record.layout.mailbox)?, process })
    }

    /// Where the mailbox is mapped.
    pub fn mailbox(&self) -> &PartitionMemory {
        match self {
            Self::Shared(memory) => memory,
            Self::Own { mailbox, .. } => mailbox,
        }
    }
}

impl ReadMemory for Reach {
    fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool {
        match self {
            Self::Shared(memory) => memory.read(address, buffer),
            Self::Own { process, .. } => process.read(address, buffer),
        }
    }
}

/// Maps the file of a mailbox.
fn map_mailbox(file: &File, place: Segment) -> Result<PartitionMemory, StartError> {
    let piece = Piece { place, file, offset: 0, own: false };
    Ok(host_memory::map([piece].into_iter())?.0)
}

/// The memory of a machine in its process, which may end at any time: nothing can be read then.
pub struct ProcessMemory {
    memory: File,
    /// Where it begins there, as the process says: whatever it says, only its own memory is read.
    base: u64,
    size: Bytes,
}

impl ProcessMemory {
    fn open(spec: &Spec) -> io::Result<Self> {
        let processes = || cgroup::processes(&spec.cgroup);
        let process = processes()?.first().copied().ok_or(io::ErrorKind::NotFound)?;
        // The file belongs to what the process runs, not to its number.
        let memory = File::open(format!("/proc/{process}/mem"))?;
        if !processes()?.contains(&process) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { memory, base: control::base(&spec.control)?, size: spec.size() })
    }
}

impl ReadMemory for ProcessMemory {
    fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool {
        let wanted = Segment { start: address, size: Bytes(buffer.len() as u64) };
        let mut places = address_space::with_offsets(self.size);
        let Some((place, offset)) = places.find(|(place, _)| place.contains(wanted)) else {
            return false;
        };
        let at = self.base.checked_add(offset + (address.0 - place.start.0));
        at.is_some_and(|at| self.memory.read_exact_at(buffer, at).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_where_it_says() {
        let bytes = *b"memory of a process";
        let memory = File::open("/proc/self/mem").unwrap();
        let base = bytes.as_ptr() as u64;
        let process = ProcessMemory { memory, base, size: Bytes(bytes.len() as u64) };
        let mut read = [0; 7];
        assert!(process.read(PhysAddr(12), &mut read));
        assert_eq!(&read, b"process");
        assert!(!process.read(PhysAddr(13), &mut read), "beyond its end");
        assert!(!process.read(PhysAddr(u64::MAX), &mut read));
        let nowhere = ProcessMemory { base: u64::MAX - 4, ..process };
        assert!(!nowhere.read(PhysAddr(4), &mut read));
    }
}
