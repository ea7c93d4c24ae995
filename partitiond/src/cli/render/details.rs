//! One partition in detail.

use std::fmt::Write;

use boot::kvm::{Activity, Counters};
use protocol::{ExitStatus, Interrupts, PressureLine, Signals, WorkloadState};

use crate::api::{End, PartitionStatus, StartStep};

use super::overview::{paint_state, state};
use super::{Style, Table, clean, duration};

/// One partition in detail.
pub fn details(status: &PartitionStatus, style: Style) -> String {
    let mut out = style.bold(&clean(&status.name)) + "\n";
    let mut line = |label: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "  {} {value}", style.dim(&format!("{label:<13}")));
    };
    let word = state(status);
    let state = paint_state(status, &word, style);
    line(
        "state",
        status.end.as_ref().and_then(reason).map_or(state.clone(), |why| format!("{state}: {why}")),
    );
    line("kernel", clean(&status.kernel));
    line("image", format!("{} ({})", clean(&status.image), short(&status.digest)));
    line("backend", clean(&status.backend));
    line(
        "cpus",
        match status.shared_cpus {
            Some(count) => format!("{count}, shared with the host"),
            None => status.cpus.to_string(),
        },
    );
    line("memory", memory(status));
    line("keeper", status.keeper.map_or("none".to_owned(), |pid| format!("process {pid}")));
    if let Some(boot_id) = &status.boot_id {
        line("boot id", clean(boot_id));
    }
    if let Some(milliseconds) = status.ready_after_ms {
        line("ready after", duration(milliseconds));
        for (took, step) in steps(&status.start, milliseconds) {
            line("", format!("{took:>6} ms {step}"));
        }
    }
    line(
        "restart guard",
        match status.restart_guard {
            true => "on".to_owned(),
            false => style.warn("off: a restart of its kernel would reset the machine"),
        },
    );
    if let Some(profile) = &status.profile {
        line("profile", clean(profile));
    }
    line("command line", clean(&status.command_line));
    if let Some(signals) = &status.signals {
        let age =
            status.signals_age_ms.map_or(String::new(), |age| format!(", {} ago", duration(age)));
        let _ = write!(out, "\n{}", measured(signals, &age, style));
    }
    if let Some(activity) = &status.machine {
        let _ = write!(out, "\n{}", machine(activity, style));
    }
    if !status.workloads.is_empty() {
        let _ = write!(out, "\n{}", workloads(status, style));
    }
    if !status.last_words.is_empty() {
        let _ = writeln!(out, "\n{}", style.dim("last words"));
        for words in &status.last_words {
            let _ = writeln!(out, "  {}", clean(words));
        }
    }
    out
}

/// How much, where, and where it comes from.
fn memory(status: &PartitionStatus) -> String {
    let nodes =
        status.nodes.iter().map(|share| format!("{} on {}", share.size.human(), share.node));
    let amount = match status.nodes.len() {
        0 => status.memory.human(),
        _ => nodes.collect::<Vec<_>>().join(", "),
    };
    let ranges = status
        .ranges
        .iter()
        .map(|range| format!(" {:#x}-{:#x}", range.start.0, range.end().0.saturating_sub(1)));
    format!("{amount}, {}{}", status.memory_source.words(), ranges.collect::<Vec<_>>().join(","))
}

fn reason(end: &End) -> Option<String> {
    match end {
        End::Panicked { message } | End::Failed { message } => Some(clean(message)),
        _ => None,
    }
}

/// How long each step of a start took, in milliseconds.
fn steps(start: &[StartStep], ready: u64) -> impl Iterator<Item = (u64, String)> {
    let ends = start.iter().skip(1).map(|next| next.at_ms).chain([ready]);
    start.iter().zip(ends).map(|(step, end)| (end.saturating_sub(step.at_ms), clean(&step.step)))
}

fn short(digest: &str) -> String {
    clean(&digest.chars().take(12).collect::<String>())
}

