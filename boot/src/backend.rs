//! The one seam between what keeps partitions and what boots them.
//!
//! A back end has a `Spec` (what a partition is made of), a `Record` (what must be remembered to find it
//! again) and a running one, an [`Instance`]. Here they are one; another back end is another variant.

use std::path::{Path, PathBuf};

use protocol::mailbox::{Mailbox, MailboxError};
use serde::{Deserialize, Serialize};

use crate::host_memory::{NodeShare, PageSize};
use crate::kernel_log::{LogError, Record as LogRecord};
use crate::memory::{self, PartitionMemory, Segment};
use crate::units::MacAddress;
use crate::{bare, kvm};

/// What a partition is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spec {
    /// On CPUs and memory taken from the host.
    Bare(bare::Spec),
    /// In a virtual machine.
    Kvm(kvm::Spec),
}

/// What must be remembered to find a running partition again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// See [`Spec::Bare`].
    Bare(bare::Record),
    /// See [`Spec::Kvm`].
    Kvm(kvm::Record),
}

/// Why a partition cannot be started, taken up, or taken back.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// see [`Spec::Bare`]
    #[error(transparent)]
    Bare(#[from] bare::StartError),
    /// see [`Spec::Kvm`]
    #[error(transparent)]
    Kvm(#[from] kvm::StartError),
}

/// A start that failed, and where. What it took is still taken: see [`Spec::reclaim`].
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// see [`Spec::Bare`]
    #[error(transparent)]
    Bare(#[from] bare::Failure),
    /// see [`Spec::Kvm`]
    #[error(transparent)]
    Kvm(#[from] kvm::Failure),
}

/// Why no snapshot of a partition can be taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFailure {
    /// nothing holds its CPUs
    #[error("a bare partition cannot be held: nothing is between its kernel and its CPUs")]
    Bare,
    /// see [`Spec::Kvm`]
    #[error(transparent)]
    Kvm(#[from] kvm::SnapshotError),
}

/// What a partition's kernel asks of its machine. Its CPUs wait then, or halt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// To be started again.
    Restart,
    /// To be switched off.
    PowerOff,
}

/// Whether a restart of the partition's kernel is caught.
///
/// Without a hypervisor, a kernel that restarts through the BIOS would reset the machine. The guard replaces
/// the last piece of code on that way as soon as the kernel has put it into its low memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guard {
    /// The code is not there yet.
    Waiting,
    /// A restart ends in the guard, or in the hypervisor.
    Installed,
    /// The code is there, but of no form that we know: a restart would reset the machine.
    Impossible,
}

/// A running partition.
pub enum Instance {
    /// See [`Spec::Bare`].
    Bare(bare::Instance),
    /// See [`Spec::Kvm`].
    Kvm(kvm::Instance),
}

impl Spec {
    /// Starts a partition. `progress` hears of each step before it begins.
    ///
    /// # Errors
    ///
    /// [`Failure`] with the step. Nothing is undone: [`Spec::reclaim`] does that.
    pub fn start(
        self,
        clock: bare::TscClock,
        progress: &mut dyn FnMut(String),
    ) -> Result<Instance, Failure> {
        Ok(match self {
            Self::Bare(spec) => Instance::Bare(bare::Instance::start(spec, clock, &mut |step| {
                progress(step.to_string());
            })?),
            Self::Kvm(spec) => Instance::Kvm(kvm::Instance::start(spec, &mut |step| {
                progress(step.to_string());
            })?),
        })
    }

    /// Takes back everything that it names, whatever state it is in. May be done twice.
    ///
    /// # Errors
    ///
    /// [`StartError`] where what runs cannot be stopped; the memory is kept then.
    pub fn reclaim(&self) -> Result<(), StartError> {
        match self {
            Self::Bare(spec) => Ok(bare::Instance::reclaim(spec)?),
            Self::Kvm(spec) => Ok(kvm::Instance::reclaim(spec)?),
        }
    }

    /// The file on hugetlbfs that holds its huge pages.
    pub fn memory_file(&self) -> &PathBuf {
        match self {
            Self::Bare(spec) => &spec.memory_file,
            Self::Kvm(spec) => &spec.memory_file,
        }
    }

    /// The pages of that file.
    pub fn page_size(&self) -> PageSize {
        match self {
            Self::Bare(spec) => spec.page_size,
            Self::Kvm(spec) => spec.page_size,
        }
    }

    /// How much memory in huge pages, from which nodes.
    pub fn memory(&self) -> &[NodeShare] {
        match self {
            Self::Bare(spec) => &spec.memory,
            Self::Kvm(spec) => &spec.memory,
        }
    }

