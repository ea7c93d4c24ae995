//! How a virtual machine's CPUs belong together: sockets, cores and threads, and the APIC ids that say so.

use serde::{Deserialize, Serialize};

use crate::units::ApicId;

/// Sockets of so many cores of so many threads. As kernels see it in CPUID, an APIC id is made of three fields:
/// socket, core, thread, each as wide as its largest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// At least 1.
    pub sockets: u32,
    /// Of each socket, at least 1.
    pub cores: u32,
    /// Of each core, at least 1.
    pub threads: u32,
}

impl Topology {
    /// One socket of cores with one thread each.
    pub fn flat(cpus: u32) -> Self {
        Self { sockets: 1, cores: cpus.max(1), threads: 1 }
    }

    /// That of CPUs whose (socket, core) are these, ascending; flat where it is not the same for all.
    pub fn of(places: &[(u32, u32)]) -> Self {
        let flat = Self::flat(places.len() as u32);
        let mut sockets: Vec<Vec<u32>> = Vec::new();
        let mut last = None;
        for &(socket, core) in places {
            match last {
                Some(place) if place == (socket, core) => {
                    let threads = sockets.last_mut().and_then(|cores| cores.last_mut());
                    threads.into_iter().for_each(|threads| *threads += 1);
                }
                Some((same, _)) if same == socket => {
                    sockets.last_mut().into_iter().for_each(|cores| cores.push(1));
                }
                _ => sockets.push(vec![1]),
            }
            last = Some((socket, core));
        }
        let Some(first) = sockets.first() else { return flat };
        let threads = first.first().copied().unwrap_or(1);
        let same = sockets
            .iter()
            .all(|cores| cores.len() == first.len() && cores.iter().all(|each| *each == threads));
        match same {
            true => Self { sockets: sockets.len() as u32, cores: first.len() as u32, threads },
            false => flat,
        }
    }

    /// Of all sockets.
    pub fn cpus(self) -> u32 {
        self.sockets.saturating_mul(self.cores_of_socket())
    }

    /// Threads of a socket.
    pub fn cores_of_socket(self) -> u32 {
        self.cores.saturating_mul(self.threads)
    }

    /// The APIC id of the CPU of this number, counted thread by thread, core by core.
    pub fn apic_id(self, cpu: u32) -> ApicId {
        let (cores, threads) = (self.cores.max(1), self.threads.max(1));
        let (thread, core) = (cpu % threads, cpu / threads % cores);
        let socket = cpu / threads / cores;
        ApicId(socket << self.socket_shift() | core << self.core_shift() | thread)
    }

    /// Bits of an APIC id below the core's.
    pub fn core_shift(self) -> u32 {
        bits(self.threads)
    }

    /// Bits of an APIC id below the socket's.
    pub fn socket_shift(self) -> u32 {
        bits(self.threads) + bits(self.cores)
    }
}

/// Bits that tell `count` things apart.
fn bits(count: u32) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_where_cpus_are() {
        let two = Topology { sockets: 2, cores: 1, threads: 2 };
        assert_eq!(Topology::of(&[(0, 3), (0, 3), (1, 3), (1, 3)]), two);
        let cores = Topology { sockets: 1, cores: 3, threads: 1 };
        assert_eq!(Topology::of(&[(4, 1), (4, 2), (4, 7)]), cores);
        assert_eq!(Topology::of(&[(0, 0), (0, 0), (0, 1)]), Topology::flat(3), "half a core");
        assert_eq!(Topology::of(&[]), Topology::flat(1));
    }

    proptest::proptest! {
        #[test]
        fn every_cpu_has_an_apic_id_of_its_own(sockets in 1_u32..5, cores in 1_u32..17, threads in 1_u32..5) {
            let topology = Topology { sockets, cores, threads };
            let ids: std::collections::BTreeSet<u32> =
                (0..topology.cpus()).map(|cpu| topology.apic_id(cpu).0).collect();
            proptest::prop_assert_eq!(ids.len() as u32, topology.cpus());
            for cpu in 0..topology.cpus() {
                let id = topology.apic_id(cpu).0;
                let same_core = cpu - cpu % threads;
                proptest::prop_assert_eq!(
                    id >> topology.core_shift(),
                    topology.apic_id(same_core).0 >> topology.core_shift()
                );
            }
        }
    }
}
