//! What a virtual CPU says of itself: what KVM can do here, less what guests are not to have, and its place
//! among the others.

use kvm_bindings::{CpuId, kvm_cpuid_entry2};

use super::topology::Topology;
use crate::units::ApicId;

/// Leaf 1, ECX (Intel SDM volume 2A, CPUID).
mod leaf_1_ecx {
    /// Virtualisation of Intel's kind.
    pub const VMX: u32 = 1 << 5;
    /// The local APIC's timer can be set to a value of the time-stamp counter: guests calibrate nothing then.
    pub const TSC_DEADLINE: u32 = 1 << 24;
    /// There is a hypervisor. Kernels look for its clock only where this is set.
    pub const HYPERVISOR: u32 = 1 << 31;
}
/// Leaf 1, EDX: EBX holds a number of logical CPUs.
const LEAF_1_EDX_HTT: u32 = 1 << 28;
/// Leaf 0x80000001, ECX: virtualisation of AMD's kind; how many threads share what is told (AMD APM volume 3,
/// appendix E.4).
const AMD_SVM: u32 = 1 << 2;

/// Leaf 0xb: types of level (Intel SDM volume 2A, CPUID).
const LEVEL_THREAD: u32 = 1 << 8;
const LEVEL_CORE: u32 = 2 << 8;

/// What KVM offers, for the CPU of this APIC id.
pub fn of_cpu(offered: &CpuId, apic: ApicId, topology: Topology) -> Vec<kvm_cpuid_entry2> {
    let mut entries: Vec<kvm_cpuid_entry2> = offered.as_slice().to_vec();
    // Levels of the host's own topology mean nothing here.
    entries.retain(|entry| !(matches!(entry.function, 0xb | 0x1f) && entry.index > 0));
    for entry in &mut entries {
        adapt(entry, apic, topology);
    }
    let levels: Vec<u32> = entries.iter().map(|entry| entry.function).collect();
    for leaf in levels.into_iter().filter(|leaf| matches!(leaf, 0xb | 0x1f)) {
        entries.push(level(leaf, 1, apic, topology));
        entries.push(level(leaf, 2, apic, topology));
    }
    entries
}

fn adapt(entry: &mut kvm_cpuid_entry2, apic: ApicId, topology: Topology) {
    let of_socket = topology.cores_of_socket();
    match entry.function {
        1 => {
            // Kernels take what is here for the initial APIC id, whatever leaf 0xb says.
            let count = of_socket.min(255);
            entry.ebx = entry.ebx & 0xffff | count << 16 | apic.0 << 24;
            entry.ecx &= !leaf_1_ecx::VMX;
            entry.ecx |= leaf_1_ecx::TSC_DEADLINE | leaf_1_ecx::HYPERVISOR;
            entry.edx &= !LEAF_1_EDX_HTT;
            if of_socket > 1 {
                entry.edx |= LEAF_1_EDX_HTT;
            }
        }
        // Caches: who shares them. Type 0 ends the list.
        4 | 0x8000_001d if entry.eax & 0x1f != 0 => {
            let level = entry.eax >> 5 & 7;
            let sharing = if level >= 3 { 1 << topology.socket_shift() } else { topology.threads };
            entry.eax = entry.eax & 0x3fff | (sharing - 1).min(0xfff) << 14;
            if entry.function == 4 {
                entry.eax |= (topology.cores - 1).min(0x3f) << 26;
            }
        }
        0xb | 0x1f => *entry = level(entry.function, 0, apic, topology),
        0x8000_0001 => entry.ecx &= !AMD_SVM,
        0x8000_0008 => {
            let width = topology.socket_shift();
            entry.ecx = entry.ecx & !0xf0ff | width << 12 | (of_socket - 1).min(0xff);
        }
        // Virtualisation of AMD's kind in detail.
        0x8000_000a => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
        0x8000_001e => {
            entry.eax = apic.0;
            entry.ebx = apic.0 >> topology.core_shift() & 0xff | (topology.threads - 1) << 8;
            entry.ecx = 0;
        }
        _ => {}
    }
}

/// One level of the leaf that tells the topology.
fn level(function: u32, index: u32, apic: ApicId, topology: Topology) -> kvm_cpuid_entry2 {
    let (eax, ebx, kind) = match index {
        0 => (topology.core_shift(), topology.threads, LEVEL_THREAD),
        1 => (topology.socket_shift(), topology.cores_of_socket(), LEVEL_CORE),
        _ => (0, 0, 0),
    };
    kvm_cpuid_entry2 {
        function,
        index,
        flags: kvm_bindings::KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        eax,
        ebx,
        ecx: kind | index,
        edx: apic.0,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> CpuId {
        let entry = |function, index| kvm_cpuid_entry2 {
            function,
            index,
            eax: 0x6143,
            ebx: 0xff00_0800,
            ecx: !leaf_1_ecx::HYPERVISOR,
            edx: 0,
            ..Default::default()
        };
        let leaves = [(1, 0), (4, 3), (0xb, 0), (0xb, 1), (0x8000_0001, 0), (0x8000_0008, 0)];
        CpuId::from_entries(&leaves.map(|(function, index)| entry(function, index))).unwrap()
    }

    #[test]
    fn each_cpu_knows_its_place() {
        let topology = Topology { sockets: 2, cores: 2, threads: 2 };
        let entries = of_cpu(&offered(), topology.apic_id(5), topology);
        let of = |function, index| {
            let same =
                |entry: &&kvm_cpuid_entry2| (entry.function, entry.index) == (function, index);
            *entries.iter().find(same).unwrap()
        };
        assert_eq!(of(1, 0).ebx, 5 << 24 | 4 << 16 | 0x0800);
        assert_eq!(of(1, 0).ecx & leaf_1_ecx::VMX, 0, "no virtual machines in virtual machines");
        assert_ne!(of(1, 0).ecx & leaf_1_ecx::HYPERVISOR, 0);
        assert_ne!(of(1, 0).edx & LEAF_1_EDX_HTT, 0);
        let levels: Vec<_> =
            (0..3).map(|index| of(0xb, index)).map(|e| (e.eax, e.ebx, e.ecx, e.edx)).collect();
        assert_eq!(levels, [(1, 2, 0x100, 5), (2, 4, 0x201, 5), (0, 0, 2, 5)]);
        assert_eq!(of(4, 3).eax >> 14 & 0xfff, 1, "a cache of the second level is a core's");
        assert_eq!(of(4, 3).eax >> 26, 1);
        assert_eq!(of(0x8000_0001, 0).ecx & AMD_SVM, 0);
        assert_eq!(of(0x8000_0008, 0).ecx & 0xffff, 2 << 12 | 0xf << 8 & 0xf00 | 3);
    }
}
