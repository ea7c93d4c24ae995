//! What profiles gain and what they cost, measured: `docs/profiles-measured.md`.
//!
//! `make bench-profiles` does all experiments in one machine, writes the page and its chart, and fails where
//! fewer than six gain. With names (`EXPERIMENT=fast-open`) it does those and only prints.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark ends where something does not work"
)]

mod accept_burst;
mod chart;
mod compressed_swap;
mod dirty_limits;
mod document;
mod experiment;
mod fast_open;
mod fresh_data;
mod huge_pages;
mod idle_restart;
mod in_force;
mod io_scheduler;
mod isolation;
mod lossy_link;
mod machine;
mod read_ahead;
mod wake_ups;

use std::sync::Mutex;
use std::time::Instant;

use experiment::{Experiment, Measured};
use rig::provide;
use rig::qemu::{self, QemuVersion};
use scenarios::scenario;

static ALL: [Experiment; 12] = [
    accept_burst::EXPERIMENT,
    lossy_link::EXPERIMENT,
    idle_restart::EXPERIMENT,
    fast_open::EXPERIMENT,
    fresh_data::EXPERIMENT,
    read_ahead::EXPERIMENT,
    io_scheduler::EXPERIMENT,
    dirty_limits::EXPERIMENT,
    huge_pages::EXPERIMENT,
    wake_ups::EXPERIMENT,
    isolation::EXPERIMENT,
    compressed_swap::EXPERIMENT,
];
/// How many of them have to gain.
const GOAL: usize = 6;

fn main() {
    // Cargo says `--bench` to every benchmark.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for name in &wanted {
        let names: Vec<&str> = ALL.iter().map(|experiment| experiment.name).collect();
        assert!(names.contains(&name.as_str()), "there is no experiment {name}: {names:?}");
    }
    let cache = provide::cache_dir().expect("a place for the cache");
    let qemu = qemu::provide(&QemuVersion::V10, &cache, &()).expect("QEMU");
    let measured_on = scenarios::machine::description(&qemu, machine::CPUS);
    let begun = Instant::now();
    let say = |what: &str| println!("{:>5.0} s  {what}", begun.elapsed().as_secs_f64());
    let all = Mutex::new(Vec::new());
    scenario(|| {
        let server = machine::start();
        machine::connect(&server);
        let is_wanted = |experiment: &&Experiment| {
            wanted.is_empty() || wanted.iter().any(|name| name == experiment.name)
        };
        let done: Vec<Measured> = ALL
            .iter()
            .filter(is_wanted)
            .map(|experiment| experiment::run(experiment, &server, &say))
            .collect();
        *all.lock().unwrap() = done;
    });
    let all = all.into_inner().unwrap();
    println!("\n{}", document::summary(&all));
    if wanted.is_empty() {
        document::write(&all, &measured_on);
        let gaining = all.iter().filter(|measured| measured.gains()).count();
        assert!(gaining >= GOAL, "{gaining} experiments gain, and not {GOAL}");
    }
}
