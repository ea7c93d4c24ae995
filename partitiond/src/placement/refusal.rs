//! Why a cluster does not fit a machine.

use std::fmt;

use serde::Serialize;

use crate::cluster::{ClusterFile, Diagnostic, Diagnostics, Problems};

/// The rules of placement. The names stand in JSON output and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Rule {
    /// The core of the boot CPU stays with the host.
    BootCpu,
    /// A CPU of the host's share goes to no partition.
    HostShare,
    /// Only CPUs that the machine has.
    UnknownCpu,
    /// Only CPUs that are online, or that a partition owns already.
    OfflineCpu,
    /// Only CPUs that the kernel can take offline.
    FixedCpu,
    /// Only whole cores.
    HalfCore,
    /// A CPU has one owner.
    OneOwner,
    /// Enough free CPUs.
    FreeCpus,
    /// `Local` is one node.
    OneNode,
    /// Only nodes that the machine has.
    UnknownNode,
    /// CPUs asked for by number lie on the nodes asked for.
    NodesOfSet,
    /// At least the least memory a kernel boots with, in whole pages.
    MemoryAmount,
    /// Memory lies beside its CPUs, and is there.
    FreeMemory,
    /// The machine has such pages or pools.
    MemorySource,
}

/// One reason why a cluster does not fit a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The rule that would be broken.
    pub rule: Rule,
    /// The partitions concerned, the one that is refused first; none where it is the host's share.
    pub partitions: Vec<String>,
    /// The field of the cluster file that asks for it.
    pub field: &'static str,
    /// What does not fit.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.hint)
    }
}

/// The refusals as errors in the cluster file, each at the field that asks for too much.
pub fn diagnose(file: &ClusterFile, refusals: &[Refusal]) -> Option<Diagnostics> {
    let mut problems = Problems::default();
    for refusal in refusals {
        let mut spans = refusal
            .partitions
            .iter()
            .filter_map(|name| Some((file.places().partition(name, refusal.field)?, name)));
        let first = spans.next();
        let label = match &first {
            Some((_, name)) => format!("asked for by \"{name}\""),
            None => "asked for here".to_owned(),
        };
        let span = first.map_or_else(|| file.places().cluster(refusal.field), |(span, _)| span);
        let mut diagnostic =
            Diagnostic::new(span, refusal.message.clone(), label).help(refusal.hint.clone());
        for (span, name) in spans {
            diagnostic = diagnostic.related(span, format!("\"{name}\""));
        }
        problems.push(diagnostic);
    }
    problems.finish(file.source().clone()).err()
}
