//! A picture of who owns what.

use std::collections::BTreeMap;

use anstyle::Style;
use boot::units::{Bytes, CpuId, CpuSet, NodeId};

use crate::cluster::MemorySource;
use crate::inventory::Machine;
use crate::placement::Assignments;

use super::Look;
use super::look::partition_style;

/// What stands before every line.
const INDENT: usize = 6;

/// Who owns a piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner<'a> {
    Host,
    Partition(&'a str),
    /// A partition's memory that was never the host's, and where it comes from.
    Pooled(&'a str, &'static str),
    /// Partitions too small to be drawn on their own.
    Others(usize),
    /// An offline CPU that no partition has.
    Off,
}

/// Draws which CPUs and which memory of `machine` belong to whom. Small machines show every CPU,
/// large ones ranges, a line for each node. Ends with a newline.
pub fn map(machine: &Machine, owned: &Assignments, look: Look) -> String {
    let painter = Painter { look, names: owned.keys().map(String::as_str).collect() };
    let mut out = cpus(machine, owned, &painter);
    out += &memory(machine, owned, &painter);
    out
}

struct Painter<'a> {
    look: Look,
    names: Vec<&'a str>,
}

impl Painter<'_> {
    fn style(&self, owner: Owner) -> Style {
        match owner {
            Owner::Partition(name) | Owner::Pooled(name, _) => {
                self.names.binary_search(&name).map_or_else(|_| Style::new(), partition_style)
            }
            Owner::Others(_) => Style::new(),
            Owner::Host | Owner::Off => Style::new().dimmed(),
        }
    }

    fn paint(&self, owner: Owner, text: &str) -> String {
        self.look.paint(self.style(owner), text)
    }
}

impl Owner<'_> {
    fn label(&self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Partition(name) | Self::Pooled(name, _) => (*name).to_owned(),
            Self::Others(count) => format!("{count} more"),
            Self::Off => "offline".to_owned(),
        }
    }
}

fn cpus(machine: &Machine, owned: &Assignments, painter: &Painter) -> String {
    let mut owners: BTreeMap<CpuId, Owner> = BTreeMap::new();
    for cpu in &machine.cpus {
        owners.insert(cpu.id, if cpu.online { Owner::Host } else { Owner::Off });
    }
    for (name, assignment) in owned {
        for cpu in assignment.cpus.iter() {
            owners.insert(cpu, Owner::Partition(name));
        }
    }
    if machine.nodes.len() <= 1 {
        let cells = owners.iter().map(|(cpu, owner)| (*owner, cpu.0.to_string()));
        let cells: Vec<_> = cells.collect();
        let width: usize = cells.iter().map(|(owner, cpu)| cell_width(owner, cpu)).sum();
        if INDENT + width <= painter.look.width + 3 {
            return line("CPU", &cells, painter);
        }
        return line("CPU", &ranges(owners.into_iter()), painter);
    }
    let mut by_node: BTreeMap<Option<NodeId>, Vec<(CpuId, Owner)>> = BTreeMap::new();
    for (cpu, owner) in owners {
        let place = machine.cpu(cpu).and_then(|cpu| cpu.place.as_ref());
        by_node.entry(place.map(|place| place.node)).or_default().push((cpu, owner));
    }
    let lines = by_node.into_iter().map(|(node, cpus)| {
        let head = node.map_or("CPU  node ?".to_owned(), |node| format!("CPU  {node}"));
        line(&head, &ranges(cpus.into_iter()), painter)
    });
    lines.collect()
}

/// One cell for each owner, in the order of their first CPUs.
fn ranges<'a>(cpus: impl Iterator<Item = (CpuId, Owner<'a>)>) -> Vec<(Owner<'a>, String)> {
    let mut order: Vec<Owner> = Vec::new();
    let mut sets: BTreeMap<Owner, CpuSet> = BTreeMap::new();
    for (cpu, owner) in cpus {
        let set = sets.entry(owner).or_insert_with(|| {
            order.push(owner);
            CpuSet::new()
        });
        set.insert(cpu);
    }
    let text = |owner: &Owner| sets.get(owner).map(CpuSet::to_string).unwrap_or_default();
    order.iter().map(|owner| (*owner, text(owner))).collect()
}

fn cell_width(owner: &Owner, cpus: &str) -> usize {
    cpus.len() + 1 + owner.label().len() + 3
}

