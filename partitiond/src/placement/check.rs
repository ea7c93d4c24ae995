//! What a cluster asks for that a machine cannot give, whoever else asks for what.

use boot::units::{Bytes, CpuId, CpuSet};

use crate::cluster::{Cluster, MIN_MEMORY, MemorySource, Numa};

use super::memory::total;
use super::place::Placer;
use super::ranges;
use super::refusal::{Refusal, Rule};

/// Checks the host's share.
pub(super) fn host(placer: &mut Placer, cluster: &Cluster) {
    let mut refuse = |rule, field, message, hint: &str| {
        let hint = hint.to_owned();
        placer.refusals.push(Refusal { rule, partitions: Vec::new(), field, message, hint });
    };
    if let Some(cpus) = &cluster.host.cpus {
        let unknown: CpuSet = cpus.iter().filter(|id| placer.machine.cpu(*id).is_none()).collect();
        if !unknown.is_empty() {
            let message = format!("the host is to keep CPU {unknown}, which is not there");
            refuse(Rule::UnknownCpu, "host.cpus", message, "name CPUs that the machine has");
        }
    }
    let total = total(placer.machine);
    if let Some(memory) = cluster.host.memory.filter(|memory| *memory > total) {
        let message = format!("the host is to keep {memory}, and the machine has {total}");
        refuse(Rule::HostShare, "host.memory", message, "ask for less");
    }
}

/// Checks the request at `at`.
pub(super) fn request(placer: &mut Placer, at: usize) {
    amount(placer, at);
    source(placer, at);
    nodes(placer, at);
}

fn amount(placer: &mut Placer, at: usize) {
    let partition = placer.requests[at].partition;
    let page = partition.memory_source.page();
    if partition.memory < MIN_MEMORY || !partition.memory.0.is_multiple_of(page.0) {
        let message = format!("\"{}\" asks for {}", placer.requests[at].name, partition.memory);
        let hint = format!("ask for at least {MIN_MEMORY}, in whole pages of {page}");
        placer.refuse(at, Rule::MemoryAmount, "memory", message, hint);
    }
}

fn source(placer: &mut Placer, at: usize) {
    let source = placer.requests[at].partition.memory_source;
    let page = source.page();
    let sizes = &placer.machine.hugepage_sizes;
    let (what, hint) = match source {
        MemorySource::Snapshot => return,
        MemorySource::Hugetlb { .. } if sizes.contains(&page) => return,
        MemorySource::Hugetlb { .. } if sizes.is_empty() => {
            (format!("huge pages of {page}"), "take another memory source".to_owned())
        }
        MemorySource::Hugetlb { .. } => {
            let sizes = sizes.iter().map(Bytes::to_string).collect::<Vec<_>>().join(", ");
            (format!("huge pages of {page}"), format!("take pages that it has ({sizes})"))
        }
        _ if placer.memory.total(source) > Bytes(0) => return,
        _ => {
            let hint = "boot the host with such a pool, or take `Hugetlb`".to_owned();
            (format!("{} memory", source.name()), hint)
        }
    };
    let name = placer.requests[at].name;
    let mut message = format!("\"{name}\" asks for {what}, which this machine does not have");
    let kind = ranges::kind_of(source);
    for pool in placer.machine.pools.iter().filter(|pool| Some(pool.kind) == kind) {
        let why = pool.unusable.as_deref().unwrap_or("it holds no whole page of 2 MiB");
        message += &format!("; of {} at {:?}: {why}", pool.size, pool.start);
    }
    placer.refuse(at, Rule::MemorySource, "memory_source", message, hint);
}

fn nodes(placer: &mut Placer, at: usize) {
    let Some(Numa::Nodes(nodes)) = &placer.requests[at].partition.numa else { return };
    let list = |nodes: &mut dyn Iterator<Item = u32>| nodes.map(CpuId).collect::<CpuSet>();
    let known = |node: &&boot::units::NodeId| placer.topology.node_index(**node).is_some();
    let unknown = list(&mut nodes.iter().filter(|node| !known(node)).map(|node| node.0));
    if !unknown.is_empty() {
        let name = placer.requests[at].name;
        let message = format!("\"{name}\" asks for node {unknown}, which is not there");
        let all = list(&mut placer.topology.nodes.iter().map(|node| node.0));
        let hint = format!("the nodes of this machine are {all}");
        placer.refuse(at, Rule::UnknownNode, "numa", message, hint);
    }
}
