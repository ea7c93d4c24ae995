//! Partitions, one a line.

use crate::api::{End, PartitionStatus, Phase};

use super::{Style, Table, clean, cpus, duration, short_kernel};

/// What `up` did with a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was started and is ready after so many milliseconds.
    Up(u64),
    /// It ran already as the file says.
    Kept,
    /// It failed.
    Failed,
}

/// The partitions after `up`, with what was done.
pub fn outcome(partitions: &[(PartitionStatus, Outcome)], style: Style) -> String {
    let mut table = Table::default();
    for (status, outcome) in partitions {
        let (mark, words) = match outcome {
            Outcome::Up(milliseconds) => {
                (style.good("✔"), format!("up in {}", duration(*milliseconds)))
            }
            Outcome::Kept => (style.good("✔"), "runs on".to_owned()),
            Outcome::Failed => (style.bad("✘"), "failed".to_owned()),
        };
        let name = clean(&status.name);
        table.painted([
            (format!("✔ {name}"), Some(format!("{mark} {}", style.bold(&name)))),
            (short_kernel(&status.kernel), None),
            (cpus(status), None),
            (memory(status), None),
            (clean(&status.backend), None),
            (words, None),
        ]);
    }
    table.render()
}

/// All partitions.
pub fn overview(partitions: &[PartitionStatus], style: Style) -> String {
    let heading = ["NAME", "STATE", "KERNEL", "CPUS", "MEMORY", "BACKEND", "IMAGE", "UPTIME"];
    let mut table = Table::with_heading(&heading, |text| style.dim(text));
    for status in partitions {
        let state = state(status);
        let painted = paint_state(status, &state, style);
        let uptime = status.signals.as_ref().filter(|_| alive(status.phase));
        table.painted([
            (clean(&status.name), Some(style.bold(&clean(&status.name)))),
            (state, Some(painted)),
            (short_kernel(&status.kernel), None),
            (status.shared_cpus.map_or(status.cpus.to_string(), |n| format!("{n} shared")), None),
            (memory(status), None),
            (clean(&status.backend), None),
            (clean(&status.image), None),
            (uptime.map(|signals| duration(signals.uptime_ms)).unwrap_or_default(), None),
        ]);
    }
    table.render()
}

/// How much, and where it comes from where that is not the host.
fn memory(status: &PartitionStatus) -> String {
    match status.memory_source.is_from_host() {
        true => status.memory.human(),
        false => format!("{} {}", status.memory.human(), status.memory_source.words()),
    }
}

/// Whether the kernel may run.
fn alive(phase: Phase) -> bool {
    matches!(phase, Phase::Booting | Phase::Ready | Phase::Silent | Phase::Stopping)
}

/// A partition's state in a word or two.
pub fn state(status: &PartitionStatus) -> String {
    let word = match (status.phase, &status.end) {
        (Phase::Starting, _) => "starting",
        (Phase::Booting, _) => "booting",
        (Phase::Ready, _) => "ready",
        (Phase::Silent, _) => "silent",
        (Phase::Stopping, _) => "stopping",
        (Phase::Stuck, _) => "stuck",
        (Phase::Ended, None | Some(End::Stopped)) => "ended",
        (Phase::Ended, Some(End::PoweredOff)) => "powered off",
        (Phase::Ended, Some(End::Restarted)) => "restarted",
        (Phase::Ended, Some(End::Panicked { .. })) => "panicked",
        (Phase::Ended, Some(End::Hung { .. })) => "hung",
        (Phase::Ended, Some(End::Failed { .. })) => "failed",
        (Phase::Ended, Some(End::Lost)) => "lost",
    };
    match status.restarts {
        0 => word.to_owned(),
        1 => format!("{word}, 1 restart"),
        times => format!("{word}, {times} restarts"),
    }
}

pub(super) fn paint_state(status: &PartitionStatus, text: &str, style: Style) -> String {
    match (status.phase, &status.end) {
        (Phase::Ready, _) => style.good(text),
        (Phase::Starting | Phase::Booting | Phase::Stopping, _) => style.warn(text),
        (Phase::Silent | Phase::Stuck, _) => style.bad(text),
        (Phase::Ended, None | Some(End::Stopped | End::PoweredOff)) => style.dim(text),
        (Phase::Ended, Some(_)) => style.bad(text),
    }
}
