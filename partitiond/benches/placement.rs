//! Cost of placement at growing sizes. It has to be linear: the last lines show the cost per CPU,
//! which stays level where it is.

use std::time::Instant;

use boot::units::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use partitiond::cluster::{Cluster, Cpus, MemorySource, Numa, Partition, Restart};
use partitiond::inventory::{Machine, Shape};
use partitiond::placement::{Assignments, place};

/// A machine with this many CPUs: two to a core, 16 to a node, and one partition for four CPUs.
fn case(cpus: u32) -> (Machine, Cluster) {
    let machine = Machine::synthetic(Shape {
        sockets: 4,
        nodes: cpus / 16,
        cores: 8,
        threads: 2,
        llc_cores: 4,
        memory: Bytes::gib(u64::from(cpus) * 4),
    });
    let partition = |at: u32| Partition {
        image: "general".to_owned(),
        cpus: Cpus::Count(if at.is_multiple_of(8) { 4 } else { 2 }),
        memory: Bytes::mib(512),
        numa: at.is_multiple_of(32).then_some(Numa::Spread),
        memory_source: MemorySource::default(),
        backend: None,
        profile: None,
        cmdline: String::new(),
        workloads: Vec::new(),
        restart: Restart::Never,
        hang_after: partitiond::cluster::default_hang_after(),
        disks: Vec::new(),
        taps: Vec::new(),
        snapshot: None,
    };
    let partitions = (0..cpus / 4).map(|at| (format!("p{at:04}"), partition(at))).collect();
    (machine, Cluster { partitions, ..Cluster::default() })
}

const SIZES: [u32; 5] = [128, 256, 512, 1024, 2048];

fn placement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("placement");
    for cpus in SIZES {
        let (machine, cluster) = case(cpus);
        group.throughput(Throughput::Elements(u64::from(cpus)));
        let empty = Assignments::new();
        group.bench_with_input(BenchmarkId::new("new", cpus), &cpus, |bencher, _| {
            bencher.iter(|| place(&machine, &cluster, &empty));
        });
        let Ok(placed) = place(&machine, &cluster, &empty) else {
            eprintln!("{cpus} CPUs: the case does not fit its machine");
            std::process::exit(1);
        };
        let current = placed.assignments();
        group.bench_with_input(BenchmarkId::new("unchanged", cpus), &cpus, |bencher, _| {
            bencher.iter(|| place(&machine, &cluster, &current));
        });
    }
    group.finish();
}

/// Cost per CPU, the least of several runs.
fn per_cpu() {
    println!(
        "\n{:>6} {:>6} {:>11} {:>10} {:>12}",
        "CPUs", "nodes", "partitions", "ms", "ns per CPU"
    );
    for cpus in SIZES {
        let (machine, cluster) = case(cpus);
        let run = || {
            let start = Instant::now();
            let placed = place(&machine, &cluster, &Assignments::new());
            let took = start.elapsed();
            assert!(placed.is_ok(), "the case does not fit its machine");
            took
        };
        let best = (0..50).map(|_| run()).min().unwrap_or_default();
        println!(
            "{cpus:>6} {:>6} {:>11} {:>10.3} {:>12.0}",
            machine.nodes.len(),
            cluster.partitions.len(),
            best.as_secs_f64() * 1e3,
            best.as_secs_f64() * 1e9 / f64::from(cpus),
        );
    }
}

criterion_group!(benches, placement);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    per_cpu();
}
