//! The figures of `docs/benchmarks.md`. Every one is a ratio, or a count, of things measured next to
//! each other in one run.
//!
//! `make bench` runs all and writes the document. With names (`-- start parallel`) it runs those and
//! only prints. `BENCH_ROUNDS` says how often each time is taken, 7 unless told otherwise.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark ends where something does not work"
)]

mod cargo;
mod channel;
mod document;
mod interrupts;
mod parallel;
mod placement;
mod plain;
mod profiles;
mod resident;
mod start;
mod up;

use std::sync::Mutex;
use std::time::Instant;

use boot::units::Bytes;
use rig::qemu::{self, Qemu, QemuVersion};
use rig::{Topology, provide};
use scenarios::{Server, Setup, figures, machine, scenario};

/// The image that partitions boot: the kernel is the host's own.
const IMAGE: &str = "linux-6.12-cloud";

/// What every benchmark knows.
pub struct Bench {
    qemu: Qemu,
    rounds: usize,
    begun: Instant,
}

impl Bench {
    /// Says what is going on.
    pub fn say(&self, what: &str) {
        println!("{:>5.0} s  {what}", self.begun.elapsed().as_secs_f64());
    }
}

/// The virtual CPUs of most rigs, and the memory of most partitions.
const RIG_CPUS: u32 = 4;
const MEMORY_MIB: u64 = 512;
/// Where a cluster file lies in a server.
const CLUSTER: &str = "/cluster.ron";

/// A cluster file with this many partitions of one CPU: `p1`, `p2` and so on.
pub fn partitions(count: usize, megabytes: u64) -> String {
    let partitions: String = (1..=count)
        .map(|number| format!("\"p{number}\": (image: \"{IMAGE}\", memory: \"{megabytes}MiB\"),"))
        .collect();
    format!("Cluster(trust: Mutual, partitions: {{ {partitions} }})")
}

/// A virtual server with the image in its store, and these words on its kernel's command line.
pub fn server(cpus: u32, memory_gib: u64, words: &'static str) -> Server {
    Server::start(&Setup {
        images: &[IMAGE],
        topology: Topology::flat(cpus),
        memory: Bytes::gib(memory_gib),
        words,
        preallocated: true,
        ..Setup::default()
    })
}

type Run = fn(&Bench) -> String;

const BENCHMARKS: [(&str, &str, Run); 8] = [
    ("placement", "Placement", placement::run),
    ("channel", "Control channel", channel::run),
    ("start", "Start", start::run),
    ("parallel", "Starting side by side", parallel::run),
    ("interrupts", "Interrupts", interrupts::run),
    ("resident", "Memory", resident::run),
    ("profiles", "Understanding profiles", profiles::understood),
    ("applying", "Profiles into force", profiles::applied),
];

fn main() {
    // Cargo says `--bench` to every benchmark.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for name in &wanted {
        let known = BENCHMARKS.iter().any(|(known, ..)| known == name);
        assert!(known, "there is no benchmark {name}: {:?}", BENCHMARKS.map(|(name, ..)| name));
    }
    let rounds = std::env::var("BENCH_ROUNDS").ok();
    let rounds = rounds.map_or(7, |text| text.parse().expect("BENCH_ROUNDS is a number"));
    println!("programs, kernels and QEMU are made ready");
    scenarios::programs();
    let cache = provide::cache_dir().expect("a place for the cache");
    let qemu = qemu::provide(&QemuVersion::V10, &cache, &()).expect("QEMU");
    let mut figures = vec![machine::description(&qemu, RIG_CPUS)];
    let bench = Bench { qemu, rounds, begun: Instant::now() };
    for (name, title, run) in BENCHMARKS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        bench.say(&format!("{name} (load average {})", machine::load()));
        let result = Mutex::new(String::new());
        scenario(|| *result.lock().unwrap() = run(&bench));
        let text = result.into_inner().unwrap();
        println!("\n{text}");
        figures.push(format!("## {title}\n\n{}", text.trim()));
    }
    if wanted.is_empty() {
        document::write(&figures.join("\n\n"));
    }
}
