//! A partition's kernel log, read from outside out of its memory: from the first `printk`, without
//! a UART, and after the kernel has died.
//!
//! The log is the lock-free ring of kernel/printk/printk_ringbuffer.h, there since 5.10. Where it
//! lies is found in the kernel file ([`Anchor::find`]); what it holds is written by the partition
//! and believed in nothing ([`KernelLog::read`]).

mod anchor;
mod ring;

pub use anchor::{Anchor, AnchorError};
pub use ring::{KernelLog, LogError};

use crate::memory::PartitionMemory;
use crate::units::PhysAddr;

/// One line of a kernel log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Counts the records since the kernel started.
    pub sequence: u64,
    /// Nanoseconds since the kernel started.
    pub nanoseconds: u64,
    /// 0 (emergency) to 7 (debug), as in syslog(2).
    pub level: u8,
    /// The text; may hold any bytes, also newlines.
    pub text: Vec<u8>,
}

/// Physical memory that can be read.
pub trait ReadMemory {
    /// Fills `buffer` from `address`; false where not all of that is memory.
    fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool;
}

impl ReadMemory for PartitionMemory {
    fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool {
        use vm_memory::{Bytes, GuestAddress};
        self.read_slice(buffer, GuestAddress(address.0)).is_ok()
    }
}
