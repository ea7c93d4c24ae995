//! The search for a place for a count of CPUs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use boot::units::CpuSet;

use crate::cluster::Numa;

use super::CpuReason;
use super::place::Placer;
use super::refusal::Rule;

/// What is searched for.
struct Wanted {
    /// Which request.
    at: usize,
    /// How many CPUs.
    cpus: usize,
    /// The CPUs that it has now.
    old: CpuSet,
    /// Their cores, so far as it can have them again.
    preferred: Vec<usize>,
}

/// Finds CPUs and memory for a request, or refuses it.
pub(super) fn search(placer: &mut Placer, at: usize) {
    let request = &placer.requests[at];
    let (partition, topology) = (request.partition, placer.topology);
    let Some(count) = topology.count(&partition.cpus) else { return };
    let old = request.current.map(|current| current.cpus.clone()).unwrap_or_default();
    let preferred: BTreeSet<usize> = old
        .iter()
        .filter_map(|cpu| topology.core_of(cpu))
        .filter(|core| placer.free.is_free(*core))
        .collect();
    let preferred = preferred.into_iter().collect();
    let wanted = Wanted { at, cpus: count, old, preferred };
    if refuse_odd(placer, &wanted) {
        return;
    }
    match &partition.numa {
        None | Some(Numa::Local) => local(placer, &wanted),
        Some(Numa::Spread) => spread(placer, &wanted, &Vec::from_iter(0..topology.nodes.len())),
        Some(Numa::Nodes(_)) => spread(placer, &wanted, &placer.listed_nodes(at)),
    }
}

/// Refuses a count that no whole cores make up.
fn refuse_odd(placer: &mut Placer, wanted: &Wanted) -> bool {
    let (count, threads) = (wanted.cpus, placer.topology.threads);
    if !placer.topology.uniform || count.is_multiple_of(threads) {
        return false;
    }
    let (down, up) = (count / threads * threads, count.next_multiple_of(threads));
    let values = if down == 0 { up.to_string() } else { format!("{down} or {up}") };
    let name = placer.requests[wanted.at].name;
    let noun = if count == 1 { "CPU" } else { "CPUs" };
    let message =
        format!("\"{name}\" asks for {count} {noun}, and a core of this machine has {threads}");
    let hint = format!("only whole cores are given away: ask for {values}");
    placer.refuse(wanted.at, Rule::HalfCore, "cpus", message, hint);
    true
}

fn local(placer: &mut Placer, wanted: &Wanted) {
    let topology = placer.topology;
    let partition = placer.requests[wanted.at].partition;
    let memory = &placer.memory;
    let fits = |node: usize| {
        memory.on_node(memory.home(node), partition.memory_source) >= partition.memory
    };

    // Where most of it is now.
    let home = topology.by_node(&wanted.preferred);
    let home = home.into_iter().max_by_key(|(node, cpus)| (*cpus, Reverse(*node)));
    let at_home = home
        .filter(|(node, _)| fits(*node))
        .and_then(|(node, _)| placer.free.in_node(node, wanted.cpus, &wanted.preferred));
    let found = if let Some(cores) = at_home {
        let stays = topology.cpus(&cores).intersection(&wanted.old);
        Some((cores, CpuReason::Resized(stays)))
    } else if let Some((cache, cores)) = placer.free.tightest_cache(wanted.cpus, fits) {
        let sharing = topology.cpus(&topology.caches[cache].cores);
        Some((cores, CpuReason::OneCache(sharing)))
    } else {
        let free = &placer.free;
        let roomy = (0..topology.nodes.len())
            .filter(|node| free.on_node(*node) >= wanted.cpus && fits(*node));
        let tightest = roomy.min_by_key(|node| free.on_node(*node));
        tightest.and_then(|node| free.in_node(node, wanted.cpus, &[])).map(|cores| {
            let caches: BTreeSet<_> =
                cores.iter().map(|core| topology.cores[*core].cache).collect();
            (cores, CpuReason::OneNode { caches: caches.len() })
        })
    };
    match found {
        Some((cores, reason)) => take(placer, wanted, cores, reason),
        None => refuse_local(placer, wanted),
    }
}

