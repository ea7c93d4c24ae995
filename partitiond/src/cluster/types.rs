//! What a cluster file says, as data.

use std::collections::BTreeMap;
use std::time::Duration;

use boot::units::{Bytes, CpuSet, MacAddress, NodeId};
use images::definition::Definition;
use serde::{Deserialize, Serialize};

use super::interval::Interval;

/// The whole file: how a machine is divided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// What stays with the first kernel.
    pub host: Host,
    /// Whether the partitions trust each other.
    pub trust: Trust,
    /// The back end of partitions that name none.
    pub backend: Backend,
    /// Risks of this machine that the operator accepts by name.
    pub accept: Vec<Risk>,
    /// Images that the file itself defines, by name.
    pub images: BTreeMap<String, Definition>,
    /// The partitions, by name.
    pub partitions: BTreeMap<String, Partition>,
}

/// What stays with the first kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// CPUs that no partition gets; the boot CPU's core stays with the host in any case.
    pub cpus: Option<CpuSet>,
    /// Memory that no partition gets.
    pub memory: Option<Bytes>,
}

/// Whether the partitions of a machine trust each other and the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// They do: a kernel at full privilege beside another is acceptable. `bare` demands it.
    Mutual,
    /// They do not: isolation is enforced by hardware, so that only `kvm` will do. The default,
    /// because trust is something to be granted.
    #[default]
    Isolated,
}

/// What boots a partition's kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Backend {
    /// `Bare` where the machine and the trust allow it, else `Kvm`.
    #[default]
    Auto,
    /// Natively, on CPUs and memory taken from the host.
    Bare,
    /// In a virtual machine.
    Kvm,
}

impl Backend {
    /// In one word, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bare => "bare",
            Self::Kvm => "kvm",
        }
    }
}

/// Something about a machine that endangers it and that the operator accepts by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Risk {
    /// The host runs without `no_ipi_broadcast=1`: its panic or reboot stops the partitions too.
    HostIpiBroadcast,
    /// In xAPIC mode, INIT and SIPI are written to two registers one after the other, instead of by the
    /// host's kernel, which takes ten seconds for each partition. An interrupt of the host's between
    /// the two could aim INIT at a CPU of its own, and stop the machine.
    XApicRegisters,
}

impl Risk {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::HostIpiBroadcast, Self::XApicRegisters];

    /// Its name in the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostIpiBroadcast => "HostIpiBroadcast",
            Self::XApicRegisters => "XApicRegisters",
        }
    }
}

/// A part of the machine with a kernel of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// What it boots: an entry of `images`, or a name in the image store.
    pub image: String,
    /// Its CPUs.
    #[serde(default)]
    pub cpus: Cpus,
    /// Its memory: at least [`MIN_MEMORY`], a whole number of pages of its source.
    #[serde(default = "default_memory")]
    pub memory: Bytes,
    /// On which NUMA nodes. Where the file is silent: one node for a count of CPUs; the nodes of the
    /// CPUs for a set.
    #[serde(default)]
    pub numa: Option<Numa>,
    /// Where its memory comes from.
    #[serde(default)]
    pub memory_source: MemorySource,
    /// What boots it; as the cluster's where absent.
    #[serde(default)]
    pub backend: Option<Backend>,
    /// A KernelScript profile, relative to the cluster file.
    #[serde(default)]
    pub profile: Option<String>,
    /// Words added at the end of the kernel's command line.
    #[serde(default)]
    pub cmdline: String,
    /// What it runs, besides what its image says.
    #[serde(default)]
    pub workloads: Vec<protocol::Workload>,
    /// What to do when its kernel ends by itself.
    #[serde(default)]
    pub restart: Restart,
    /// After how long without a word its kernel counts as hung, where `restart` covers that.
    #[serde(default = "default_hang_after")]
    pub hang_after: Interval,
    /// The snapshot that it goes on from, instead of booting its image's kernel; absolute; `kvm` only.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// Its disks, in the order in which its kernel finds them; `kvm` only.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Its network devices, in the order in which its kernel finds them; `kvm` only.
    #[serde(default)]
    pub taps: Vec<Tap>,
}

/// A network device of a partition, and its other end on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tap {
    /// The host's end: a tap interface. Where there is none of this name it is made, and goes with the partition.
    pub name: String,
    /// The partition's own address; one that follows from the names where absent.
    #[serde(default)]
    pub mac: Option<MacAddress>,
}

