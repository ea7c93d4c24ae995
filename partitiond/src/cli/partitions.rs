//! `ps`, `show`, `map`: the partitions as they are.

use super::exit::Failure;
use super::render::{details, overview};
use super::{Context, connect, output, terminal};
use crate::api::{PartitionStatus, Phase};
use crate::inventory::Machine;
use crate::placement::{Assignment, Assignments};
use crate::plan::Look;

/// `ps`
pub fn ps(context: &Context) -> Result<(), Failure> {
    let partitions = connect::existing(context)?.partitions()?;
    match context.json() {
        true => output::json(&partitions),
        false => output::text(&overview(&partitions, context.out())),
    }
}

/// `show NAME`
pub fn show(context: &Context, name: &str) -> Result<(), Failure> {
    let partition = connect::existing(context)?.partition(name)?;
    match context.json() {
        true => output::json(&partition),
        false => output::text(&details(&partition, context.out())),
    }
}

/// `map`
pub fn map(context: &Context) -> Result<(), Failure> {
    let client = connect::existing(context)?;
    let (machine, partitions) = (client.machine()?.machine, client.partitions()?);
    if context.json() {
        return output::json(&assignments(&partitions));
    }
    output::text(&draw(&machine, &partitions, context.out().look(terminal::width())))
}

/// Who has which CPUs and which memory.
pub fn draw(machine: &Machine, partitions: &[PartitionStatus], look: Look) -> String {
    crate::plan::map(machine, &assignments(partitions), look)
}

/// What the partitions hold: those that have ended hold nothing.
fn assignments(partitions: &[PartitionStatus]) -> Assignments {
    let holding = partitions.iter().filter(|status| status.phase != Phase::Ended);
    holding
        .map(|status| {
            let assignment = Assignment {
                cpus: status.cpus.clone(),
                memory: status.nodes.iter().map(|share| (share.node, share.size)).collect(),
                source: status.memory_source,
                numa: None,
            };
            (status.name.clone(), assignment)
        })
        .collect()
}
