//! What a keeper tells the supervisor about its partition.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boot::kvm::Activity;
use protocol::{Signals, WorkloadState};
use serde::{Deserialize, Serialize};

use crate::api::{End, Phase, StartStep};

/// Everything known about a partition, sent whole whenever it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where it is in its life.
    pub phase: Phase,
    /// The step of its start that is being done.
    pub step: Option<String>,
    /// Why it ended, where it has.
    pub end: Option<End>,
    /// Why it could not be taken back, where it could not.
    pub stuck: Option<String>,
    /// `uname -r`, once it has answered.
    pub kernel: Option<String>,
    /// Its boot id, once it has answered.
    pub boot_id: Option<String>,
    /// The steps of its start so far; empty where another keeper started it.
    #[serde(default)]
    pub start: Vec<StartStep>,
    /// Milliseconds from the keeper's start until it was ready.
    pub ready_after_ms: Option<u64>,
    /// Whether a restart of its kernel is caught.
    pub restart_guard: bool,
    /// What it measured of itself last.
    pub signals: Option<Signals>,
    /// When that came, milliseconds since 1970.
    pub signals_at_ms: Option<u64>,
    /// Its workloads.
    pub workloads: BTreeMap<String, WorkloadState>,
    /// The last lines of its kernel's log, where it ended other than on demand.
    pub last_words: Vec<String>,
    /// Its kernel's whole command line.
    pub command_line: String,
    /// What its virtual machine has done; `None` of a bare one.
    #[serde(default)]
    pub machine: Option<Activity>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            phase: Phase::Starting,
            step: None,
            end: None,
            stuck: None,
            kernel: None,
            boot_id: None,
            start: Vec::new(),
            ready_after_ms: None,
            restart_guard: false,
            signals: None,
            signals_at_ms: None,
            workloads: BTreeMap::new(),
            last_words: Vec::new(),
            command_line: String::new(),
            machine: None,
        }
    }
}

impl Report {
    /// Notes that a step of the start begins, so long after the keeper's own start.
    pub fn begin(&mut self, step: &str, after: Duration) {
        let step = step.to_owned();
        self.start.push(StartStep { step, at_ms: after.as_millis() as u64 });
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
