//! The memory of a partition, as its physical addresses see it.

use serde::{Deserialize, Serialize};
use vm_memory::GuestMemoryMmap;

use crate::units::{Bytes, PhysAddr};

/// A partition's memory, mapped into this process and addressed physically.
pub type PartitionMemory = GuestMemoryMmap<()>;

/// A contiguous piece of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Segment {
    /// First byte.
    pub start: PhysAddr,
    /// Length.
    pub size: Bytes,
}

impl Segment {
    /// The address behind the last byte; saturates at the end of the address space.
    pub fn end(self) -> PhysAddr {
        PhysAddr(self.start.0.saturating_add(self.size.0))
    }
    /// Whether all of `other` lies in it.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Whether some of `other` lies in it.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}
