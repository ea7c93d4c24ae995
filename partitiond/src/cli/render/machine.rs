//! The machine, and what stands in its way.

use std::fmt::Write;

use crate::doctor::Obstacle;
use crate::inventory::Machine;

use super::{Style, clean, short_kernel};

/// A machine in one line; `name` is what it is called: `machine`, or a rig.
pub fn headline(machine: &Machine, name: Option<&str>, style: Style) -> String {
    let plural = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    };
    let kind = name.map_or(String::new(), |name| format!("{name}: "));
    let memory: u64 = machine.nodes.iter().fold(0, |sum, node| sum.saturating_add(node.memory.0));
    let what = format!(
        "{kind}{}, {}, {}",
        plural(machine.cpus.len(), "CPU"),
        plural(machine.nodes.len(), "node"),
        boot::units::Bytes(memory).human(),
    );
    let kernel = short_kernel(&machine.kernel.release);
    format!("{}   {what:<40} host kernel {kernel}\n", style.bold("machine"))
}

/// Whether a back end can work, and every obstacle with what removes it.
pub fn obstacles(backend: &str, what: &str, obstacles: &[Obstacle], style: Style) -> String {
    let name = style.bold(&format!("{backend:<5}"));
    let hard = obstacles.iter().filter(|obstacle| obstacle.accept.is_none()).count();
    let mut out = match (obstacles.len(), hard) {
        (0, _) => format!("{} {name} works: {what}\n", style.good("✔")),
        (_, 0) => format!("{} {name} works once the risk is accepted: {what}\n", style.warn("!")),
        _ => format!("{} {name} does not work: {what}\n", style.bad("✘")),
    };
    for obstacle in obstacles {
        let mark = if obstacle.accept.is_some() { style.warn("!") } else { style.bad("✘") };
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "    {mark} {}: {}\n      {} {}",
            style.bold(&clean(&obstacle.name)),
            clean(&obstacle.found),
            style.good("→"),
            clean(&obstacle.remedy),
        );
    }
    out
}
