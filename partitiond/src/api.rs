//! What the command line and the supervisor say to each other: HTTP with JSON on a unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/version` | [`Version`] |
//! | `GET /v1/machine` | [`MachineReport`] |
//! | `POST /v1/plan`, [`UpRequest`] | [`PlanAnswer`] |
//! | `POST /v1/up`, [`UpRequest`] | [`Progress`], one JSON object a line, until the work is done |
//! | `POST /v1/down`, [`DownRequest`] | [`Progress`], likewise |
//! | `GET /v1/partitions` | a list of [`PartitionStatus`] |
//! | `GET /v1/partitions/NAME` | [`PartitionStatus`] |
//! | `GET /v1/partitions/NAME/log?follow=BOOL` | [`LogEntry`], one JSON object a line |
//! | `GET /v1/events?follow=BOOL` | [`Event`], one JSON object a line |
//! | `POST /v1/partitions/NAME/exec`, `Upgrade: partition-frames` | 101, then frames: [`protocol::ToGuest`] one way, [`protocol::ToHost`] the other, of one session whose number is 0 |
//! | `GET /v1/images` | a list of [`StoredImage`] |
//! | `GET /v1/blobs/DIGEST` | 204 where the store has it, 404 where not |
//! | `PUT /v1/blobs/DIGEST` | 204; the body is the content |
//! | `PUT /v1/images/NAME` | [`StoredImage`]; the body is a manifest whose blobs are there |
//! | `DELETE /v1/images/NAME` | 204 |
//! | `POST /v1/stop` | 204; the supervisor ends, partitions run on |
//!
//! Anything that fails answers 4xx or 5xx with a [`Problem`].

use std::collections::BTreeMap;

use boot::host_memory::NodeShare;
use boot::kvm::Activity;
use boot::memory::Segment;
use boot::units::{Bytes, CpuSet};
use serde::{Deserialize, Serialize};

use crate::cluster::MemorySource;
use crate::doctor::Obstacle;
use crate::inventory::Machine;

/// Where the supervisor listens, unless told otherwise.
pub const SOCKET: &str = "/run/partitiond/api.sock";

/// The largest request that is not a blob, in bytes.
pub const MAX_REQUEST: usize = 4 << 20;

/// The `Upgrade` of an exec request.
pub const FRAMES: &str = "partition-frames";

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Of the program, as `1.2.3`.
    pub version: String,
    /// The supervisor's process id.
    pub pid: u32,
}

/// This machine, and what it can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineReport {
    /// What it is.
    pub machine: Machine,
    /// What keeps `bare` from working; empty where it works.
    pub bare: Vec<Obstacle>,
    /// What keeps `kvm` from working.
    pub kvm: Vec<Obstacle>,
}

/// A cluster to bring up, or to plan for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpRequest {
    /// The cluster file's path, for messages.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The digest of every image that the file defines, by its name there. Images that it only
    /// names are looked up in the supervisor's store.
    pub images: BTreeMap<String, String>,
    /// The scripts that the file names as profiles: text by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, String>,
}

/// A plan, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// What `up` would do: a [`crate::plan::Plan`].
    pub plan: serde_json::Value,
    /// The plan as text for people, no colour.
    pub text: String,
    /// By partition: why it gets these CPUs and this memory.
    pub explanations: BTreeMap<String, Vec<String>>,
}

/// Partitions to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownRequest {
    /// Their names; all where empty.
    pub names: Vec<String>,
    /// Ends them at once instead of in order.
    pub force: bool,
}

/// What happens during `up` and `down`, as it happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Progress {
    /// The plan that is about to be carried out.
    Plan {
        /// A [`crate::plan::Plan`].
        plan: serde_json::Value,
        /// As text for people, no colour.
        text: String,
    },
    /// A step of one partition begins.
    Step {
        /// The partition.
        partition: String,
        /// What is done, such as `loading kernel and initramfs`.
        step: String,
    },
    /// A partition is ready.
    Up {
        /// Its state.
        status: Box<PartitionStatus>,
        /// Milliseconds from the start of `up`.
        milliseconds: u64,
    },
    /// A partition was left as it is.
    Kept {
        /// The partition.
        partition: String,
    },
    /// A partition has ended and what it had is the host's again.
    Down {
        /// The partition.
        partition: String,
        /// Milliseconds that it took.
        milliseconds: u64,
    },
    /// Something is not as it should be, and the work goes on.
    Warning {
        /// What.
        text: String,
    },
    /// A partition failed; what this request began is being undone.
    Failed {
        /// The partition.
        partition: String,
        /// What failed and why, with what to do.
        problem: Problem,
    },
    /// The request is done.
    Done {
        /// Whether all that was asked for is so now.
        ok: bool,
    },
}

/// A snapshot of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotRequest {
    /// The folder that it is written to; absolute, and not there yet.
    pub path: std::path::PathBuf,
    /// Whether the partition ends then, without having gone on: what it has written to disks is as the snapshot
    /// knows it.
    #[serde(default)]
    pub stop: bool,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The kind, for programs: `not-found`, `invalid`, `refused`, `busy`, `failed`.
    pub kind: ProblemKind,
    /// What went wrong, for people: the whole chain of reasons.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Kinds of problems; the command's exit status follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// There is no such thing.
    NotFound,
    /// The request makes no sense: a cluster file with errors, an unknown field.
    Invalid,
    /// The request makes sense, and this machine cannot or may not do it.
    Refused,
    /// Something else is being done; try again.
    Busy,
    /// It was tried and went wrong.
    Failed,
}

