//! What tasks were before they were assigned.

use serde::{Deserialize, Serialize};

use super::Scheduler;

/// A task, so that another of its number is not meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Task {
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// When the thread began, in ticks since boot.
    pub started: u64,
}

/// What a task was; what is none was not touched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Was {
    /// CPUs, as a list.
    pub cpus: Option<String>,
    /// The scheduler's policy.
    pub scheduler: Option<Scheduler>,
    /// -20 to 19.
    pub nice: Option<i32>,
    /// As ioprio_get(2) has it.
    pub io_priority: Option<u16>,
    /// Of the process.
    pub oom_score_adjust: Option<i32>,
    /// The process's control group, as a path within the hierarchy.
    pub cgroup: Option<String>,
}

/// A task that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// Which.
    pub task: Task,
    /// Its workload.
    pub workload: String,
    /// What it was.
    pub was: Was,
}

/// All that were met and have not been set back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The boot in which they were.
    pub boot: String,
    /// The tasks.
    pub met: Vec<Met>,
    /// Control groups that were made.
    pub groups: Vec<String>,
    /// Controllers that were turned on for them.
    #[serde(default)]
    pub controllers: Vec<String>,
}
