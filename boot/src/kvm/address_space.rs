//! Where a virtual machine's memory lies in its physical address space.
//!
//! ```text
//! 0 ………………… 640 KiB     memory, for the kernel's own real-mode code
//! 1 MiB …… 3 GiB       memory
//! 3 GiB …… 4 GiB       devices, I/O APIC, local APICs: no memory
//! 4 GiB ……             the rest of the memory
//! ```

use std::fs::File;

use crate::host_memory::{self, MapError, Piece};
use crate::memory::{PartitionMemory, Segment};
use crate::units::{Bytes, PhysAddr};

/// Where there is no memory.
pub const HOLE: Segment = Segment { start: PhysAddr(3 << 30), size: Bytes::gib(1) };

/// Memory below the hole that kernels expect the firmware of a PC to use: the last KiB below 640 KiB, and
/// everything from there to 1 MiB.
pub const LOW: Segment = Segment { start: PhysAddr(0), size: Bytes(0x9_fc00) };
const MEBIBYTE: Bytes = Bytes::mib(1);

/// The I/O APIC (Intel 82093AA, 3.0).
pub const IO_APIC: PhysAddr = PhysAddr(0xfec0_0000);
/// Three pages that KVM needs on Intel CPUs, and one for an identity map (Documentation/virt/kvm/api.rst,
/// 4.41 and 4.86); where all who use it have them.
pub const TSS: PhysAddr = PhysAddr(0xfffb_d000);
/// The page for the identity map.
pub const IDENTITY_MAP: PhysAddr = PhysAddr(0xfffb_c000);

/// Where `size` of memory lies, in the order of its file.
pub fn places(size: Bytes) -> Vec<Segment> {
    let below = Segment { start: PhysAddr(0), size: Bytes(size.0.min(HOLE.start.0)) };
    let rest = size.0 - below.size.0;
    let above = Segment { start: HOLE.end(), size: Bytes(rest) };
    [below, above].into_iter().filter(|place| place.size.0 > 0).collect()
}

/// The same without the first mebibyte: what a kernel is laid out in.
pub fn segments(size: Bytes) -> Vec<Segment> {
    let above_mebibyte = |mut place: Segment| {
        let cut = MEBIBYTE.0.saturating_sub(place.start.0).min(place.size.0);
        place.start.0 += cut;
        place.size.0 -= cut;
        (place.size.0 > 0).then_some(place)
    };
    places(size).into_iter().filter_map(above_mebibyte).collect()
}

/// Maps `size` of memory from its file, for as long as the process lives.
///
/// # Errors
///
/// [`MapError`].
pub fn map(file: &File, size: Bytes) -> Result<PartitionMemory, MapError> {
    let mut offset = 0;
    let pieces = places(size).into_iter().map(|place| {
        let piece = Piece { place, file, offset };
        offset += place.size.0;
        piece
    });
    host_memory::map(pieces).map(|(memory, _)| memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u64, size: u64) -> Segment {
        Segment { start: PhysAddr(start), size: Bytes(size) }
    }

    #[test]
    fn memory_leaves_the_hole_out() {
        assert_eq!(places(Bytes::mib(256)), [segment(0, 256 << 20)]);
        assert_eq!(places(Bytes::gib(3)), [segment(0, 3 << 30)]);
        assert_eq!(places(Bytes::gib(5)), [segment(0, 3 << 30), segment(4 << 30, 2 << 30)]);
        assert_eq!(segments(Bytes::mib(2)), [segment(1 << 20, 1 << 20)]);
        assert_eq!(segments(Bytes::mib(1)), []);
        assert_eq!(places(Bytes(0)), []);
    }

    proptest::proptest! {
        #[test]
        fn no_byte_is_lost_or_lies_in_the_hole(size in 0_u64..1 << 40) {
            let places = places(Bytes(size));
            proptest::prop_assert_eq!(places.iter().map(|place| place.size.0).sum::<u64>(), size);
            proptest::prop_assert!(places.iter().all(|place| !place.overlaps(HOLE)));
        }
    }
}