/// Where a partition is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// CPUs, memory and kernel are being prepared.
    Starting,
    /// The kernel runs, guest-init has not answered yet.
    Booting,
    /// guest-init has said that everything runs.
    Ready,
    /// It was ready and has not been heard of for three seconds.
    Silent,
    /// It is ending in order.
    Stopping,
    /// It has ended; its CPUs and memory are the host's again.
    Ended,
    /// It has ended and could not be cleaned up; `down` tries again.
    Stuck,
}

/// Why a partition ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum End {
    /// It was told to.
    Stopped,
    /// It switched itself off.
    PoweredOff,
    /// Its kernel asked for a restart of the machine.
    Restarted,
    /// Its kernel panicked.
    Panicked {
        /// The line that says so.
        message: String,
    },
    /// Its kernel hung: nothing was heard of it for longer than its cluster file allows.
    Hung {
        /// For how long, in milliseconds.
        silent_ms: u64,
    },
    /// It never came up, or its keeper failed.
    Failed {
        /// Why, for people.
        message: String,
    },
    /// Its keeper and all that it could tell are gone.
    Lost,
}

/// A partition as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Why it ended, where it has.
    pub end: Option<End>,
    /// Name of its image in the cluster file or the store.
    pub image: String,
    /// Digest of its image.
    pub digest: String,
    /// `uname -r`: of its image until it has answered, then what it says.
    pub kernel: String,
    /// `bare` or `kvm`.
    pub backend: String,
    /// Its CPUs, by the host's numbers.
    pub cpus: CpuSet,
    /// How many virtual ones run on the host's, where none is its own.
    #[serde(default)]
    pub shared_cpus: Option<u32>,
    /// Its memory.
    pub memory: Bytes,
    /// Where its memory lies.
    pub nodes: Vec<NodeShare>,
    /// Where its memory comes from.
    pub memory_source: MemorySource,
    /// Its ranges of a pool, where it comes from one.
    pub ranges: Vec<Segment>,
    /// The keeper's process id, where there is one.
    pub keeper: Option<u32>,
    /// Its boot id, once it has answered.
    pub boot_id: Option<String>,
    /// The steps of its start, in order; empty where another keeper has taken it up since.
    #[serde(default)]
    pub start: Vec<StartStep>,
    /// Milliseconds from the start of its start until it was ready.
    pub ready_after_ms: Option<u64>,
    /// Whether a restart of its kernel is caught; while not, it would reset the machine.
    pub restart_guard: bool,
    /// How it stands with its profile; none where it has none.
    #[serde(default)]
    pub profile: Option<String>,
    /// How often it has been started again since `up`.
    pub restarts: u32,
    /// What it measured of itself last.
    pub signals: Option<protocol::Signals>,
    /// Milliseconds since that came.
    pub signals_age_ms: Option<u64>,
    /// Its workloads, by name.
    pub workloads: BTreeMap<String, protocol::WorkloadState>,
    /// The last lines of its kernel's log, where it has ended other than on demand.
    pub last_words: Vec<String>,
    /// Its kernel's whole command line.
    pub command_line: String,
    /// What its virtual machine has done since its start, a second ago at most; `None` of a bare one.
    #[serde(default)]
    pub machine: Option<Activity>,
}

/// A step of a start. It ends where the next one begins, the last one when the partition is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartStep {
    /// What is done, such as `loading kernel and initramfs`.
    pub step: String,
    /// Milliseconds from the keeper's start until it began.
    pub at_ms: u64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up, without gaps, for as long as the supervisor's state directory lives.
    pub sequence: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// The partition, or `None` for the machine.
    pub partition: Option<String>,
    /// The kind, for programs: `starting`, `ready`, `ended`, `silent`, `heard-again`, `hung`, `restarting`,
    /// `given-up`, `keeper-lost`, `keeper-adopted`, `supervisor-started`, `warning`.
    pub kind: String,
    /// For people.
    pub text: String,
    /// The kernel's last words, where a partition died.
    pub last_words: Vec<String>,
}

/// A line of a partition's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Milliseconds since 1970, as the keeper saw it.
    pub time_ms: u64,
    /// `kernel`, `keeper`, or a workload's name after `workload:`.
    pub source: String,
    /// For the kernel 0 (emergency) to 7 (debug); for a workload 6 for standard output, 3 for
    /// standard error.
    pub level: u8,
    /// The text, without its newline; what is not UTF-8 is replaced.
    pub text: String,
}

/// An image in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// Its digest.
    pub digest: String,
    /// Its names.
    pub names: Vec<String>,
    /// `uname -r` of its kernel.
    pub kernel: String,
    /// Bytes of all that it holds.
    pub size: u64,
}

/// A text from outside as it may stand in a message: its first 60 characters, none of them control.
pub fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(60).collect()
}
