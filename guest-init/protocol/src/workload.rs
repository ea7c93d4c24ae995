//! What runs inside a partition.

use serde::{Deserialize, Serialize};

/// A program that guest-init starts, watches and restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Its name, unique in the partition: 1 to 63 of `a-z 0-9 - _ .`.
    pub name: String,
    /// Program and arguments, run without a shell. The program is looked up in `PATH`.
    pub argv: Vec<String>,
    /// Environment, added to `PATH`, `HOME` and what the image sets.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Working directory; `/` where empty.
    #[serde(default)]
    pub cwd: String,
    /// `user`, `user:group`, `uid` or `uid:gid`, looked up in the partition's own `/etc/passwd`;
    /// root where empty.
    #[serde(default)]
    pub user: String,
    /// What to do when it ends.
    #[serde(default)]
    pub restart: Restart,
}

/// What guest-init does when a workload ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// It stays ended.
    #[default]
    Never,
    /// It is started again, whatever its exit status: at once after a run of at least 10 s, else
    /// after a delay that doubles from 100 ms to 10 s.
    Always,
    /// As `Always`, but only after a failure, and at most this many times in a row.
    OnFailure {
        /// Restarts in a row before it is given up.
        max: u32,
    },
}
