//! The order in which partitions are placed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use boot::units::{Bytes, CpuSet};

use crate::cluster::{Cluster, Cpus, Numa, Partition};
use crate::inventory::Machine;

use super::free::Free;
use super::memory::{Found, Memory};
use super::refusal::{Refusal, Rule};
use super::topology::Topology;
use super::{
    Assignment, Assignments, CpuReason, HostShare, MemoryReason, Placed, Placement, check, search,
    sets,
};

/// One partition on its way to a place.
#[derive(Clone)]
pub(super) struct Request<'a> {
    pub name: &'a str,
    pub partition: &'a Partition,
    pub current: Option<&'a Assignment>,
    pub cores: Option<(Vec<usize>, CpuReason)>,
    pub memory: Option<Found>,
    pub refused: bool,
}

/// The state of a placement.
pub(super) struct Placer<'a> {
    pub machine: &'a Machine,
    pub topology: &'a Topology,
    pub free: Free<'a>,
    pub memory: Memory,
    pub requests: Vec<Request<'a>>,
    pub refusals: Vec<Refusal>,
}

/// Divides `machine` as `cluster` asks for. `current` is what partitions own now; those that the
/// cluster does not name any more lose it.
///
/// # Errors
/// Every [`Refusal`]; nothing is placed then.
pub fn place(
    machine: &Machine,
    cluster: &Cluster,
    current: &Assignments,
) -> Result<Placement, Vec<Refusal>> {
    let owned: CpuSet = current.values().flat_map(|assignment| assignment.cpus.iter()).collect();
    let no_cpus = CpuSet::new();
    let host = cluster.host.cpus.as_ref().unwrap_or(&no_cpus);
    let topology = Topology::new(machine, &owned, host);
    let requests = cluster.partitions.iter().map(|(name, partition)| Request {
        name,
        partition,
        current: current.get(name),
        cores: None,
        memory: None,
        refused: false,
    });
    let mut placer = Placer {
        machine,
        topology: &topology,
        free: Free::new(&topology),
        memory: Memory::new(machine, cluster.host.memory),
        requests: requests.collect(),
        refusals: Vec::new(),
    };
    check::host(&mut placer, cluster);
    let all = 0..placer.requests.len();
    all.clone().for_each(|at| check::request(&mut placer, at));
    all.clone().for_each(|at| sets::claim_set(&mut placer, at));
    all.clone().for_each(|at| placer.share_cpus(at));
    all.clone().for_each(|at| placer.keep_cpus(at));
    // What stays exactly as it is comes before what takes more: the latter cannot push it away.
    all.clone().for_each(|at| placer.keep_memory(at));
    all.for_each(|at| placer.memory_for_cpus(at));
    for at in placer.by_size() {
        search::search(&mut placer, at);
    }
    if placer.refusals.is_empty() { Ok(placer.finish()) } else { Err(placer.refusals) }
}

