//! The page tables that a kernel is entered on: an identity map of what its first instructions
//! touch (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").

use std::collections::BTreeMap;

use crate::memory::Segment;
use crate::units::PhysAddr;

const PRESENT_WRITABLE: u64 = 0b11;
/// The entry maps a page of 2 MiB (Intel SDM volume 3A, 4.5: PS in a page directory).
const LARGE: u64 = 1 << 7;
const PAGE: u64 = 4096;
const LARGE_PAGE: u64 = 2 << 20;

/// The map needs more tables than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first page tables need {needed} bytes, {room} are set aside: this is a defect")]
pub struct NoRoom {
    /// Bytes.
    pub needed: u64,
    /// Bytes.
    pub room: u64,
}

/// Four-level tables that map every 2 MiB page touched by `mapped` onto itself. The tables are for
/// the physical address `base`; the first of them is the root.
///
/// # Errors
///
/// [`NoRoom`] where they take more than `room` bytes.
pub fn identity_map(base: PhysAddr, room: u64, mapped: &[Segment]) -> Result<Vec<u8>, NoRoom> {
    // Tables by what they cover: (level, index of the covered region); level 4 is the root.
    let mut tables: BTreeMap<(u8, u64), [u64; 512]> = BTreeMap::from([((4, 0), [0; 512])]);
    for segment in mapped {
        let mut page = segment.start.0 / LARGE_PAGE;
        while page * LARGE_PAGE < segment.end().0 {
            tables.entry((3, page >> 18)).or_insert([0; 512]);
            let directory = tables.entry((2, page >> 9)).or_insert([0; 512]);
            if let Some(entry) = directory.get_mut((page & 511) as usize) {
                *entry = (page * LARGE_PAGE) | PRESENT_WRITABLE | LARGE;
            }
            page += 1;
        }
    }
    let needed = tables.len() as u64 * PAGE;
    if needed > room {
        return Err(NoRoom { needed, room });
    }
    // The root stands first, then the others in the order of the map.
    let mut order: Vec<(u8, u64)> = tables.keys().copied().collect();
    order.sort_by_key(|(level, index)| (u8::MAX - level, *index));
    let place = |key: (u8, u64)| {
        order.iter().position(|other| *other == key).map(|index| base.0 + index as u64 * PAGE)
    };
    for &(level, index) in order.iter().filter(|(level, _)| *level < 4) {
        let (Some(address), Some(parent)) =
            (place((level, index)), tables.get_mut(&(level + 1, index >> 9)))
        else {
            continue;
        };
        if let Some(entry) = parent.get_mut((index & 511) as usize) {
            *entry = address | PRESENT_WRITABLE;
        }
    }
    Ok(order
        .iter()
        .filter_map(|key| tables.get(key))
        .flat_map(|table| table.iter().flat_map(|entry| entry.to_le_bytes()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    /// Walks the tables as a CPU would.
    fn translate(tables: &[u8], base: u64, address: u64) -> Option<u64> {
        let mut table = base;
        for level in [39, 30, 21] {
            let at = (table - base + ((address >> level) & 511) * 8) as usize;
            let entry = u64::from_le_bytes(tables[at..at + 8].try_into().unwrap());
            if entry & 1 == 0 {
                return None;
            }
            if level == 21 {
                assert_ne!(entry & LARGE, 0);
                return Some((entry & !0x1f_ffff) + (address & 0x1f_ffff));
            }
            table = entry & !0xfff;
        }
        None
    }

    #[test]
    fn what_is_mapped_maps_onto_itself_and_nothing_else_does() {
        let low = Segment { start: PhysAddr(0), size: Bytes::mib(1) };
        let far = Segment { start: PhysAddr(0x7f_ffe0_0000), size: Bytes::mib(6) };
        let base = PhysAddr(0x1_0001_0000);
        let tables = identity_map(base, 1 << 20, &[low, far]).unwrap();
        for address in [0, 0x9_0123, far.start.0, far.start.0 + 0x20_0001, far.end().0 - 1] {
            assert_eq!(translate(&tables, base.0, address), Some(address));
        }
        for address in [2 << 20, far.start.0 - 1, far.end().0, 1 << 40] {
            assert_eq!(translate(&tables, base.0, address), None);
        }
    }

    #[test]
    fn too_little_room_is_refused() {
        let low = Segment { start: PhysAddr(0), size: Bytes::mib(1) };
        assert_eq!(
            identity_map(PhysAddr(0), 8192, &[low]),
            Err(NoRoom { needed: 12288, room: 8192 })
        );
    }
}
