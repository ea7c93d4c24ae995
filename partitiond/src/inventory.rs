//! What a machine has: CPUs, memory, nodes, devices, kernel. [`Machine`] is data; [`sys`] reads it
//! from the running machine, [`load`] from a file, so that a division can be planned for a machine
//! that is not there.
//!
//! # CPUs that are offline
//!
//! Linux takes the `topology` and `cache` directories of an offline CPU away, and `/proc/cpuinfo`
//! leaves it out: nothing tells any more which core it belongs to, and the sibling lists of the
//! others shrink. The supervisor therefore keeps the inventory that it took when all CPUs were
//! online, and completes every later one with [`Machine::complete_from`].

use std::collections::{BTreeMap, BTreeSet};

use boot::memory::Segment;
use boot::units::{ApicId, Bytes, CpuId, CpuSet, NodeId, PhysAddr};
use serde::{Deserialize, Serialize};

mod file;
pub mod pools;
mod srat;
mod synthetic;
pub mod sys;

#[cfg(test)]
mod tests;

pub use file::{LoadError, MAX_FILE, load, parse, save};
pub use synthetic::Shape;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its CPUs, by Linux number, ascending; offline ones too.
    pub cpus: Vec<Cpu>,
    /// Its NUMA nodes, by Linux number, ascending. A machine without NUMA has one.
    pub nodes: Vec<Node>,
    /// `MemTotal`: what the kernel manages, without pools.
    pub memory: Bytes,
    /// Sizes of huge pages that the kernel can reserve, ascending.
    pub hugepage_sizes: Vec<Bytes>,
    /// Memory that the kernel was told to leave alone.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// The running kernel.
    pub kernel: Kernel,
    /// How the local APICs work.
    pub apic: Apic,
    /// Whether the time stamp counter runs at one rate (`constant_tsc`).
    pub tsc_constant: bool,
    /// Whether it runs on in every sleep state (`nonstop_tsc`).
    pub tsc_nonstop: bool,
    /// Whether the machine is itself a virtual one (CPUID's hypervisor bit).
    pub hypervisor: bool,
    /// Whether control groups v2 are mounted at `/sys/fs/cgroup`.
    pub cgroup_v2: bool,
    /// PCI functions, by address.
    #[serde(default)]
    pub pci: Vec<PciDevice>,
    /// What could not be found out, and what was assumed instead, for people.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One CPU (hardware thread).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Its Linux number.
    pub id: CpuId,
    /// Whether the kernel runs on it now.
    pub online: bool,
    /// Whether it is the one that the kernel booted on; it can never be given away.
    #[serde(default)]
    pub boot: bool,
    /// Whether the kernel can take it offline (`cpuN/online` exists).
    pub removable: bool,
    /// Where it sits. `None` for an offline CPU of which nothing is known.
    pub place: Option<Place>,
}

/// Where a CPU sits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its local APIC id.
    pub apic_id: ApicId,
    /// Its package (socket).
    pub package: u32,
    /// Its core; unique within a package only.
    pub core: u32,
    /// The CPUs of its core, itself among them.
    pub siblings: CpuSet,
    /// The CPUs that share its last-level cache, itself among them.
    pub llc: CpuSet,
    /// Its NUMA node.
    pub node: NodeId,
}

/// One NUMA node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its Linux number.
    pub id: NodeId,
    /// Its memory; zero for a node of CPUs alone.
    pub memory: Bytes,
    /// Distances to all nodes, in the order of [`Machine::nodes`]; 10 is itself (ACPI SLIT).
    pub distances: Vec<u32>,
    /// Huge pages, one entry for each size.
    #[serde(default)]
    pub hugepages: Vec<HugePages>,
}

/// The huge pages of one size on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HugePages {
    /// Size of one.
    pub size: Bytes,
    /// How many there are.
    pub total: u64,
    /// How many of them nobody uses.
    pub free: u64,
}

/// Memory that the kernel was told to leave alone at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// How it was set aside.
    pub kind: PoolKind,
    /// Its first address.
    pub start: PhysAddr,
    /// Its size.
    pub size: Bytes,
    /// The node it lies on; `None` where nothing tells.
    pub node: Option<NodeId>,
    /// Why no partition can have it, where none can.
    #[serde(default)]
    pub unusable: Option<String>,
}

impl Pool {
    /// Pages of pools: kernels are loaded at, and map themselves with, 2 MiB.
    pub const PAGE: Bytes = Bytes::mib(2);

    /// Where it lies.
    pub fn place(&self) -> Segment {
        Segment { start: self.start, size: self.size }
    }

