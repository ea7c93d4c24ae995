//! What a step writes to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a step writes to. A store says which kinds it reaches; a plan with another kind is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A file, by its absolute path below one of [`ROOTS`](super::ROOTS).
    File(String),
    /// What rtnetlink sets for a network device: `qdisc`, `mtu`.
    Link {
        /// The network device.
        device: String,
        /// What of it.
        attribute: String,
    },
    /// What ethtool sets over netlink: `rings.rx`.
    Ethtool {
        /// The network device.
        device: String,
        /// What of it.
        attribute: String,
    },
    /// What a system call sets for a task: `sched_setattr`.
    Task {
        /// Its process identifier.
        pid: u32,
        /// When it began, in ticks since boot, so that another task of this number is not meant.
        started: u64,
        /// What of it.
        attribute: String,
    },
    /// A latency asked for by holding a device file open: `cpu_dma_latency`.
    Held(String),
    /// A word of the kernel's command line.
    CommandLine(String),
    /// An option of a module that is read when the module is loaded.
    ModuleOption(String),
}

impl Target {
    /// A file.
    pub fn file(path: impl Into<String>) -> Self {
        Self::File(path.into())
    }

    /// The kind, as an operator calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "a file",
            Self::Link { .. } => "an attribute of a network device",
            Self::Ethtool { .. } => "an ethtool setting",
            Self::Task { .. } => "an attribute of a task",
            Self::Held(_) => "a device file held open",
            Self::CommandLine(_) => "a word of the kernel command line",
            Self::ModuleOption(_) => "a module option",
        }
    }

    /// All text that it is made of.
    pub(super) fn texts(&self) -> [&str; 2] {
        match self {
            Self::File(text)
            | Self::Held(text)
            | Self::CommandLine(text)
            | Self::ModuleOption(text)
            | Self::Task { attribute: text, .. } => [text, ""],
            Self::Link { device, attribute } | Self::Ethtool { device, attribute } => {
                [device, attribute]
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => to.write_str(path),
            Self::Link { device, attribute } => write!(to, "{attribute} of {device}"),
            Self::Ethtool { device, attribute } => write!(to, "ethtool {attribute} of {device}"),
            Self::Task { pid, attribute, .. } => write!(to, "{attribute} of process {pid}"),
            Self::Held(name) => write!(to, "/dev/{name} held open"),
            Self::CommandLine(word) => write!(to, "{word} on the kernel command line"),
            Self::ModuleOption(option) => write!(to, "module option {option}"),
        }
    }
}
