//! Which addresses of the pools a partition gets. How much of which node it gets is decided before.

use std::collections::BTreeMap;

use boot::memory::Segment;
use boot::units::{Bytes, NodeId};

use crate::cluster::MemorySource;
use crate::inventory::pools::without;
use crate::inventory::{Machine, Pool, PoolKind};

/// A pool has less than is wanted, as others have the rest or the pool has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node} has {had} of {source_name} memory left, and {wanted} are wanted")]
pub struct PoolIsShort {
    /// The node.
    pub node: NodeId,
    /// The source, as the cluster file calls it.
    pub source_name: &'static str,
    /// What is left.
    pub had: Bytes,
    /// What is wanted.
    pub wanted: Bytes,
}

/// The node that a pool counts for: where nothing tells, the first one.
pub fn node_of(machine: &Machine, pool: &Pool) -> Option<NodeId> {
    let known = pool.node.filter(|node| machine.node(*node).is_some());
    known.or_else(|| machine.nodes.first().map(|node| node.id))
}

/// The kind of pool that a memory source is; `None` for memory of the running host.
pub fn kind_of(source: MemorySource) -> Option<PoolKind> {
    match source {
        MemorySource::Hugetlb { .. } | MemorySource::Snapshot => None,
        MemorySource::SoftReserved => Some(PoolKind::SoftReserved),
        MemorySource::Memmap => Some(PoolKind::Memmap),
    }
}

/// Ranges of the pools that `source` means, as much of each node as `wanted` says, none of which touch
/// what is `taken`. Nothing for memory of the running host.
///
/// Of the free pieces it takes the smallest that is enough alone, else the largest ones: a kernel needs
/// one large piece.
///
/// # Errors
///
/// [`PoolIsShort`].
pub fn ranges(
    machine: &Machine,
    source: MemorySource,
    wanted: &BTreeMap<NodeId, Bytes>,
    taken: &[Segment],
) -> Result<Vec<Segment>, PoolIsShort> {
    let Some(kind) = kind_of(source) else { return Ok(Vec::new()) };
    let mut ranges = Vec::new();
    for (node, wanted) in wanted.iter().filter(|(_, wanted)| wanted.0 > 0) {
        let pools = machine.pools.iter().filter(|pool| pool.kind == kind);
        let pages =
            pools.filter(|pool| node_of(machine, pool) == Some(*node)).filter_map(Pool::pages);
        let mut free: Vec<Segment> = pages.flat_map(|pool| without(pool, taken)).collect();
        free.sort_by_key(|piece| {
            let enough = piece.size >= *wanted;
            (!enough, if enough { piece.size.0 } else { u64::MAX - piece.size.0 }, piece.start)
        });
        let mut missing = wanted.0;
        for piece in free {
            let size = missing.min(piece.size.0);
            if size > 0 {
                ranges.push(Segment { start: piece.start, size: Bytes(size) });
            }
            missing -= size;
        }
        if missing > 0 {
            let had = Bytes(wanted.0 - missing);
            let (node, wanted, source_name) = (*node, *wanted, source.name());
            return Err(PoolIsShort { node, source_name, had, wanted });
        }
    }
    ranges.sort_unstable();
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use boot::units::PhysAddr;

    use super::*;
    use crate::inventory::Shape;

    fn range(start_mib: u64, size_mib: u64) -> Segment {
        Segment { start: PhysAddr(start_mib << 20), size: Bytes::mib(size_mib) }
    }

    fn machine(pools: &[(u64, u64, Option<u32>)]) -> Machine {
        let mut machine = Machine::synthetic(Shape { nodes: 2, ..Shape::default() });
        machine.pools = pools
            .iter()
            .map(|(start, size, node)| Pool {
                kind: PoolKind::Memmap,
                start: range(*start, *size).start,
                size: Bytes::mib(*size),
                node: node.map(NodeId),
                unusable: None,
            })
            .collect();
        machine
    }

    fn on(node: u32, mib: u64) -> BTreeMap<NodeId, Bytes> {
        [(NodeId(node), Bytes::mib(mib))].into()
    }

    #[test]
    fn the_tightest_piece_is_taken_then_the_largest() {
        let machine = machine(&[(4096, 1024, Some(0)), (8192, 512, None), (16384, 256, Some(1))]);
        let take = |mib, taken: &[Segment]| {
            ranges(&machine, MemorySource::Memmap, &on(0, mib), taken).unwrap()
        };
        assert_eq!(take(512, &[]), [range(8192, 512)], "where nothing tells, node 0 it is");
        assert_eq!(take(512, &[range(8192, 2)]), [range(4096, 512)]);
        assert_eq!(take(1400, &[]), [range(4096, 1024), range(8192, 376)]);
        let short = ranges(&machine, MemorySource::Memmap, &on(1, 258), &[]).unwrap_err();
        assert_eq!(short.had, Bytes::mib(256));
        let other = ranges(&machine, MemorySource::SoftReserved, &on(1, 2), &[]);
        assert!(other.is_err(), "another kind of pool");
        let huge = ranges(&machine, MemorySource::default(), &on(1, 2), &[]);
        assert_eq!(huge, Ok(Vec::new()));
    }

    #[test]
    fn only_whole_pages_that_can_be_had() {
        let mut machine = machine(&[(4097, 9, Some(0)), (8192, 512, Some(0))]);
        machine.pools[1].unusable = Some("the host runs in it".to_owned());
        let take = |mib| ranges(&machine, MemorySource::Memmap, &on(0, mib), &[]);
        assert_eq!(take(8).unwrap(), [range(4098, 8)]);
        assert_eq!(take(10).unwrap_err().had, Bytes::mib(8));
    }

    proptest::proptest! {
        #[test]
        fn nobody_gets_what_another_has(
            pools in proptest::collection::vec((1_u64..60, proptest::bool::ANY), 1..6),
            wanted in proptest::collection::vec((0_u32..2, 1_u64..40), 1..12),
            gone in proptest::collection::vec(proptest::bool::ANY, 12),
        ) {
            let mut start = 4096;
            let pools: Vec<_> = pools
                .into_iter()
                .map(|(size, first)| {
                    let pool = (start, size, Some(u32::from(!first)));
                    start += size + size % 3;
                    pool
                })
                .collect();
            let machine = machine(&pools);
            let mut owners: Vec<Vec<Segment>> = Vec::new();
            for (at, (node, pages)) in wanted.into_iter().enumerate() {
                // Somebody goes now and then.
                if gone[at] && !owners.is_empty() {
                    owners.remove(at % owners.len());
                }
                let taken = owners.concat();
                let wanted = on(node, pages * 2);
                let Ok(mine) = ranges(&machine, MemorySource::Memmap, &wanted, &taken) else {
                    continue;
                };
                proptest::prop_assert_eq!(
                    mine.iter().map(|piece| piece.size.0).sum::<u64>(), pages << 21
                );
                for piece in &mine {
                    proptest::prop_assert!(!taken.iter().any(|other| other.overlaps(*piece)));
                    proptest::prop_assert!(piece.start.0.is_multiple_of(2 << 20));
                    let inside = machine.pools.iter().any(|pool| {
                        pool.place().contains(*piece) && pool.node == Some(NodeId(node))
                    });
                    proptest::prop_assert!(inside);
                }
                owners.push(mine);
            }
        }
    }
}