    /// Memory that the host was booted without, besides.
    pub fn ranges(&self) -> &[Segment] {
        self.bare().map_or(&[], |spec| &spec.ranges)
    }

    /// The kernel's file.
    pub fn kernel(&self) -> &Path {
        match self {
            Self::Bare(spec) => &spec.kernel,
            Self::Kvm(spec) => &spec.kernel,
        }
    }

    /// Where it goes on from a snapshot, the addresses of its network devices.
    pub fn goes_on(&self) -> Option<Vec<MacAddress>> {
        match self {
            Self::Kvm(spec) if spec.snapshot.is_some() => {
                Some(spec.taps.iter().map(|tap| tap.mac).collect())
            }
            _ => None,
        }
    }

    /// As a bare one, where it is.
    pub fn bare(&self) -> Option<&bare::Spec> {
        match self {
            Self::Bare(spec) => Some(spec),
            Self::Kvm(_) => None,
        }
    }
}

impl Record {
    /// Finds a partition that is running already.
    ///
    /// # Errors
    ///
    /// [`StartError`] where it, or its memory, cannot be reached.
    pub fn adopt(self) -> Result<Instance, StartError> {
        Ok(match self {
            Self::Bare(record) => Instance::Bare(bare::Instance::adopt(record)?),
            Self::Kvm(record) => Instance::Kvm(kvm::Instance::adopt(record)?),
        })
    }
}

impl Instance {
    /// What must be remembered to find this partition again.
    pub fn record(&self) -> Record {
        match self {
            Self::Bare(instance) => Record::Bare(instance.record().clone()),
            Self::Kvm(instance) => Record::Kvm(instance.record().clone()),
        }
    }

    /// The kernel's whole command line.
    pub fn command_line(&self) -> &str {
        match self {
            Self::Bare(instance) => &instance.record().command_line,
            Self::Kvm(instance) => &instance.record().command_line,
        }
    }

    /// The mailbox: the control channel.
    ///
    /// # Errors
    ///
    /// [`StartError`] where the partition has written over it.
    pub fn mailbox(&self) -> Result<Mailbox, StartError> {
        match self {
            Self::Bare(instance) => Ok(instance.mailbox()?),
            Self::Kvm(instance) => Ok(instance.mailbox()?),
        }
    }

    /// Sees to it that a restart is caught; cheap enough to be called every millisecond until it is.
    pub fn guard(&mut self) -> Guard {
        match self {
            Self::Bare(instance) => instance.guard(),
            Self::Kvm(_) => Guard::Installed,
        }
    }

    /// What the partition's kernel has asked of its machine, if anything.
    pub fn request(&self) -> Option<Request> {
        match self {
            Self::Bare(instance) => instance.request(),
            Self::Kvm(instance) => instance.request(),
        }
    }

    /// Why the partition cannot go on, if that is so.
    pub fn lost(&mut self) -> Option<String> {
        match self {
            Self::Bare(instance) => instance
                .stolen_cpu()
                .map(|cpu| format!("somebody on the host took {cpu} back while the partition ran")),
            Self::Kvm(instance) => instance.lost(),
        }
    }

    /// What its virtual machine has done; `None` where it has none, or where that makes no sense.
    pub fn activity(&self) -> Option<kvm::Activity> {
        match self {
            Self::Bare(_) => None,
            Self::Kvm(instance) => instance.activity().ok(),
        }
    }

    /// Holds it, writes all that it is into a new folder, and lets it go on, or ends its process.
    ///
    /// # Errors
    ///
    /// [`SnapshotFailure`]; it goes on then, and nothing is left behind.
    pub fn snapshot(&self, path: &Path, stop: bool) -> Result<(), SnapshotFailure> {
        match self {
            Self::Bare(_) => Err(SnapshotFailure::Bare),
            Self::Kvm(instance) => Ok(instance.snapshot(path, stop, &mut |_| ())?),
        }
    }

    /// The records of the kernel's log from number `from` on.
    ///
    /// # Errors
    ///
    /// [`LogError`] where the kernel has damaged it. An empty log where this kernel keeps none that we
    /// know how to read.
    pub fn kernel_log(&self, from: u64) -> Result<Vec<LogRecord>, LogError> {
        match self {
            Self::Bare(instance) => instance.kernel_log(from),
            Self::Kvm(instance) => instance.kernel_log(from),
        }
    }
}

/// Takes up the mailbox in a partition's memory; `None` where its place is no part of it.
pub(crate) fn open_mailbox(
    memory: &PartitionMemory,
    place: Segment,
) -> Option<Result<Mailbox, MailboxError>> {
    memory::shared(memory, place).map(Mailbox::open)
}
