//! What a partition in a virtual machine is made of, the steps of its start, and what can go wrong.

use std::io;
use std::path::PathBuf;

use protocol::mailbox::MailboxError;
use serde::{Deserialize, Serialize};

use super::cgroup::CgroupError;
use super::disk::DiskError;
use super::filters::Mode;
use super::message::Device;
use super::snapshot::SnapshotError;
use super::status::StatusError;
use super::tap::TapError;
use super::topology::Topology;
use crate::boot_params::TooFragmented;
use crate::command_line::CommandLineError;
use crate::contents::ContentsError;
use crate::host_memory::{HugetlbError, MapError, NodeShare, PageSize};
use crate::kernel_log::Anchor;
use crate::layout::Layout;
use crate::page_tables::NoRoom;
use crate::units::{Bytes, CpuId, MacAddress, PhysAddr};

/// What a partition is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The host's CPU of each virtual one, 1 to 255: thread by thread, core by core.
    pub cpus: Vec<CpuId>,
    /// Whether they run wherever the host has time instead.
    #[serde(default)]
    pub shared_cpus: bool,
    /// How the virtual ones belong together.
    pub topology: Topology,
    /// The file that holds its memory, on hugetlbfs.
    pub memory_file: PathBuf,
    /// The pages of that file.
    pub page_size: PageSize,
    /// How much memory, from which nodes.
    pub memory: Vec<NodeShare>,
    /// Where its memory is the snapshot's until it is written to, and its process's own from then on: how much.
    /// There is none of the other kind then, and the file holds its mailbox alone.
    #[serde(default)]
    pub memory_of_snapshot: Option<Bytes>,
    /// The kernel, an uncompressed ELF file.
    pub kernel: PathBuf,
    /// The initramfs: archives, laid behind each other.
    pub initramfs: Vec<PathBuf>,
    /// What image and cluster file say on the kernel's command line.
    pub command_line: String,
    /// Its disks, in the order in which it finds them.
    #[serde(default)]
    pub disks: Vec<DiskSpec>,
    /// Its network devices, in the order in which it finds them.
    #[serde(default)]
    pub taps: Vec<TapSpec>,
    /// Where its process tells how it is.
    pub status: PathBuf,
    /// Where its process is asked while it runs: a socket.
    pub control: PathBuf,
    /// The snapshot that it goes on from; `None` where it boots its kernel.
    #[serde(default)]
    pub snapshot: Option<PathBuf>,
    /// The user that its process becomes: no person's, and no other partition's.
    pub user: u32,
    /// What happens where its process makes a system call that it is not for.
    #[serde(default)]
    pub filter: Mode,
    /// The control group of its process.
    pub cgroup: PathBuf,
}

/// A disk of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// What its guest knows it by; at most 20 bytes.
    pub name: String,
    /// A file, or a block device.
    pub path: PathBuf,
    /// Whether nothing is written to it.
    pub read_only: bool,
    /// Whether the host's page cache is passed by.
    pub direct: bool,
}

/// A network device of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapSpec {
    /// What the host knows it by; 1 to 15 bytes.
    pub name: String,
    /// The partition's own address.
    pub mac: MacAddress,
}

impl Spec {
    /// All of its memory.
    pub fn size(&self) -> Bytes {
        if let Some(size) = self.memory_of_snapshot {
            return size;
        }
        Bytes(self.memory.iter().fold(0, |sum: u64, share| sum.saturating_add(share.size.0)))
    }
}

/// What must be remembered to find a running partition again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is made of.
    pub spec: Spec,
    /// Its devices, in the order of their places.
    pub devices: Vec<Device>,
    /// Where everything lies.
    pub layout: Layout,
    /// Where its kernel was linked to be.
    pub linked_at: PhysAddr,
    /// Where the kernel file keeps its log; `None` where that is not known.
    pub log: Option<Anchor>,
    /// The whole command line.
    pub command_line: String,
}

/// A step of a start, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Disks and network devices are opened.
    Devices,
    /// Memory is allocated and mapped.
    Memory,
    /// Kernel and initramfs are copied.
    Load,
    /// Command line, boot parameters, ACPI and page tables are written.
    Tables,
    /// The memory of a snapshot is copied.
    Restore,
    /// The process is started that runs the virtual CPUs.
    StartMachine,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Devices => "opening its devices",
            Self::Memory => "allocating its memory",
            Self::Load => "loading kernel and initramfs",
            Self::Tables => "writing boot parameters and tables",
            Self::Restore => "loading the snapshot",
            Self::StartMachine => "starting its virtual machine",
        })
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// memory
    #[error(transparent)]
    Memory(#[from] HugetlbError),
    /// memory that cannot be mapped
    #[error(transparent)]
    Map(#[from] MapError),
    /// the memory's file
    #[error("the memory file {} cannot be opened", path.display())]
    MemoryFile {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// kernel or initramfs
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// memory in too many pieces
    #[error(transparent)]
    Fragmented(#[from] TooFragmented),
    /// a word that is ours
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
    /// more page tables than room
    #[error(transparent)]
    PageTables(#[from] NoRoom),
    /// the mailbox is damaged
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// no entropy
    #[error("the kernel gives no random numbers")]
    Random(#[source] io::Error),
    /// something of ours does not fit where it belongs
    #[error("{0} does not fit into the partition: this is a defect")]
    DoesNotFit(&'static str),
    /// no KVM
    #[error("/dev/kvm cannot be opened")]
    Kvm(#[source] io::Error),
    /// its file
    #[error("{} cannot be made", path.display())]
    Status {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// what its process tells
    #[error(transparent)]
    Told(#[from] StatusError),
    /// the snapshot that it goes on from
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// the socket where its process is asked
    #[error("the socket {} cannot be made", path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// a disk
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// a network device
    #[error(transparent)]
    Tap(#[from] TapError),
    /// its control group
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// no process
    #[error("the process of its virtual machine cannot be started")]
    Process(#[source] io::Error),
    /// it ended, or was silent
    #[error("the process of its virtual machine did not answer")]
    Answer(#[source] io::Error),
    /// it says why
    #[error("its virtual machine cannot be made: {0}")]
    Machine(String),
    /// there is nothing to take up
    #[error("the process of its virtual machine is gone")]
    Gone,
}

/// A start that failed, and where. What it took is still taken: see [`reclaim`](super::Instance::reclaim).
#[derive(Debug, thiserror::Error)]
#[error("{step} failed")]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Why.
    #[source]
    pub source: StartError,
}
