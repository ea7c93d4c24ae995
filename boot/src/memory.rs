//! The memory of a partition, as its physical addresses see it.

use std::ptr::NonNull;
use std::sync::Arc;

use protocol::SharedMemory;
use serde::{Deserialize, Serialize};
use vm_memory::{GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap};

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

/// A piece of a partition's memory (page-aligned) that both sides write to; `None` where it does not lie in
/// one region. The memory must be mapped for as long as the process lives, as
/// [`host_memory::map`](crate::host_memory::map) does it.
pub(crate) fn shared(memory: &PartitionMemory, place: Segment) -> Option<SharedMemory> {
    let (start, length) = (GuestAddress(place.start.0), usize::try_from(place.size.0).ok()?);
    memory.get_slice(start, length).ok()?;
    let base = memory.get_host_address(start).ok().and_then(NonNull::new)?;
    // SAFETY: `length` bytes from `base` on lie in one region, as checked, and stay mapped, so no owner is
    // needed. vm-memory makes no references to what is in a region.
    Some(unsafe { SharedMemory::from_raw(base, length, Arc::new(())) })
}
