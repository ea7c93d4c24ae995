//! Cores, caches and nodes of a machine, as placement looks at them.

use std::collections::HashMap;

use boot::units::{CpuId, CpuSet, NodeId};

use crate::cluster::Cpus;
use crate::inventory::Machine;

/// A core: the smallest thing that is given away.
pub struct Core {
    /// Its CPUs that are online or belong to a partition.
    pub cpus: Vec<CpuId>,
    /// Index of its cache.
    pub cache: usize,
    /// Index of its node.
    pub node: usize,
    /// Whether it stays with the host, and why.
    pub kept: Option<Kept>,
}

/// Why a core stays with the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It holds the boot CPU.
    Boot,
    /// It holds a CPU of `host.cpus`.
    Host,
    /// The kernel cannot take one of its CPUs offline.
    Fixed,
}

/// The cores that share a last-level cache, on one node.
pub struct Cache {
    /// Index of its node.
    pub node: usize,
    /// Its cores, by index.
    pub cores: Vec<usize>,
}

/// The cores of a machine.
pub struct Topology {
    /// All cores with a usable CPU.
    pub cores: Vec<Core>,
    /// All last-level caches.
    pub caches: Vec<Cache>,
    /// The nodes' numbers, ascending.
    pub nodes: Vec<NodeId>,
    /// Caches of each node.
    pub caches_of: Vec<Vec<usize>>,
    core_of: HashMap<CpuId, usize>,
    /// CPUs of the most threaded core that can be given away.
    pub threads: usize,
    /// Whether all cores that can be given away have as many.
    pub uniform: bool,
}

impl Topology {
    /// Sorts the CPUs into cores. Usable is what is online, or `owned` by a partition (for which it
    /// was taken offline).
    pub fn new(machine: &Machine, owned: &CpuSet, host: &CpuSet) -> Self {
        let nodes: Vec<NodeId> = machine.nodes.iter().map(|node| node.id).collect();
        let mut topology = Self {
            cores: Vec::new(),
            caches: Vec::new(),
            caches_of: vec![Vec::new(); nodes.len()],
            nodes,
            core_of: HashMap::new(),
            threads: 1,
            uniform: true,
        };
        let mut by_sibling = HashMap::new();
        let mut by_cache = HashMap::new();
        for cpu in &machine.cpus {
            let Some(place) = &cpu.place else { continue };
            if !cpu.online && !owned.contains(cpu.id) {
                continue;
            }
            let Some(node) = topology.node_index(place.node) else { continue };
            // Sets are told apart by their first CPU; a cache may span nodes, a group of ours not.
            let first = |set: &CpuSet| set.iter().next().unwrap_or(cpu.id);
            let core = *by_sibling.entry((node, first(&place.siblings))).or_insert_with(|| {
                let cache = *by_cache.entry((node, first(&place.llc))).or_insert_with(|| {
                    topology.caches.push(Cache { node, cores: Vec::new() });
                    topology.caches_of[node].push(topology.caches.len() - 1);
                    topology.caches.len() - 1
                });
                topology.cores.push(Core { cpus: Vec::new(), cache, node, kept: None });
                topology.caches[cache].cores.push(topology.cores.len() - 1);
                topology.cores.len() - 1
            });
            topology.core_of.insert(cpu.id, core);
            let core = &mut topology.cores[core];
            core.cpus.push(cpu.id);
            // A CPU that was taken offline once is one that can be.
            let kept = match () {
                () if cpu.boot => Some(Kept::Boot),
                () if host.contains(cpu.id) => Some(Kept::Host),
                () if !cpu.removable && cpu.online => Some(Kept::Fixed),
                () => None,
            };
            core.kept = core.kept.or(kept);
        }
        let free = topology.cores.iter().filter(|core| core.kept.is_none());
        topology.threads = free.clone().map(|core| core.cpus.len()).max().unwrap_or(1);
        topology.uniform = free.clone().all(|core| core.cpus.len() == topology.threads);
        topology
    }

    /// The core of a usable CPU.
    pub fn core_of(&self, cpu: CpuId) -> Option<usize> {
        self.core_of.get(&cpu).copied()
    }

    /// The index of a node.
    pub fn node_index(&self, id: NodeId) -> Option<usize> {
        self.nodes.binary_search(&id).ok()
    }

    /// How many CPUs a choice asks for; `None` where it names them. `Cores` are as threaded as the
    /// most threaded one that can be given away.
    pub fn count(&self, cpus: &Cpus) -> Option<usize> {
        match cpus {
            Cpus::Count(count) => Some(*count as usize),
            Cpus::Cores(cores) => Some((*cores as usize).saturating_mul(self.threads)),
            Cpus::Set(_) | Cpus::Shared(_) => None,
        }
    }

    /// The CPUs of some cores.
    pub fn cpus(&self, cores: &[usize]) -> CpuSet {
        cores.iter().flat_map(|core| self.cores[*core].cpus.iter().copied()).collect()
    }

    /// Number of CPUs on each node, of some cores; nodes ascending.
    pub fn by_node(&self, cores: &[usize]) -> Vec<(usize, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for core in cores {
            let core = &self.cores[*core];
            *counts.entry(core.node).or_default() += core.cpus.len();
        }
        counts.into_iter().collect()
    }
}
