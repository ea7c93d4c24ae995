//! Machines that are not there.

use boot::units::{ApicId, Bytes, CpuId, CpuSet, NodeId};

use super::{Apic, Cpu, HugePages, Kernel, Machine, Node, Place};

/// The shape of a machine. All numbers are at least 1; counts are rounded up so that every socket
/// has as many nodes as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Packages.
    pub sockets: u32,
    /// NUMA nodes of the whole machine.
    pub nodes: u32,
    /// Cores of each node.
    pub cores: u32,
    /// CPUs of each core.
    pub threads: u32,
    /// Cores that share a last-level cache.
    pub llc_cores: u32,
    /// Memory of the whole machine, spread evenly over the nodes.
    pub memory: Bytes,
}

impl Default for Shape {
    /// Four CPUs on one node, 4 GiB.
    fn default() -> Self {
        Self { sockets: 1, nodes: 1, cores: 4, threads: 1, llc_cores: 8, memory: Bytes::gib(4) }
    }
}

impl Machine {
    /// A machine of this shape, running a Debian kernel. CPUs are numbered as on servers: the first
    /// threads of all cores, then the second ones.
    pub fn synthetic(shape: Shape) -> Self {
        let sockets = shape.sockets.max(1);
        let nodes = shape.nodes.max(1).next_multiple_of(sockets);
        let (cores, threads) = (shape.cores.max(1), shape.threads.max(1));
        let llc_cores = shape.llc_cores.max(1);
        let all_cores = nodes * cores;
        let thread_of = |core: u32, thread: u32| CpuId(thread * all_cores + core);
        let cpu = |id: u32| {
            let (core, thread) = (id % all_cores, id / all_cores);
            let node = core / cores;
            let first = node * cores + (core % cores) / llc_cores * llc_cores;
            let last = (first + llc_cores).min((node + 1) * cores);
            let all = |core: u32| (0..threads).map(move |thread| thread_of(core, thread));
            Cpu {
                id: CpuId(id),
                online: true,
                boot: id == 0,
                removable: id != 0,
                place: Some(Place {
                    apic_id: ApicId(core * threads.next_power_of_two() + thread),
                    package: node / (nodes / sockets),
                    core: core % (cores * (nodes / sockets)),
                    siblings: all(core).collect(),
                    llc: (first..last).flat_map(all).collect::<CpuSet>(),
                    node: NodeId(node),
                }),
            }
        };
        let page = Bytes::mib(2);
        let memory = Bytes(shape.memory.0 / u64::from(nodes));
        let per_socket = nodes / sockets;
        let distance = |from: u32, to: u32| match (from == to, from / per_socket == to / per_socket)
        {
            (true, _) => 10,
            (_, true) => 12,
            _ => 32,
        };
        let node = |id: u32| Node {
            id: NodeId(id),
            memory,
            distances: (0..nodes).map(|to| distance(id, to)).collect(),
            hugepages: vec![
                HugePages { size: page, total: 0, free: 0 },
                HugePages { size: Bytes::gib(1), total: 0, free: 0 },
            ],
        };
        Self {
            cpus: (0..all_cores * threads).map(cpu).collect(),
            nodes: (0..nodes).map(node).collect(),
            memory: Bytes(memory.0 * u64::from(nodes)),
            hugepage_sizes: vec![page, Bytes::gib(1)],
            pools: Vec::new(),
            kernel: Kernel {
                release: "6.12.117+deb13-cloud-amd64".to_owned(),
                version: "Linux version 6.12.117+deb13-cloud-amd64".to_owned(),
                cmdline: "root=/dev/vda1 ro no_ipi_broadcast=1".to_owned(),
                arch: "x86_64".to_owned(),
                lockdown: Some(super::Lockdown::None),
            },
            apic: Apic { x2apic_capable: true, mode: None },
            tsc_constant: true,
            tsc_nonstop: true,
            hypervisor: false,
            cgroup_v2: true,
            pci: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A server with 4 sockets, 8 nodes, 256 cores, 512 CPUs and 2 TiB.
    pub fn four_sockets() -> Self {
        Self::synthetic(Shape {
            sockets: 4,
            nodes: 8,
            cores: 32,
            threads: 2,
            llc_cores: 8,
            memory: Bytes(2 << 40),
        })
    }
}
