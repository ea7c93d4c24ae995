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
    let pieces =
        with_offsets(size).map(|(place, offset)| Piece { place, file, offset, own: false });
    host_memory::map(pieces).map(|(memory, _)| memory)
}

/// Maps `size` of memory as `file` has it, and changes nothing there: what is written to is this process's own from
/// then on, page by page. But a piece that is `shared` is a file of its own, from its start on.
///
/// # Errors
///
/// [`MapError`].
pub fn map_own(
    file: &File,
    size: Bytes,
    shared: (Segment, &File),
) -> Result<PartitionMemory, MapError> {
    let (hole, shared) = shared;
    let around = |(place, offset): (Segment, u64)| {
        let before = Segment { size: Bytes(hole.start.0.saturating_sub(place.start.0)), ..place };
        let behind = hole.end();
        let after = Segment { start: behind, size: Bytes(place.end().0.saturating_sub(behind.0)) };
        let pieces = if place.contains(hole) { vec![before, after] } else { vec![place] };
        let piece = move |piece: Segment| Piece {
            place: piece,
            file,
            offset: offset + (piece.start.0 - place.start.0),
            own: true,
        };
        pieces.into_iter().filter(|piece| piece.size.0 > 0).map(piece)
    };
    let pieces = with_offsets(size).flat_map(around);
    let shared = Piece { place: hole, file: shared, offset: 0, own: false };
    host_memory::map(pieces.chain([shared])).map(|(memory, _)| memory)
}

/// The places of so much memory, and where each begins in its file.
pub fn with_offsets(size: Bytes) -> impl Iterator<Item = (Segment, u64)> {
    let mut offset = 0;
    places(size).into_iter().map(move |place| {
        let first = offset;
        offset += place.size.0;
        (place, first)
    })
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

    #[test]
    fn what_is_written_stays_in_this_process_but_for_the_shared_piece() {
        use std::io::Write as _;
        use std::os::unix::fs::FileExt as _;
        use vm_memory::{Bytes as _, GuestAddress};

        let file = |bytes: &[u8]| {
            let flags = nix::sys::memfd::MFdFlags::empty();
            let mut file = File::from(nix::sys::memfd::memfd_create(c"piece", flags).unwrap());
            file.write_all(bytes).unwrap();
            file
        };
        for at in [0, 0x1000, 0x2000] {
            let (saved, shared) = (file(&[1; 0x3000]), file(&[2; 0x1000]));
            let memory = map_own(&saved, Bytes(0x3000), (segment(at, 0x1000), &shared)).unwrap();
            let mut bytes = [0; 0x3000];
            memory.read_slice(&mut bytes, GuestAddress(0)).unwrap();
            let shared_bytes = |byte: usize| byte as u64 & !0xfff == at;
            assert!((0..0x3000).all(|byte| bytes[byte] == 1 + u8::from(shared_bytes(byte))));
            memory.write_slice(&[3; 0x3000], GuestAddress(0)).unwrap();
            saved.read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(bytes, [1; 0x3000]);
            let mut bytes = [0; 0x1000];
            shared.read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(bytes, [3; 0x1000]);
        }
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
