//! What has to happen so that a machine is divided as its cluster file says: a pure comparison of
//! what is wanted with what is there. `plan` prints it, `up` carries it out.

use std::collections::BTreeMap;

use boot::units::{Bytes, CpuSet, NodeId};
use serde::{Deserialize, Serialize};

use crate::cluster::{
    Backend, Cluster, Cpus, Disk, Interval, MemorySource, Numa, Partition, Restart, Tap,
    default_hang_after,
};
use crate::placement::{Assignment, Assignments, Placement};

mod diff;
mod look;
mod map;
mod text;

#[cfg(test)]
mod tests;

pub use diff::plan;
pub use look::Look;
pub use map::map;

/// Memory below 1 MiB that a bare partition needs: the trampoline that starts its CPUs, and RAM for
/// its kernel's own real-mode code.
pub const LOW_MEMORY: Bytes = boot::bare::LowWindow::SIZE;

/// Everything that makes a partition what it is. What runs is compared with what is wanted by this;
/// the keeper of a partition stores the one it was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What it boots.
    pub image: ImageRef,
    /// What boots it; not `Auto`, once it runs.
    pub backend: Backend,
    /// Its CPUs.
    pub cpus: CpuSet,
    /// How many virtual ones it has that run on the host's; it has none of its own then.
    #[serde(default)]
    pub shared_cpus: Option<u32>,
    /// Its memory on each node.
    pub memory: BTreeMap<NodeId, Bytes>,
    /// Where the memory comes from.
    pub source: MemorySource,
    /// The nodes that it asked for.
    pub numa: Option<Numa>,
    /// Its profile, as the file names it.
    pub profile: Option<String>,
    /// What that file says.
    #[serde(default)]
    pub script: Option<String>,
    /// Words that the file adds to the kernel's command line.
    pub cmdline: String,
    /// What the file adds to the image's workloads.
    pub workloads: Vec<protocol::Workload>,
    /// What to do when its kernel ends.
    pub restart: Restart,
    /// After how long without a word its kernel counts as hung.
    #[serde(default = "default_hang_after")]
    pub hang_after: Interval,
    /// Its disks.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// The snapshot that it goes on from.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// Its network devices.
    #[serde(default)]
    pub taps: Vec<Tap>,
}

/// An image by name and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRef {
    /// Its name.
    pub name: String,
    /// What its manifest hashes to; `None` while it is not built.
    pub digest: Option<String>,
}

/// What planning needs to know besides the file: which back end `Auto` means here, and which content
/// an image name stands for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The back end.
    pub backend: Backend,
    /// The digest of the image, if it is built.
    pub digest: Option<String>,
}

/// What is wanted, by name.
pub type Desired = BTreeMap<String, Spec>;

/// What is wanted: the file, its placement, and what names stand for.
pub fn desired(
    cluster: &Cluster,
    placement: &Placement,
    resolve: &dyn Fn(&str, &Partition) -> Resolved,
) -> Desired {
    let spec = |(name, partition): (&String, &Partition)| {
        let assignment = placement.partitions.get(name)?.assignment.clone();
        let resolved = resolve(name, partition);
        let spec = Spec {
            image: ImageRef { name: partition.image.clone(), digest: resolved.digest },
            backend: resolved.backend,
            cpus: assignment.cpus,
            shared_cpus: match partition.cpus {
                Cpus::Shared(count) => Some(count),
                _ => None,
            },
            memory: assignment.memory,
            source: assignment.source,
            numa: assignment.numa,
            profile: profile_of(cluster, partition),
            script: None,
            cmdline: partition.cmdline.clone(),
            workloads: partition.workloads.clone(),
            restart: partition.restart,
            hang_after: partition.hang_after,
            disks: partition.disks.clone(),
            taps: partition.taps.clone(),
            snapshot: partition.snapshot.clone(),
        };
        Some((name.clone(), spec))
    };
    cluster.partitions.iter().filter_map(spec).collect()
}

/// A partition's own profile, or its image's.
fn profile_of(cluster: &Cluster, partition: &Partition) -> Option<String> {
    let of_image = || cluster.images.get(&partition.image)?.profile.clone();
    partition.profile.clone().or_else(of_image)
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actual {
    /// The partitions, by name.
    pub partitions: BTreeMap<String, Existing>,
}

/// A partition that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existing {
    /// What it was started with.
    pub spec: Spec,
    /// How it is.
    pub state: State,
}

/// How a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// On its way up.
    Starting,
    /// guest-init has said ready.
    Ready,
    /// Its kernel is dead; it still holds its CPUs and memory.
    Failed,
    /// Down; it holds nothing.
    Stopped,
}

impl Actual {
    /// What the partitions hold, for placement.
    pub fn assignments(&self) -> Assignments {
        let held = self.partitions.iter().filter(|(_, existing)| existing.state != State::Stopped);
        let assignment = |(name, existing): (&String, &Existing)| {
            let Spec { cpus, memory, source, numa, .. } = existing.spec.clone();
            (name.clone(), Assignment { cpus, memory, source, numa })
        };
        held.map(assignment).collect()
    }
}

/// What has to happen. Steps stand in the order of names; those that take away
/// ([`Action::Stop`], [`Action::Restart`]) are carried out before those that give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// One for each partition, wanted or there.
    pub steps: Vec<Step>,
    /// What it means for the host.
    pub host: HostChange,
}

/// What happens to one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub partition: String,
    /// What happens.
    pub action: Action,
    /// Why, for people.
    pub reason: String,
    /// What changes, for a restart or an update.
    pub changes: Vec<Change>,
}

/// What happens to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Action {
    /// It is booted.
    Start,
    /// It is stopped, and booted as it is wanted.
    Restart,
    /// It runs on; only what the supervisor knows of it changes.
    Update,
    /// It is shut down; what it holds goes back to the host.
    Stop,
    /// Nothing.
    Keep,
}

/// A difference between what is there and what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which part: `cpus`, `memory`, `image` …
    pub what: &'static str,
    /// What is there.
    pub from: String,
    /// What is wanted.
    pub to: String,
}

/// What a plan means for the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostChange {
    /// CPUs that it gives away; it takes those of bare partitions offline.
    pub gives_cpus: CpuSet,
    /// CPUs that it gets back.
    pub gets_cpus: CpuSet,
    /// Huge pages, by node and size.
    pub hugepages: Vec<HugePageChange>,
    /// Memory below 1 MiB that bare partitions come to use; [`LOW_MEMORY`] each.
    pub gives_low_memory: Bytes,
    /// Memory below 1 MiB that they leave.
    pub gets_low_memory: Bytes,
}

/// A change of how many huge pages partitions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HugePageChange {
    /// On which node.
    pub node: NodeId,
    /// Of which size.
    pub size: Bytes,
    /// Pages to reserve, where positive; to give back, where negative.
    pub pages: i64,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Keep)
    }

    /// How many partitions have this action.
    pub fn count(&self, action: Action) -> usize {
        self.steps.iter().filter(|step| step.action == action).count()
    }
}