    /// The whole pages in it that partitions can have; `None` where that is nothing.
    pub fn pages(&self) -> Option<Segment> {
        let start = self.start.0.checked_next_multiple_of(Self::PAGE.0)?;
        let end = self.start.0.checked_add(self.size.0)?;
        let size = (end - end % Self::PAGE.0).checked_sub(start).filter(|size| *size > 0)?;
        let usable = self.unusable.is_none();
        usable.then_some(Segment { start: PhysAddr(start), size: Bytes(size) })
    }
}

/// How a pool was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolKind {
    /// `Soft Reserved` in `/proc/iomem`: by the firmware, or by `memmap=<size>%<start>-1+0xefffffff`.
    SoftReserved,
    /// Reserved by `memmap=<size>$<start>` on the command line.
    Memmap,
}

/// The running kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// `uname -r`
    pub release: String,
    /// `/proc/version`
    pub version: String,
    /// `/proc/cmdline`
    pub cmdline: String,
    /// `uname -m`
    pub arch: String,
    /// Lockdown mode; `None` where the kernel does not tell (no securityfs, or none built in).
    pub lockdown: Option<Lockdown>,
}

/// How far the kernel is locked against its own root (`kernel_lockdown(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lockdown {
    /// not at all
    None,
    /// root may not change the running kernel
    Integrity,
    /// nor read its secrets
    Confidentiality,
}

/// How the local APICs work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apic {
    /// Whether the CPUs have x2APIC and the kernel did not turn it off (`x2apic` in
    /// `/proc/cpuinfo`).
    pub x2apic_capable: bool,
    /// The mode in use, where it follows from what can be read: xAPIC without the capability, x2APIC
    /// with an APIC id beyond 254. Else only the register `IA32_APIC_BASE` tells.
    pub mode: Option<ApicMode>,
}

/// Modes of the local APIC (Intel SDM volume 3, "x2APIC mode").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApicMode {
    /// registers in memory, 8-bit ids
    XApic,
    /// registers as MSRs, 32-bit ids
    X2Apic,
}

/// A PCI function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PciDevice {
    /// `0000:00:1f.2`
    pub address: String,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code, 24 bits: `0x010802` is NVMe.
    pub class: u32,
    /// The driver bound to it.
    pub driver: Option<String>,
    /// The node it hangs on.
    pub node: Option<NodeId>,
}

impl Machine {
    /// The CPU of this number.
    pub fn cpu(&self, id: CpuId) -> Option<&Cpu> {
        let at = self.cpus.binary_search_by_key(&id, |cpu| cpu.id).ok()?;
        self.cpus.get(at)
    }

    /// The node of this number.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        let at = self.nodes.binary_search_by_key(&id, |node| node.id).ok()?;
        self.nodes.get(at)
    }

    /// The CPU that the kernel booted on.
    pub fn boot_cpu(&self) -> Option<CpuId> {
        self.cpus.iter().find(|cpu| cpu.boot).map(|cpu| cpu.id)
    }

    /// The CPUs that are online.
    pub fn online(&self) -> CpuSet {
        self.cpus.iter().filter(|cpu| cpu.online).map(|cpu| cpu.id).collect()
    }

    /// Number of packages.
    pub fn packages(&self) -> usize {
        let places = self.cpus.iter().filter_map(|cpu| cpu.place.as_ref());
        places.map(|place| place.package).collect::<BTreeSet<_>>().len()
    }

    /// Takes from an `earlier` inventory of the same machine what offline CPUs hide now: their
    /// places, and the full sibling lists of the others. What changes while a machine runs (online,
    /// memory, huge pages) stays as it is here.
    ///
    /// A CPU that is online under another APIC id than before is another CPU; then nothing is taken
    /// for it, and a note says so.
    pub fn complete_from(&mut self, earlier: &Self) {
        let known: BTreeMap<CpuId, &Cpu> = earlier.cpus.iter().map(|cpu| (cpu.id, cpu)).collect();
        let mut changed = CpuSet::new();
        for cpu in &mut self.cpus {
            let Some(place) = known.get(&cpu.id).and_then(|cpu| cpu.place.as_ref()) else {
                continue;
            };
            if cpu.place.as_ref().is_some_and(|now| now.apic_id != place.apic_id) {
                changed.insert(cpu.id);
            } else {
                cpu.place = Some(place.clone());
            }
        }
        if !changed.is_empty() {
            self.notes.push(format!(
                "CPUs {changed} have other APIC ids than in the kept inventory: the machine has changed"
            ));
        }
    }
}