/// Gives cores to a request, with memory beside them.
fn take(placer: &mut Placer, wanted: &Wanted, cores: Vec<usize>, reason: CpuReason) {
    let weights = placer.topology.by_node(&cores);
    if !placer.take_memory(wanted.at, &weights) {
        placer.refuse_memory(wanted.at, &weights);
        return;
    }
    let moved = !wanted.old.is_empty() && !matches!(reason, CpuReason::Resized(_));
    let reason = if moved { CpuReason::Moved(wanted.old.clone()) } else { reason };
    placer.free.claim(&cores, wanted.at);
    placer.requests[wanted.at].cores = Some((cores, reason));
}

fn refuse_cpus(placer: &mut Placer, wanted: &Wanted, free: usize, of: &str) {
    let name = placer.requests[wanted.at].name;
    let count = wanted.cpus;
    let message = format!("\"{name}\" asks for {count} CPUs, and {free} are free{of}");
    let kept = placer.topology.cores.iter().filter(|core| core.kept.is_some());
    let kept: CpuSet = kept.flat_map(|core| core.cpus.iter().copied()).collect();
    let hint = format!(
        "ask for less, or shrink another partition (the host keeps CPU {kept}: the boot CPU's core and `host.cpus`)"
    );
    placer.refuse(wanted.at, Rule::FreeCpus, "cpus", message, hint);
}

fn refuse_local(placer: &mut Placer, wanted: &Wanted) {
    let request = &placer.requests[wanted.at];
    let (name, count) = (request.name, wanted.cpus);
    let (amount, source) = (request.partition.memory, request.partition.memory_source);
    if placer.free.total() < count {
        refuse_cpus(placer, wanted, placer.free.total(), "");
        return;
    }
    if placer.memory.total(source) < amount {
        placer.refuse_memory(wanted.at, &[]);
        return;
    }
    let room = |node: usize| {
        (placer.free.on_node(node), placer.memory.on_node(placer.memory.home(node), source))
    };
    let nearest = (0..placer.topology.nodes.len()).max_by_key(|node| {
        let (cpus, memory) = room(*node);
        let fits = usize::from(cpus >= count) + usize::from(memory >= amount);
        (fits, cpus.min(count), memory.min(amount), Reverse(*node))
    });
    let Some(node) = nearest else { return };
    let (cpus, memory) = room(node);
    let id = placer.topology.nodes[node];
    let message = format!(
        "\"{name}\" asks for {count} CPUs and {amount} on one node; {id} comes nearest, with {cpus} CPUs and {memory} free"
    );
    let hint = "ask for less, or for more than one node with `numa: Spread`";
    placer.refuse(wanted.at, Rule::OneNode, "cpus", message, hint);
}

fn spread(placer: &mut Placer, wanted: &Wanted, nodes: &[usize]) {
    let topology = placer.topology;
    let free = |node: usize| placer.free.on_node(node);
    let unit = topology.threads;
    let has: BTreeMap<usize, usize> = topology.by_node(&wanted.preferred).into_iter().collect();
    let mut chosen: Vec<usize> = nodes.iter().copied().filter(|node| free(*node) > 0).collect();
    let count = chosen.len().min(wanted.cpus.div_ceil(unit));
    // Nodes that it is on already, then the roomiest.
    chosen.sort_by_key(|node| (!has.contains_key(node), Reverse(free(*node)), *node));
    chosen.truncate(count);
    // The fullest first: what it cannot take, the roomier ones take.
    chosen.sort_by_key(|node| (free(*node), *node));
    let mut missing = wanted.cpus;
    let mut cores = Vec::new();
    for (done, node) in chosen.iter().enumerate() {
        let left = chosen.len() - done;
        let even = if left == 1 { missing } else { missing / unit / left * unit };
        let share = even.min(free(*node));
        if let Some(more) = placer.free.in_node(*node, share, &wanted.preferred) {
            missing -= share;
            cores.extend(more);
        }
    }
    if missing > 0 {
        let free = nodes.iter().map(|node| free(*node)).sum();
        let of = if nodes.len() < topology.nodes.len() { " on its nodes" } else { "" };
        refuse_cpus(placer, wanted, free, of);
        return;
    }
    let stays = topology.cpus(&cores).intersection(&wanted.old);
    let reason = if stays.is_empty() {
        let by_node = topology.by_node(&cores).into_iter();
        CpuReason::Spread(by_node.map(|(node, cpus)| (topology.nodes[node], cpus)).collect())
    } else {
        CpuReason::Resized(stays)
    };
    take(placer, wanted, cores, reason);
}