impl Placer<'_> {
    /// Refuses the request at `at`.
    pub fn refuse(
        &mut self,
        at: usize,
        rule: Rule,
        field: &'static str,
        message: String,
        hint: impl Into<String>,
    ) {
        let request = &mut self.requests[at];
        request.refused = true;
        let partitions = vec![request.name.to_owned()];
        self.refusals.push(Refusal { rule, partitions, field, message, hint: hint.into() });
    }

    /// Gives a request that shares the host's CPUs none of its own.
    fn share_cpus(&mut self, at: usize) {
        if matches!(self.requests[at].partition.cpus, Cpus::Shared(_)) {
            self.requests[at].cores = Some((Vec::new(), CpuReason::Shared));
        }
    }

    /// On which nodes the memory of a request belongs that has these cores, and in which proportion.
    fn weights(&self, at: usize, cores: &[usize]) -> Vec<(usize, usize)> {
        let Request { partition, current, .. } = &self.requests[at];
        if !matches!(partition.cpus, Cpus::Shared(_)) {
            return self.topology.by_node(cores);
        }
        let all = 0..self.topology.nodes.len();
        match &partition.numa {
            Some(Numa::Nodes(_)) => {
                self.listed_nodes(at).into_iter().map(|node| (node, 1)).collect()
            }
            Some(Numa::Spread) => all.map(|node| (node, 1)).collect(),
            None | Some(Numa::Local) => {
                let has = |node: usize| {
                    let memory = current.map(|current| &current.memory);
                    memory.is_some_and(|memory| memory.contains_key(&self.topology.nodes[node]))
                };
                let room = |node: usize| self.memory.on_node(node, partition.memory_source);
                // Where it has some already, else the roomiest.
                let best = all.max_by_key(|node| (has(*node), room(*node), Reverse(*node)));
                best.into_iter().map(|node| (node, 1)).collect()
            }
        }
    }

    /// Keeps the CPUs of a request for a count, if they serve.
    fn keep_cpus(&mut self, at: usize) {
        let request = &self.requests[at];
        let count = self.topology.count(&request.partition.cpus);
        let (Some(current), Some(count)) = (request.current, count) else { return };
        if request.refused || current.cpus.len() != count {
            return;
        }
        let Some(cores) = sets::whole_cores(self.topology, &current.cpus) else { return };
        if cores.iter().all(|core| self.free.is_free(*core)) && self.serves(at, &cores) {
            self.free.claim(&cores, at);
            self.requests[at].cores = Some((cores, CpuReason::Kept));
        }
    }

    /// Whether cores lie on nodes as a request asks for.
    fn serves(&self, at: usize, cores: &[usize]) -> bool {
        let request = &self.requests[at];
        let nodes = self.topology.by_node(cores);
        let asked_before =
            request.current.is_some_and(|current| current.numa == request.partition.numa);
        let has_cpus = |node: &usize| !self.topology.caches_of[*node].is_empty();
        // Whether it is spread, where that is possible at all.
        let spread =
            |possible: usize| asked_before || nodes.len() > 1 || possible < 2 || cores.len() < 2;
        match &request.partition.numa {
            None | Some(Numa::Local) => nodes.len() == 1,
            Some(Numa::Spread) => spread((0..self.topology.nodes.len()).filter(has_cpus).count()),
            Some(Numa::Nodes(_)) => {
                let listed = self.listed_nodes(at);
                nodes.iter().all(|(node, _)| listed.contains(node))
                    && spread(listed.iter().filter(|node| has_cpus(node)).count())
            }
        }
    }

    /// Keeps the memory of a request that has its CPUs, if it serves.
    fn keep_memory(&mut self, at: usize) {
        let request = &self.requests[at];
        let (Some(current), Some((cores, _))) = (request.current, &request.cores) else { return };
        if current.source != request.partition.memory_source
            || current.memory_total() != request.partition.memory
        {
            return;
        }
        let beside = self.weights(at, cores).into_iter();
        let mut allowed: Vec<usize> = beside.map(|(node, _)| self.memory.home(node)).collect();
        allowed.extend(self.listed_nodes(at));
        let mut amounts = BTreeMap::new();
        for (node, amount) in &current.memory {
            match self.topology.node_index(*node).filter(|node| allowed.contains(node)) {
                Some(node) if amount.0.is_multiple_of(current.source.page().0) => {
                    amounts.insert(node, amount.0);
                }
                _ => return,
            }
        }
        if self.memory.claim(&amounts, current.source) {
            self.requests[at].memory = Some((amounts, MemoryReason::Kept));
        }
    }

    /// The nodes that a request lists: their memory may be used even without CPUs on them.
    pub fn listed_nodes(&self, at: usize) -> Vec<usize> {
        match &self.requests[at].partition.numa {
            Some(Numa::Nodes(list)) => {
                list.iter().filter_map(|id| self.topology.node_index(*id)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Finds memory for a request that has its CPUs and no memory yet.
    fn memory_for_cpus(&mut self, at: usize) {
        let request = &self.requests[at];
        let Some((cores, reason)) = &request.cores else { return };
        if request.refused || request.memory.is_some() {
            return;
        }
        let weights = self.weights(at, cores);
        let asked = matches!(reason, CpuReason::Asked | CpuReason::Shared);
        if self.take_memory(at, &weights) {
            return;
        }
        if asked {
            self.refuse_memory(at, &weights);
        } else if let Some((cores, _)) = self.requests[at].cores.take() {
            // There may be room for all of it elsewhere: it is searched for with the new ones.
            self.free.release(&cores);
        }
    }

    /// Takes a request's memory beside CPUs on these nodes, if it is there.
    pub fn take_memory(&mut self, at: usize, weights: &[(usize, usize)]) -> bool {
        let partition = self.requests[at].partition;
        let (amount, source) = (partition.memory, partition.memory_source);
        let found = self.memory.find(amount, source, weights, &self.listed_nodes(at));
        match found {
            Some(found) if self.memory.claim(&found.0, source) => {
                self.requests[at].memory = Some(found);
                true
            }
            _ => false,
        }
    }

    /// Refuses a request because of memory.
    pub fn refuse_memory(&mut self, at: usize, weights: &[(usize, usize)]) {
        let Request { name, partition, .. } = self.requests[at];
        let (memory, source) = (partition.memory, partition.memory_source);
        // In whole pages: as much could be asked for.
        let whole = |amount: Bytes| Bytes(amount.0 - amount.0 % source.page().0);
        let total = whole(self.memory.total(source));
        if total < memory {
            let message =
                format!("\"{name}\" asks for {memory}, and {total} are left to give away");
            let hint = match source {
                source if source.is_from_host() => {
                    "ask for less, take some from another partition, or lower `host.memory`"
                }
                _ => "ask for less, take some from another partition, or boot the host with more",
            };
            self.refuse(at, Rule::FreeMemory, "memory", message, hint);
            return;
        }
        let left = weights.iter().map(|(node, _)| self.memory.home(*node)).map(|node| {
            format!(
                "{} has {}",
                self.topology.nodes[node],
                whole(self.memory.on_node(node, source))
            )
        });
        let left = left.collect::<Vec<_>>().join(", ");
        let message = format!("\"{name}\" asks for {memory} beside its CPUs, where {left} left");
        let hint = "ask for less, or for CPUs on other nodes";
        self.refuse(at, Rule::FreeMemory, "memory", message, hint);
    }

    /// The requests that have no CPUs yet, the largest first.
    fn by_size(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.requests.len())
            .filter(|at| !self.requests[*at].refused && self.requests[*at].cores.is_none())
            .collect();
        // Requests stand in the order of names, and the sort is stable.
        order.sort_by_key(|at| {
            let partition = self.requests[*at].partition;
            let count = self.topology.count(&partition.cpus).unwrap_or(0);
            (Reverse(count), Reverse(partition.memory))
        });
        order
    }

    fn finish(self) -> Placement {
        let mut placement = Placement::default();
        let mut from_kernel = 0_u64;
        let all = self.topology.cores.iter().flat_map(|core| core.cpus.iter().copied());
        let mut host: CpuSet = all.chain(self.machine.online().iter()).collect();
        for request in self.requests {
            let (Some((cores, cpus_because)), Some((memory, memory_because))) =
                (request.cores, request.memory)
            else {
                continue;
            };
            let source = request.partition.memory_source;
            let memory = memory
                .iter()
                .map(|(node, amount)| (self.topology.nodes[*node], Bytes(*amount)))
                .collect();
            let numa = request.partition.numa.clone();
            let assignment = Assignment { cpus: self.topology.cpus(&cores), memory, source, numa };
            if source.is_from_host() {
                from_kernel += assignment.memory_total().0;
            }
            for cpu in assignment.cpus.iter() {
                host.remove(cpu);
            }
            let placed = Placed { assignment, cpus_because, memory_because };
            placement.partitions.insert(request.name.to_owned(), placed);
        }
        let total = super::memory::total(self.machine);
        placement.host = HostShare { cpus: host, memory: Bytes(total.0 - from_kernel) };
        placement
    }
}
