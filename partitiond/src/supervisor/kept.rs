//! What the supervisor knows of one partition.

use std::sync::atomic::{AtomicU64, Ordering};

use super::start::shares_of;
use crate::api::{PartitionStatus, Phase};
use crate::keeper::{Report, now_ms};
use crate::ledger::Entry;
use crate::plan::{Existing, State};

/// A partition that a keeper has, or that has ended.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Which life of the partition this is: the next one of the same name has another.
    pub life: u64,
    /// What it owns, or owned.
    pub entry: Entry,
    /// What its keeper said last.
    pub report: Report,
    /// The keeper's process id.
    pub keeper: Option<u32>,
    /// It ran when this supervisor began.
    pub found: bool,
    /// How it stands with its profile in this life; none where it has none, or that is under way.
    pub tuned: Option<Result<String, String>>,
    /// Somebody asked for its end, so that it is not started again.
    pub wanted_down: bool,
}

impl Kept {
    /// A partition of which nothing has been heard yet.
    pub fn new(entry: Entry) -> Self {
        static LIVES: AtomicU64 = AtomicU64::new(0);
        let life = LIVES.fetch_add(1, Ordering::Relaxed);
        Self {
            life,
            entry,
            report: Report::default(),
            keeper: None,
            found: false,
            tuned: None,
            wanted_down: false,
        }
    }

    /// As planning sees it.
    pub fn existing(&self) -> Existing {
        let state = match self.report.phase {
            Phase::Starting | Phase::Booting => State::Starting,
            Phase::Ready | Phase::Silent | Phase::Stopping => State::Ready,
            Phase::Stuck => State::Failed,
            Phase::Ended => State::Stopped,
        };
        Existing { spec: self.entry.wanted.clone(), state }
    }

    /// Whether it owns anything.
    pub fn is_alive(&self) -> bool {
        !matches!(self.report.phase, Phase::Ended)
    }

    /// As the API shows it.
    pub fn status(&self) -> PartitionStatus {
        let Self { entry, report, .. } = self;
        let memory = &entry.wanted.memory;
        PartitionStatus {
            name: entry.spec.name.clone(),
            phase: report.phase,
            end: report.end.clone(),
            image: entry.wanted.image.name.clone(),
            digest: entry.wanted.image.digest.clone().unwrap_or_default(),
            kernel: report.kernel.clone().unwrap_or_else(|| entry.kernel.clone()),
            backend: entry.wanted.backend.name().to_owned(),
            cpus: entry.wanted.cpus.clone(),
            shared_cpus: entry.wanted.shared_cpus,
            memory: boot::units::Bytes(memory.values().map(|size| size.0).sum()),
            nodes: shares_of(memory),
            memory_source: entry.wanted.source,
            ranges: entry.spec.boot.ranges().to_vec(),
            keeper: self.keeper,
            boot_id: report.boot_id.clone(),
            start: report.start.clone(),
            ready_after_ms: report.ready_after_ms,
            restart_guard: report.restart_guard,
            profile: self
                .tuned
                .clone()
                .map(|tuned| tuned.unwrap_or_else(|why| format!("failed: {why}"))),
            restarts: entry.restarts,
            signals: report.signals.clone(),
            signals_age_ms: report.signals_at_ms.map(|at| now_ms().saturating_sub(at)),
            workloads: report.workloads.clone(),
            last_words: report.last_words.clone(),
            command_line: report.command_line.clone(),
            machine: report.machine.clone(),
        }
    }
}
