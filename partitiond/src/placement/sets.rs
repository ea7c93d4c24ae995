//! CPUs that are asked for by number.

use std::collections::BTreeMap;

use boot::units::CpuSet;

use crate::cluster::{Cpus, Numa};

use super::CpuReason;
use super::place::Placer;
use super::refusal::{Refusal, Rule};
use super::topology::{Kept, Topology};

/// The cores that a set consists of; `None` where it splits a core, or has CPUs that nobody can use.
pub(super) fn whole_cores(topology: &Topology, set: &CpuSet) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    let mut cpus = 0;
    for cpu in set.iter() {
        let index = topology.core_of(cpu)?;
        let core = &topology.cores[index];
        // The CPUs of a core stand in ascending order: it is counted at its first.
        if core.cpus.first() == Some(&cpu) {
            if !core.cpus.iter().all(|cpu| set.contains(*cpu)) {
                return None;
            }
            cores.push(index);
            cpus += core.cpus.len();
        }
    }
    (cpus == set.len()).then_some(cores)
}

/// Gives a request the CPUs that it names, or refuses it with every reason.
pub(super) fn claim_set(placer: &mut Placer, at: usize) {
    let (name, partition) = (placer.requests[at].name, placer.requests[at].partition);
    let Cpus::Set(set) = &partition.cpus else { return };
    if refuse_cpus(placer, at, name, set) {
        return;
    }
    let Some(cores) = whole_cores(placer.topology, set) else {
        refuse_halves(placer, at, name, set);
        return;
    };
    if refuse_taken(placer, at, name, &cores) || refuse_nodes(placer, at, name, &cores) {
        return;
    }
    // Also where it was refused for something else: who asks for the same CPUs shall be told.
    placer.free.claim(&cores, at);
    placer.requests[at].cores = Some((cores, CpuReason::Asked));
}

/// Refuses CPUs that cannot be given to anybody.
fn refuse_cpus(placer: &mut Placer, at: usize, name: &str, set: &CpuSet) -> bool {
    let topology = placer.topology;
    let mut unknown = CpuSet::new();
    let mut offline = CpuSet::new();
    let mut kept = [Kept::Boot, Kept::Host, Kept::Fixed].map(|why| (why, CpuSet::new()));
    for cpu in set.iter() {
        match (placer.machine.cpu(cpu), topology.core_of(cpu)) {
            (None, _) => {
                unknown.insert(cpu);
            }
            (Some(_), None) => {
                offline.insert(cpu);
            }
            (Some(_), Some(core)) => {
                let why = topology.cores[core].kept;
                for (_, cpus) in kept.iter_mut().filter(|(kept, _)| why == Some(*kept)) {
                    cpus.insert(cpu);
                }
            }
        }
    }
    let before = placer.refusals.len();
    if !unknown.is_empty() {
        let message = format!("\"{name}\" asks for CPU {unknown}, which the machine does not have");
        let last = placer.machine.cpus.last().map_or(0, |cpu| cpu.id.0);
        placer.refuse(at, Rule::UnknownCpu, "cpus", message, format!("its CPUs go up to {last}"));
    }
    if !offline.is_empty() {
        let message = format!("\"{name}\" asks for CPU {offline}, which is offline");
        let hint = "bring it online first, or ask for others";
        placer.refuse(at, Rule::OfflineCpu, "cpus", message, hint);
    }
    let boot = placer.machine.boot_cpu();
    let number = boot.map_or(0, |cpu| cpu.0);
    for (why, cpus) in kept.into_iter().filter(|(_, cpus)| !cpus.is_empty()) {
        let (rule, reason, hint) = match why {
            Kept::Boot if boot.is_some_and(|boot| cpus.contains(boot)) => (
                Rule::BootCpu,
                format!("asks for CPU {number}, on which the host's kernel booted"),
                "that one cannot be given away: ask for others",
            ),
            Kept::Boot => (
                Rule::HalfCore,
                format!("asks for CPU {cpus}, which shares a core with the boot CPU {number}"),
                "only whole cores are given away, and the boot CPU never is: ask for others",
            ),
            Kept::Host => (
                Rule::HostShare,
                format!("asks for CPU {cpus}, on a core that the host keeps"),
                "ask for others, or take them out of `host.cpus`",
            ),
            Kept::Fixed => (
                Rule::FixedCpu,
                format!("asks for CPU {cpus}, on a core that the kernel cannot take offline"),
                "ask for others",
            ),
        };
        placer.refuse(at, rule, "cpus", format!("\"{name}\" {reason}"), hint);
    }
    placer.refusals.len() > before
}

fn refuse_halves(placer: &mut Placer, at: usize, name: &str, set: &CpuSet) {
    let topology = placer.topology;
    let cores = set.iter().filter_map(|cpu| topology.core_of(cpu));
    let whole: CpuSet = cores.flat_map(|core| topology.cores[core].cpus.iter().copied()).collect();
    let missing = whole.difference(set);
    let message = format!(
        "\"{name}\" asks for half a core: CPU {missing} shares a core with what it asks for"
    );
    let hint = format!("only whole cores are given away: ask for Set(\"{whole}\")");
    placer.refuse(at, Rule::HalfCore, "cpus", message, hint);
}

fn refuse_taken(placer: &mut Placer, at: usize, name: &str, cores: &[usize]) -> bool {
    let mut others = BTreeMap::<usize, Vec<usize>>::new();
    for core in cores {
        if let Some(owner) = placer.free.owner(*core) {
            others.entry(owner).or_default().push(*core);
        }
    }
    for (owner, cores) in &others {
        let other = placer.requests[*owner].name.to_owned();
        let cpus = placer.topology.cpus(cores);
        placer.requests[at].refused = true;
        placer.refusals.push(Refusal {
            rule: Rule::OneOwner,
            message: format!("\"{name}\" and \"{other}\" both ask for CPU {cpus}"),
            hint: "a CPU has one owner: give one of them others".to_owned(),
            partitions: vec![name.to_owned(), other],
            field: "cpus",
        });
    }
    !others.is_empty()
}

fn refuse_nodes(placer: &mut Placer, at: usize, name: &str, cores: &[usize]) -> bool {
    let nodes = placer.topology.by_node(cores);
    let ids = |nodes: &mut dyn Iterator<Item = usize>| {
        let ids: Vec<String> =
            nodes.map(|node| placer.topology.nodes[node].0.to_string()).collect();
        ids.join(", ")
    };
    let all = ids(&mut nodes.iter().map(|(node, _)| *node));
    let listed = placer.listed_nodes(at);
    let mut outside = nodes.iter().map(|(node, _)| *node).filter(|node| !listed.contains(node));
    let outside = ids(&mut outside);
    let message = match &placer.requests[at].partition.numa {
        Some(Numa::Local) if nodes.len() > 1 => {
            format!("\"{name}\" asks for one node, and its CPUs lie on nodes {all}")
        }
        Some(Numa::Nodes(_)) if !outside.is_empty() => {
            format!("\"{name}\" asks for CPUs on node {outside}, and for other nodes")
        }
        _ => return false,
    };
    let hint = "ask for CPUs of those nodes, or leave `numa` out";
    placer.refuse(at, Rule::NodesOfSet, "numa", message, hint);
    true
}