/// A line of cells, wrapped at the width.
fn line(head: &str, cells: &[(Owner, String)], painter: &Painter) -> String {
    let indent = if head.len() < INDENT { INDENT } else { 14 };
    let mut out = format!("{head:indent$}");
    let mut column = indent;
    for (at, (owner, cpus)) in cells.iter().enumerate() {
        let width = cell_width(owner, cpus) - 3;
        if at > 0 {
            if column + 3 + width > painter.look.width {
                out += &format!("\n{:indent$}", "");
                column = indent;
            } else {
                out += "   ";
                column += 3;
            }
        }
        out += cpus;
        out.push(' ');
        out += &painter.paint(*owner, &owner.label());
        column += width;
    }
    out + "\n"
}

fn memory(machine: &Machine, owned: &Assignments, painter: &Painter) -> String {
    let mut out = String::new();
    for node in &machine.nodes {
        let mut pieces = Vec::new();
        let mut from_kernel = 0_u64;
        for (name, assignment) in owned {
            let Some(amount) = assignment.memory.get(&node.id) else { continue };
            if assignment.source.is_from_host() {
                from_kernel = from_kernel.saturating_add(amount.0);
                pieces.push((Owner::Partition(name), *amount));
            } else {
                let source = match assignment.source {
                    MemorySource::SoftReserved => "soft",
                    other => other.words(),
                };
                pieces.push((Owner::Pooled(name, source), *amount));
            }
        }
        pieces.insert(0, (Owner::Host, Bytes(node.memory.0.saturating_sub(from_kernel))));
        pieces.retain(|(_, amount)| amount.0 > 0);
        let head = match machine.nodes.len() {
            1 => format!("{:INDENT$}", "MEM"),
            _ => format!("{:14}", format!("MEM  {}", node.id)),
        };
        let room = painter.look.width.saturating_sub(head.len());
        out += &head;
        out += &bar(pieces, room, painter);
        out.push('\n');
    }
    out
}

/// A bar of pieces, each as wide as its memory but at least as its label.
fn bar(mut pieces: Vec<(Owner, Bytes)>, room: usize, painter: &Painter) -> String {
    // Edges, a fill on each side, and spaces around the label.
    let least = |(owner, amount): &(Owner, Bytes)| label(owner, *amount).len() + 6;
    while pieces.len() > 2 && pieces.iter().map(least).sum::<usize>() > room {
        merge_two_smallest(&mut pieces);
    }
    let total: u128 = pieces.iter().map(|(_, amount)| u128::from(amount.0)).sum();
    let spare = room.saturating_sub(pieces.iter().map(least).sum()) as u128;
    let (left, fill, right) =
        if painter.look.ascii { ('[', "#", ']') } else { ('▕', "█", '▏') };
    let mut out = String::new();
    for piece in &pieces {
        let (owner, amount) = piece;
        let extra = (spare * u128::from(amount.0) / total.max(1)) as usize;
        let (before, after) = (1 + extra / 2, 1 + extra - extra / 2);
        let text =
            format!("{} {} {}", fill.repeat(before), label(owner, *amount), fill.repeat(after));
        out.push(left);
        out += &painter.paint(*owner, &text);
        out.push(right);
    }
    out
}

/// Puts the two smallest partitions into one piece at the end.
fn merge_two_smallest(pieces: &mut Vec<(Owner, Bytes)>) {
    let mut merged = (0, 0_u64);
    let others = pieces.iter().position(|(owner, _)| matches!(owner, Owner::Others(_)));
    for round in 0..2 {
        let smallest = pieces
            .iter()
            .enumerate()
            .filter(|(_, (owner, _))| matches!(owner, Owner::Partition(_) | Owner::Pooled(..)))
            .min_by_key(|(_, (_, amount))| *amount)
            .map(|(at, _)| at);
        let at = match (round, others) {
            (0, Some(at)) => Some(at),
            _ => smallest,
        };
        let Some(at) = at else { break };
        let (owner, amount) = pieces.remove(at);
        merged.0 += if let Owner::Others(count) = owner { count } else { 1 };
        merged.1 = merged.1.saturating_add(amount.0);
    }
    pieces.push((Owner::Others(merged.0), Bytes(merged.1)));
}

fn label(owner: &Owner, amount: Bytes) -> String {
    let from =
        if let Owner::Pooled(_, source) = owner { format!(" {source}") } else { String::new() };
    format!("{} {}{from}", owner.label(), short(amount))
}

/// `3.0G`, `512M`
fn short(amount: Bytes) -> String {
    for (unit, shift) in [("T", 40), ("G", 30)] {
        if amount.0 >> shift > 0 {
            let tenths = (u128::from(amount.0) * 10) >> shift;
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{}M", amount.0 >> 20)
}
