//! What the supervisor knows of one partition.

use crate::api::{Phase, PartitionStatus};
use crate::keeper::{Report, now_ms};
use crate::ledger::Entry;

/// A partition that a keeper has, or that has ended.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it owns, or owned.
    pub entry: Entry,
    /// What its keeper said last.
    pub report: Report,
    /// The keeper's process id.
    pub keeper: Option<u32>,
    /// Somebody asked for its end, so that it is not started again.
    pub wanted_down: bool,
}

impl Kept {
    /// A partition of which nothing has been heard yet.
    pub fn new(entry: Entry) -> Self {
        Self { entry, report: Report::default(), keeper: None, wanted_down: false }
    }

    /// Whether it owns anything.
    pub fn is_alive(&self) -> bool {
        !matches!(self.report.phase, Phase::Ended)
    }

    /// As the API shows it.
    pub fn status(&self) -> PartitionStatus {
        let Self { entry, report, .. } = self;
        PartitionStatus {
            name: entry.spec.name.clone(),
            phase: report.phase,
            end: report.end.clone(),
            image: entry.asked.image.clone(),
            digest: entry.digest.clone(),
            kernel: report.kernel.clone().unwrap_or_else(|| entry.kernel.clone()),
            backend: "bare".to_owned(),
            cpus: entry.assignment.cpus.clone(),
            memory: entry.assignment.memory_total(),
            nodes: entry.assignment.memory.clone(),
            keeper: self.keeper,
            boot_id: report.boot_id.clone(),
            ready_after_ms: report.ready_after_ms,
            restart_guard: report.restart_guard,
            restarts: entry.restarts,
            signals: report.signals.clone(),
            signals_age_ms: report.signals_at_ms.map(|at| now_ms().saturating_sub(at)),
            workloads: report.workloads.clone(),
            last_words: report.last_words.clone(),
            command_line: report.command_line.clone(),
        }
    }
}
