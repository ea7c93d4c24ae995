//! How much memory of each kind is left on each node.

use std::collections::BTreeMap;

use boot::units::{Bytes, NodeId};

use crate::cluster::MemorySource;
use crate::inventory::{Machine, PoolKind};

use super::{MemoryReason, ranges};

/// One part in so many of a node's memory stays with the host on that very node: the kernel keeps
/// its page descriptors there (1/64) and what its drivers and tasks on the node allocate.
const NODE_SHARE: u64 = 16;
/// What the host keeps where the file does not say: this, or a quarter of a small machine.
const HOST_DEFAULT: Bytes = Bytes::gib(1);

/// The memory of all nodes.
pub fn total(machine: &Machine) -> Bytes {
    Bytes(machine.nodes.iter().fold(0, |sum: u64, node| sum.saturating_add(node.memory.0)))
}

/// Memory that is left.
pub struct Memory {
    /// Of the kernel's own memory, by node index.
    kernel: Vec<u64>,
    /// Of all nodes together.
    kernel_total: u64,
    soft_reserved: Vec<u64>,
    memmap: Vec<u64>,
    /// The node whose memory is nearest to each node: itself, unless it has none.
    home: Vec<usize>,
}

/// Memory found for a partition, by node index.
pub type Found = (BTreeMap<usize, u64>, MemoryReason);

impl Memory {
    /// All memory but the host's share.
    pub fn new(machine: &Machine, host: Option<Bytes>) -> Self {
        let total = total(machine).0;
        let keep = host.unwrap_or(HOST_DEFAULT.min(Bytes(total / 4))).0.min(total);
        let kernel = machine.nodes.iter().map(|node| {
            // Where the host keeps less than that altogether, its share of each node shrinks too.
            let even = u128::from(keep) * u128::from(node.memory.0) / u128::from(total.max(1));
            node.memory.0 - (node.memory.0 / NODE_SHARE).min(even as u64)
        });
        let index = |id: NodeId| machine.nodes.binary_search_by_key(&id, |node| node.id).ok();
        let mut pools = [vec![0_u64; machine.nodes.len()], vec![0; machine.nodes.len()]];
        for pool in &machine.pools {
            let list = &mut pools[usize::from(pool.kind == PoolKind::Memmap)];
            let node = ranges::node_of(machine, pool).and_then(index);
            if let (Some(amount), Some(pages)) =
                (node.and_then(|at| list.get_mut(at)), pool.pages())
            {
                *amount = amount.saturating_add(pages.size.0);
            }
        }
        let [soft_reserved, memmap] = pools;
        let home = machine.nodes.iter().enumerate().map(|(at, node)| {
            let near = machine.nodes.iter().enumerate().filter(|(_, node)| node.memory.0 > 0);
            let distance = |to: usize| node.distances.get(to).copied().unwrap_or(u32::MAX);
            if node.memory.0 > 0 {
                at
            } else {
                near.min_by_key(|(to, _)| distance(*to)).map_or(at, |(to, _)| to)
            }
        });
        Self {
            kernel: kernel.collect(),
            kernel_total: total - keep,
            soft_reserved,
            memmap,
            home: home.collect(),
        }
    }

    fn amounts(&self, source: MemorySource) -> &[u64] {
        match source {
            MemorySource::Hugetlb { .. } | MemorySource::Snapshot => &self.kernel,
            MemorySource::SoftReserved => &self.soft_reserved,
            MemorySource::Memmap => &self.memmap,
        }
    }

    /// The node whose memory CPUs of `node` use.
    pub fn home(&self, node: usize) -> usize {
        self.home[node]
    }

    /// What is left on a node, in whole pages.
    pub fn on_node(&self, node: usize, source: MemorySource) -> Bytes {
        let left = self.amounts(source)[node];
        let left = match source {
            source if source.is_from_host() => left.min(self.kernel_total),
            _ => left,
        };
        Bytes(left - left % source.page().0)
    }

    /// What is left on all nodes together.
    pub fn total(&self, source: MemorySource) -> Bytes {
        let page = source.page().0;
        let whole = self.amounts(source).iter().map(|left| left - left % page);
        let sum = whole.fold(0, u64::saturating_add);
        match source {
            source if source.is_from_host() => Bytes(sum.min(self.kernel_total)),
            _ => Bytes(sum),
        }
    }

    /// Divides an amount over nodes by their weights. Where a node has less than its part, the
    /// others (and `overflow`) hold more. `None` where they have too little together.
    pub fn find(
        &self,
        amount: Bytes,
        source: MemorySource,
        weights: &[(usize, usize)],
        overflow: &[usize],
    ) -> Option<Found> {
        let page = source.page().0;
        let pages = amount.0 / page;
        let total_weight: u64 = weights.iter().map(|(_, weight)| *weight as u64).sum();
        if source.is_from_host() && amount.0 > self.kernel_total {
            return None;
        }
        let mut found: BTreeMap<usize, u64> = BTreeMap::new();
        let mut given = 0;
        let mut weight_so_far = 0;
        let mut missing = 0;
        let room = |found: &BTreeMap<usize, u64>, node: usize| {
            self.amounts(source)[node] / page - found.get(&node).copied().unwrap_or(0)
        };
        for (node, weight) in weights {
            // Rounded so that the parts add up.
            weight_so_far += *weight as u64;
            let until =
                u128::from(pages) * u128::from(weight_so_far) / u128::from(total_weight.max(1));
            let part = until as u64 - given;
            given += part;
            let node = self.home(*node);
            let fits = part.min(room(&found, node));
            *found.entry(node).or_default() += fits;
            missing += part - fits;
        }
        let reason = if missing == 0 { MemoryReason::BesideCpus } else { MemoryReason::Uneven };
        let others = weights.iter().map(|(node, _)| *node).chain(overflow.iter().copied());
        for node in others.map(|node| self.home(node)) {
            let more = missing.min(room(&found, node));
            *found.entry(node).or_default() += more;
            missing -= more;
        }
        found.retain(|_, pages| *pages > 0);
        let bytes = found.into_iter().map(|(node, pages)| (node, pages * page)).collect();
        (missing == 0).then_some((bytes, reason))
    }

    /// Takes memory; false, and nothing taken, where it is not there.
    pub fn claim(&mut self, amounts: &BTreeMap<usize, u64>, source: MemorySource) -> bool {
        let sum = amounts.values().fold(0_u64, |sum, amount| sum.saturating_add(*amount));
        let left = self.amounts(source);
        let from_kernel = source.is_from_host();
        if amounts.iter().any(|(node, amount)| left[*node] < *amount)
            || (from_kernel && sum > self.kernel_total)
        {
            return false;
        }
        if from_kernel {
            self.kernel_total -= sum;
        }
        let list = match source {
            MemorySource::Hugetlb { .. } | MemorySource::Snapshot => &mut self.kernel,
            MemorySource::SoftReserved => &mut self.soft_reserved,
            MemorySource::Memmap => &mut self.memmap,
        };
        for (node, amount) in amounts {
            list[*node] -= amount;
        }
        true
    }
}
