//! The cores that nobody owns yet, ordered so that a fitting place is found without looking at all.

use std::collections::{BTreeMap, BTreeSet};

use super::topology::Topology;

/// Free cores.
pub struct Free<'t> {
    topology: &'t Topology,
    /// Who owns a core: the index of a request.
    owner: Vec<Option<usize>>,
    caches: Vec<FreeCache>,
    /// Caches by how many CPUs are free in them.
    by_room: BTreeSet<(usize, usize)>,
    /// Free CPUs of each node.
    nodes: Vec<usize>,
}

#[derive(Default)]
struct FreeCache {
    cpus: usize,
    /// Free cores by their number of CPUs.
    by_size: BTreeMap<usize, BTreeSet<usize>>,
}

impl<'t> Free<'t> {
    /// All cores but those that stay with the host.
    pub fn new(topology: &'t Topology) -> Self {
        let mut free = Self {
            topology,
            owner: vec![None; topology.cores.len()],
            caches: topology.caches.iter().map(|_| FreeCache::default()).collect(),
            by_room: BTreeSet::new(),
            nodes: vec![0; topology.nodes.len()],
        };
        for (index, core) in topology.cores.iter().enumerate() {
            if core.kept.is_none() {
                free.nodes[core.node] += core.cpus.len();
                let cache = &mut free.caches[core.cache];
                cache.cpus += core.cpus.len();
                cache.by_size.entry(core.cpus.len()).or_default().insert(index);
            }
        }
        free.by_room = free.caches.iter().enumerate().map(|(at, cache)| (cache.cpus, at)).collect();
        free
    }

    /// Whether a core can be taken.
    pub fn is_free(&self, core: usize) -> bool {
        self.owner[core].is_none() && self.topology.cores[core].kept.is_none()
    }

    /// Who owns a core.
    pub fn owner(&self, core: usize) -> Option<usize> {
        self.owner[core]
    }

    /// Free CPUs of a node.
    pub fn on_node(&self, node: usize) -> usize {
        self.nodes[node]
    }

    /// Free CPUs of the machine.
    pub fn total(&self) -> usize {
        self.nodes.iter().sum()
    }

    /// Takes cores that are free.
    pub fn claim(&mut self, cores: &[usize], owner: usize) {
        for index in cores {
            let core = &self.topology.cores[*index];
            self.owner[*index] = Some(owner);
            self.nodes[core.node] -= core.cpus.len();
            let cache = &mut self.caches[core.cache];
            self.by_room.remove(&(cache.cpus, core.cache));
            cache.cpus -= core.cpus.len();
            self.by_room.insert((cache.cpus, core.cache));
            if let Some(cores) = cache.by_size.get_mut(&core.cpus.len()) {
                cores.remove(index);
            }
        }
    }

    /// Gives cores back that were taken.
    pub fn release(&mut self, cores: &[usize]) {
        for index in cores {
            let core = &self.topology.cores[*index];
            self.owner[*index] = None;
            self.nodes[core.node] += core.cpus.len();
            let cache = &mut self.caches[core.cache];
            self.by_room.remove(&(cache.cpus, core.cache));
            cache.cpus += core.cpus.len();
            self.by_room.insert((cache.cpus, core.cache));
            cache.by_size.entry(core.cpus.len()).or_default().insert(*index);
        }
    }

    /// The tightest cache that holds `cpus` in whole cores, and the cores; only nodes that `fits`
    /// accepts.
    pub fn tightest_cache(
        &self,
        cpus: usize,
        fits: impl Fn(usize) -> bool,
    ) -> Option<(usize, Vec<usize>)> {
        self.by_room.range((cpus, 0)..).find_map(|(_, cache)| {
            if !fits(self.topology.caches[*cache].node) {
                return None;
            }
            let (cores, missing) = self.take(*cache, cpus);
            (missing == 0).then_some((*cache, cores))
        })
    }

    /// Cores of one node with together `cpus` CPUs: the free ones of `preferred` first, then as few
    /// caches as possible.
    pub fn in_node(&self, node: usize, cpus: usize, preferred: &[usize]) -> Option<Vec<usize>> {
        if self.nodes[node] < cpus {
            return None;
        }
        let mut missing = cpus;
        let mut cores = Vec::new();
        for core in preferred {
            let size = self.topology.cores[*core].cpus.len();
            if self.topology.cores[*core].node == node && self.is_free(*core) && size <= missing {
                cores.push(*core);
                missing -= size;
            }
        }
        let taken: BTreeSet<usize> = cores.iter().copied().collect();
        let near = cores.first().map(|core| self.topology.cores[*core].cache);
        let mut caches = self.topology.caches_of[node].clone();
        // The cache of what it has already, then one that is enough alone (the tightest), then the
        // roomiest.
        caches.sort_by_key(|cache| {
            let room = self.caches[*cache].cpus;
            let enough = room >= missing;
            (Some(*cache) != near, !enough, if enough { room } else { usize::MAX - room }, *cache)
        });
        for cache in caches {
            if missing == 0 {
                break;
            }
            for (size, free) in self.caches[cache].by_size.iter().rev() {
                let wanted = missing / size;
                let more: Vec<usize> = free
                    .iter()
                    .filter(|core| !taken.contains(core))
                    .take(wanted)
                    .copied()
                    .collect();
                missing -= more.len() * size;
                cores.extend(more);
            }
        }
        (missing == 0).then_some(cores)
    }

    /// Free cores of a cache, the most threaded first, with at most `cpus` CPUs; and what is missing.
    fn take(&self, cache: usize, cpus: usize) -> (Vec<usize>, usize) {
        let mut missing = cpus;
        let mut cores = Vec::new();
        for (size, free) in self.caches[cache].by_size.iter().rev() {
            let wanted = missing / size;
            let before = cores.len();
            cores.extend(free.iter().take(wanted).copied());
            missing -= (cores.len() - before) * size;
        }
        (cores, missing)
    }
}
