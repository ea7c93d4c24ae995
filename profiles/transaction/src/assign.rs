//! Workloads: tasks that a profile speaks of, and what becomes of them.
//!
//! Tasks come and go, so they are no part of a plan. Whoever looks after a profile has them gone through again and
//! again: what matches and has not been met yet is written down with what it was, and then changed.
//! When the profile goes, each task that is still there is set back.

mod pass;
mod state;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub(crate) use pass::controller_of;
pub use pass::{Assigner, Passed, Process, System, count};
pub use state::{Known, Met, Task, Was};

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// What its programs are known by; one of them has to fit.
    pub matches: Vec<Match>,
    /// What becomes of each of its tasks.
    pub wishes: Wishes,
    /// Files of its control group and what is written there; without any it has none of its own.
    pub limits: Vec<(String, String)>,
}

/// What programs are known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// By what.
    pub by: By,
    /// Patterns with `*` and `?`, one of which has to fit.
    pub patterns: Vec<String>,
}

/// By what programs are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The file that runs: its name, or its whole path where the pattern has a `/`.
    Exec,
    /// The path of the control group.
    Cgroup,
    /// The unit of systemd: the last part of that path.
    Unit,
    /// The user's name.
    User,
    /// The image that the container was made from, as its runtime names it.
    Image,
}

/// What becomes of tasks; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wishes {
    /// CPUs that they may run on, as a list: `2-3`.
    #[serde(default)]
    pub cpus: Option<String>,
    /// The scheduler's policy.
    #[serde(default)]
    pub scheduler: Option<Scheduler>,
    /// -20 to 19.
    #[serde(default)]
    pub nice: Option<i32>,
    /// Class and level of their requests to block devices, as ioprio_set(2) has them.
    #[serde(default)]
    pub io_priority: Option<u16>,
    /// -1000 to 1000, of processes.
    #[serde(default)]
    pub oom_score_adjust: Option<i32>,
    /// Whether their memory is put into huge pages, little by little, as long as they are looked after.
    #[serde(default)]
    pub huge_pages: bool,
}

/// A policy of the scheduler, and its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduler {
    /// The number that sched_setscheduler(2) has for it.
    pub policy: i32,
    /// 1 to 99 for real-time policies, else 0.
    pub priority: i32,
}

impl Scheduler {
    /// The policy of this name: `other`, `batch`, `idle`, `fifo` or `rr`.
    pub fn policy_of(name: &str) -> Option<i32> {
        let known = [("other", 0), ("fifo", 1), ("rr", 2), ("batch", 3), ("idle", 5)];
        known.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    }

    /// Whether its tasks go before all ordinary ones.
    pub fn is_real_time(self) -> bool {
        matches!(self.policy, 1 | 2)
    }
}

/// The value of ioprio_set(2) for a class (`real-time`, `best-effort`, `idle`) and a level from 0 to 7.
pub fn io_priority(class: &str, level: u16) -> Option<u16> {
    let class = match class {
        "real-time" => 1,
        "best-effort" => 2,
        "idle" => 3,
        _ => return None,
    };
    (level <= 7).then_some(class << 13 | level)
}
