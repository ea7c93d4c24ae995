//! Why a partition is where it is, in words.

use std::collections::BTreeSet;

use boot::units::CpuSet;

use crate::inventory::Machine;

use super::{CpuReason, MemoryReason, Placement};

/// Why partition `name` got these CPUs and this memory, line by line; `None` where there is no such
/// partition.
pub fn explain(machine: &Machine, placement: &Placement, name: &str) -> Option<Vec<String>> {
    let placed = placement.partitions.get(name)?;
    let cpus = &placed.assignment.cpus;
    let mut lines = vec![match &placed.cpus_because {
        CpuReason::Asked => format!("CPUs {cpus}: the cluster file asks for them by number"),
        CpuReason::Shared => "no CPUs of its own: it runs on the host's".to_owned(),
        CpuReason::Kept => format!("CPUs {cpus}: it has them already, and they serve"),
        CpuReason::Resized(stays) if stays == cpus => {
            format!("CPUs {cpus}: it has them already, and gives back the others")
        }
        CpuReason::Resized(stays) => {
            format!("CPUs {cpus}: it has {stays} already; the others lie nearest to these")
        }
        CpuReason::Moved(old) => format!(
            "CPUs {cpus}: it cannot stay on {old}, which somebody else asks for by number or which do not serve any more"
        ),
        CpuReason::OneCache(sharing) => format!(
            "CPUs {cpus}: they share a last-level cache (with {sharing}), the tightest one with enough free cores and memory"
        ),
        CpuReason::OneNode { caches } => format!(
            "CPUs {cpus}: no last-level cache has that many free cores; they lie on {caches} of the tightest node that has"
        ),
        CpuReason::Spread(nodes) => {
            let parts: Vec<String> =
                nodes.iter().map(|(node, cpus)| format!("{cpus} on {node}")).collect();
            format!("CPUs {cpus}: spread as asked, {}", parts.join(", "))
        }
    }];
    if !cpus.is_empty() {
        let cores = cores(machine, cpus);
        let noun = if cores == 1 { "core" } else { "cores" };
        lines.push(format!("{cores} whole {noun}: siblings are never split between owners"));
    }
    let page = placed.assignment.source.page();
    let source = placed.assignment.source.name();
    for (node, amount) in &placed.assignment.memory {
        let pages = amount.0 / page.0;
        lines.push(format!("memory {amount} on {node}: {pages} pages of {page} ({source})"));
    }
    let memory = match placed.memory_because {
        MemoryReason::Kept => "memory: it has it already, and it serves",
        MemoryReason::BesideCpus => "memory: beside the CPUs, in proportion to them",
        MemoryReason::Uneven => {
            "memory: a node of its CPUs has too little left, so that others hold more"
        }
    };
    lines.push(memory.to_owned());
    Some(lines)
}

fn cores(machine: &Machine, cpus: &CpuSet) -> usize {
    let places = cpus.iter().filter_map(|cpu| machine.cpu(cpu)?.place.as_ref());
    let first = places.map(|place| (place.node, place.siblings.iter().next()));
    first.collect::<BTreeSet<_>>().len()
}