fn measured(signals: &Signals, age: &str, style: Style) -> String {
    let mut out = style.dim(&format!("signals (number {}{age})", signals.sequence)) + "\n";
    let load = signals.load_hundredths;
    let available = boot::units::Bytes(signals.memory_available_kib.saturating_mul(1024));
    let _ = writeln!(
        out,
        "  up {}, load {}.{:02}, {} processes, {} of memory available",
        duration(signals.uptime_ms),
        load / 100,
        load % 100,
        signals.processes,
        available.human(),
    );
    let mut table = Table::with_heading(
        &["  pressure", "some 10 s", "60 s", "5 min", "full 10 s", "60 s", "5 min"],
        |text| style.dim(text),
    );
    let pressures = [("cpu", signals.cpu), ("memory", signals.memory), ("io", signals.io)];
    for (name, pressure) in pressures {
        let shares = shares(pressure.some).into_iter().chain(shares(pressure.full));
        table.row(std::iter::once(format!("  {name}")).chain(shares));
    }
    out += &table.render();
    if !signals.interrupts.is_empty() {
        let heading = ["  interrupts", "timer", "ipi", "nmi", "device", "spurious"];
        let mut table = Table::with_heading(&heading, |text| style.dim(text));
        for count in &signals.interrupts {
            table.row(interrupts(count));
        }
        out += &table.render();
    }
    out
}

fn interrupts(count: &Interrupts) -> [String; 6] {
    [
        format!("  cpu {}", count.cpu),
        count.timer.to_string(),
        count.ipi.to_string(),
        count.nmi.to_string(),
        count.device.to_string(),
        count.spurious.to_string(),
    ]
}

/// Why virtual CPUs came out of their guest, and what devices have done.
fn machine(activity: &Activity, style: Style) -> String {
    let heading =
        ["  exits", "port reads", "writes", "register reads", "writes", "signals", "others"];
    let mut table = Table::with_heading(&heading, |text| style.dim(text));
    for (number, counters) in activity.cpus.iter().enumerate() {
        let Counters { port_reads, port_writes, register_reads, register_writes, signals, others } =
            *counters;
        let counts = [port_reads, port_writes, register_reads, register_writes, signals, others];
        let counts = counts.iter().map(u64::to_string);
        table.row(std::iter::once(format!("  cpu {number}")).chain(counts));
    }
    let mut out = table.render();
    let heading = ["  device", "requests", "interrupts", ""];
    let mut table = Table::with_heading(&heading, |text| style.dim(text));
    for device in &activity.devices {
        let own = device.own.iter().filter(|(_, count)| **count > 0);
        let own: Vec<String> =
            own.map(|(what, count)| format!("{count} {}", what.replace('_', " "))).collect();
        table.row([
            format!("  {}", clean(&device.name)),
            device.counts.requests.to_string(),
            device.counts.interrupts.to_string(),
            own.join(", "),
        ]);
    }
    out += &table.render();
    out
}

fn shares(line: PressureLine) -> [String; 3] {
    [line.avg10, line.avg60, line.avg300]
        .map(|share| format!("{}.{:02} %", share / 100, share % 100))
}

fn workloads(status: &PartitionStatus, style: Style) -> String {
    let mut table = Table::with_heading(&["  workload", "state"], |text| style.dim(text));
    for (name, state) in &status.workloads {
        table.row([format!("  {}", clean(name)), workload(state)]);
    }
    table.render()
}

fn workload(state: &WorkloadState) -> String {
    match state {
        WorkloadState::Running { pid } => format!("runs as process {pid}"),
        WorkloadState::Restarting { status, delay_ms } => {
            format!("{}; again in {}", ended(status), duration(u64::from(*delay_ms)))
        }
        WorkloadState::Ended { status } => ended(status),
        WorkloadState::Failed { reason } => format!("not started: {}", clean(reason)),
    }
}

fn ended(status: &ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("ended with status {code}"),
        ExitStatus::Signal(signal) => format!("ended by signal {signal}"),
    }
}
