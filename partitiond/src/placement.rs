//! Which CPUs and which memory each partition gets: a pure function of the machine, the cluster and
//! what is assigned already.
//!
//! # Rules
//!
//! - A CPU has one owner, and so has a core: siblings share caches, the PMU and CR0.CD, so that only
//!   whole cores are given away.
//! - The core of the boot CPU, and every core that holds a CPU of `host.cpus`, stays with the host.
//! - Memory lies beside the CPUs that use it, in whole pages of its source.
//! - What is assigned and still does what the file asks for stays where it is. Only a set of CPUs
//!   that somebody else asks for by number can drive it away.
//! - What is new is placed largest first (equal ones by name), each into the tightest place that it
//!   fits: a last-level cache, else a node. Small ones then do not break up the room that a large one
//!   needs.
//!
//! # Cost
//!
//! One pass over the CPUs, then for each partition a search in ordered sets and a walk over its own
//! CPUs (and over the nodes, where it is spread): linear in CPUs plus partitions, but for logarithms.

use std::collections::BTreeMap;

use boot::units::{Bytes, CpuSet, NodeId};
use serde::{Deserialize, Serialize};

use crate::cluster::{MemorySource, Numa};

mod check;
mod explain;
mod free;
mod memory;
mod place;
mod ranges;
mod refusal;
mod search;
mod sets;
mod topology;

#[cfg(test)]
mod tests;

pub use explain::explain;
pub use place::place;
pub use ranges::{PoolIsShort, ranges};
pub use refusal::{Refusal, Rule, diagnose};

/// What a partition owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Its CPUs: whole cores.
    pub cpus: CpuSet,
    /// Its memory on each node: whole pages of `source`.
    pub memory: BTreeMap<NodeId, Bytes>,
    /// Where the memory comes from.
    pub source: MemorySource,
    /// The nodes that were asked for. A partition that could only be spread badly stays so until it
    /// asks for something else: that others leave is no reason to restart it.
    #[serde(default)]
    pub numa: Option<Numa>,
}

/// What every partition owns, by name.
pub type Assignments = BTreeMap<String, Assignment>;

/// A division of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// What each partition gets, by name.
    pub partitions: BTreeMap<String, Placed>,
    /// What stays with the host.
    pub host: HostShare,
}

/// What one partition gets, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// What it gets.
    pub assignment: Assignment,
    /// Why these CPUs.
    pub cpus_because: CpuReason,
    /// Why this memory.
    pub memory_because: MemoryReason,
}

/// What stays with the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostShare {
    /// CPUs that no partition owns; offline ones not counted.
    pub cpus: CpuSet,
    /// Memory that no partition takes from the kernel.
    pub memory: Bytes,
}

/// Why a partition gets these CPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum CpuReason {
    /// The file names them.
    Asked,
    /// None are its own: it runs on the host's.
    Shared,
    /// It has them already.
    Kept,
    /// It has some of them already: those of this set.
    Resized(CpuSet),
    /// It had others: somebody asks for those by number, or they do not serve any more.
    Moved(CpuSet),
    /// The tightest last-level cache with enough free CPUs; all CPUs that share the cache.
    OneCache(CpuSet),
    /// No cache has enough free CPUs: the tightest node, in this many caches.
    OneNode {
        /// Last-level caches that it lies on.
        caches: usize,
    },
    /// Spread evenly over nodes, CPUs on each.
    Spread(BTreeMap<NodeId, usize>),
}

/// Why a partition gets its memory where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MemoryReason {
    /// It has it already.
    Kept,
    /// Beside its CPUs, in proportion to how many of them are on each node.
    BesideCpus,
    /// Some node of its CPUs had less than its part; the others hold more.
    Uneven,
}

impl Placement {
    /// The assignments alone, as `current` of a later placement.
    pub fn assignments(&self) -> Assignments {
        let pair = |(name, placed): (&String, &Placed)| (name.clone(), placed.assignment.clone());
        self.partitions.iter().map(pair).collect()
    }
}

impl Assignment {
    /// All of its memory.
    pub fn memory_total(&self) -> Bytes {
        Bytes(self.memory.values().fold(0, |sum, amount| sum.saturating_add(amount.0)))
    }
}