/// A disk of the host's that a partition has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// What the partition knows it by: the serial number of the disk.
    pub name: String,
    /// A file, or a block device; absolute.
    pub path: String,
    /// Whether the partition only reads it. Several may then have it.
    #[serde(default)]
    pub read_only: bool,
    /// Whether the host's page cache is passed by.
    #[serde(default)]
    pub direct: bool,
}

/// The least memory of a partition. A Debian cloud kernel with a minimal root file system needs
/// about 100 MiB to boot.
pub const MIN_MEMORY: Bytes = Bytes::mib(128);

/// The memory of a partition that says nothing about it.
pub const fn default_memory() -> Bytes {
    Bytes::mib(512)
}

/// How long nothing may be heard of a partition that says nothing about it. Heartbeats come every
/// second; a kernel whose memory runs out may well be busy for ten.
pub const fn default_hang_after() -> Interval {
    Interval(Duration::from_secs(30))
}

/// The least that `hang_after` may be: a partition is called silent after three seconds.
pub const MIN_HANG_AFTER: Interval = Interval(Duration::from_secs(5));

/// Which CPUs a partition gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cpus {
    /// This many CPUs (hardware threads), in whole cores, wherever they fit best.
    Count(u32),
    /// This many cores with all their threads, wherever they fit best.
    Cores(u32),
    /// These CPUs, by Linux number.
    Set(CpuSet),
    /// This many virtual CPUs, that run on the host's own whenever those have time: none is given away.
    Shared(u32),
}

/// One core: that much there is on every machine, however many threads its cores have.
impl Default for Cpus {
    fn default() -> Self {
        Self::Cores(1)
    }
}

/// On which NUMA nodes a partition lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Numa {
    /// All on one node.
    Local,
    /// Spread evenly over all nodes that have CPUs.
    Spread,
    /// Spread evenly over these.
    Nodes(Vec<NodeId>),
}

/// Where a partition's memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemorySource {
    /// Huge pages taken from the running host.
    Hugetlb {
        /// Their size.
        page: HugePage,
    },
    /// A pool that firmware or command line soft-reserved (`memmap=…%…`), also as device DAX.
    SoftReserved,
    /// A range that the host was booted without (`memmap=…$…`).
    Memmap,
    /// That of the snapshot which the partition goes on from: shared with all others that do, and its own from where it
    /// writes. Ordinary pages of the running host, each taken when it is first written to.
    Snapshot,
}

impl Default for MemorySource {
    fn default() -> Self {
        Self::Hugetlb { page: HugePage::TwoMiB }
    }
}

impl MemorySource {
    /// What amounts of it are multiples of.
    pub fn page(self) -> Bytes {
        match self {
            Self::Hugetlb { page } => page.size(),
            // Kernels are loaded at, and map themselves with, 2 MiB.
            Self::SoftReserved | Self::Memmap | Self::Snapshot => Bytes::mib(2),
        }
    }

    /// In two or three words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hugetlb { page: HugePage::TwoMiB } => "huge pages of 2 MiB",
            Self::Hugetlb { page: HugePage::OneGiB } => "huge pages of 1 GiB",
            Self::SoftReserved => "soft-reserved",
            Self::Memmap => "memmap",
            Self::Snapshot => "shared with a snapshot",
        }
    }

    /// Whether it is memory of the running host, rather than some that the host was booted without.
    pub fn is_from_host(self) -> bool {
        matches!(self, Self::Hugetlb { .. } | Self::Snapshot)
    }

    /// Its name in the cluster file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hugetlb { .. } => "Hugetlb",
            Self::SoftReserved => "SoftReserved",
            Self::Memmap => "Memmap",
            Self::Snapshot => "Snapshot",
        }
    }
}

/// The sizes of huge pages on x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HugePage {
    /// 2 MiB
    #[default]
    #[serde(rename = "2MiB")]
    TwoMiB,
    /// 1 GiB
    #[serde(rename = "1GiB")]
    OneGiB,
}

impl HugePage {
    /// The size.
    pub const fn size(self) -> Bytes {
        match self {
            Self::TwoMiB => Bytes::mib(2),
            Self::OneGiB => Bytes::gib(1),
        }
    }
}

/// What to do when a partition's kernel ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// It stays down; its CPUs and memory go back to the host.
    #[default]
    Never,
    /// It is booted again, whatever ended it.
    Always,
    /// It is booted again after a panic, a hang or a reset, but not after a power-off.
    OnFailure {
        /// At most this many times …
        max: u32,
        /// … in this time.
        within: Interval,
    },
}

impl Cluster {
    /// What boots a partition, as the file says it: its own word, else the cluster's.
    pub fn backend_of(&self, partition: &Partition) -> Backend {
        partition.backend.unwrap_or(self.backend)
    }
}
