//! What a partition is made of, the steps of its start, and what can go wrong with each.

use std::io;
use std::path::PathBuf;

use protocol::mailbox::MailboxError;
use serde::{Deserialize, Serialize};

use super::cpus::{Cpu, CpuError, Starter};
use super::low_memory::LowWindow;
use super::sys::DevMemError;
use crate::boot_params::TooFragmented;
use crate::command_line::CommandLineError;
use crate::contents::ContentsError;
use crate::host_memory::{HugetlbError, MapError, NodeShare, PageSize, ReservedError, Run};
use crate::kernel_log::Anchor;
use crate::layout::Layout;
use crate::memory::Segment;
use crate::page_tables::NoRoom;
use crate::units::PhysAddr;

/// What a partition is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its CPUs; it boots on the first.
    pub cpus: Vec<Cpu>,
    /// How they are started.
    pub starter: Starter,
    /// Its memory below 1 MiB.
    pub low: LowWindow,
    /// The file on hugetlbfs that holds its huge pages.
    pub memory_file: PathBuf,
    /// The pages of that file.
    pub page_size: PageSize,
    /// How much memory in huge pages, from which nodes.
    pub memory: Vec<NodeShare>,
    /// Memory that the host was booted without, each piece in whole pages of 2 MiB. All that a
    /// partition has, or what it has besides huge pages.
    #[serde(default)]
    pub ranges: Vec<Segment>,
    /// The kernel, an uncompressed ELF file.
    pub kernel: PathBuf,
    /// The initramfs: archives, laid behind each other.
    pub initramfs: Vec<PathBuf>,
    /// What image and cluster file say on the kernel's command line.
    pub command_line: String,
}

/// What must be remembered to find a running partition again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is made of.
    pub spec: Spec,
    /// Where the pages of its memory file lie.
    pub runs: Vec<Run>,
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
    /// CPUs leave the host.
    TakeCpus,
    /// Memory is allocated, zeroed and mapped.
    Memory,
    /// Kernel and initramfs are copied.
    Load,
    /// Command line, boot parameters, ACPI and page tables are written.
    Tables,
    /// The boot CPU is sent to the kernel.
    StartCpu,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TakeCpus => "taking its CPUs from the host",
            Self::Memory => "allocating its memory",
            Self::Load => "loading kernel and initramfs",
            Self::Tables => "writing boot parameters and tables",
            Self::StartCpu => "starting its boot CPU",
        })
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// CPUs
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// memory
    #[error(transparent)]
    Memory(#[from] HugetlbError),
    /// memory that the host was booted without
    #[error(transparent)]
    Reserved(#[from] ReservedError),
    /// memory that cannot be mapped
    #[error(transparent)]
    Map(#[from] MapError),
    /// low memory
    #[error(transparent)]
    LowMemory(#[from] DevMemError),
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
}

/// A start that failed, and where. What it took is still taken: see [`reclaim`](Instance::reclaim).
#[derive(Debug, thiserror::Error)]
#[error("{step} failed")]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Why.
    #[source]
    pub source: StartError,
}
