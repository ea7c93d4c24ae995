//! What profiles gain and what they cost, measured: `docs/profiles-measured.md`.
//!
//! `make bench-profiles` does all experiments in one machine and writes the document and its chart.
//! `EXPERIMENT=name make bench-profiles` does one and only prints.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark ends where something does not work"
)]

mod accept_burst;
mod compressed_swap;
mod dirty_limits;
mod experiment;
mod fast_open;
mod fresh_data;
mod huge_pages;
mod idle_restart;
mod io_scheduler;
mod isolation;
mod lossy_link;
mod machine;
mod read_ahead;
mod wake_ups;

use std::sync::Mutex;
use std::time::Instant;

use experiment::{Experiment, Result};
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

fn main() {
    // Cargo says `--bench` to every benchmark.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for name in &wanted {
        let names: Vec<&str> = ALL.iter().map(|experiment| experiment.name).collect();
        assert!(names.contains(&name.as_str()), "there is no experiment {name}: {names:?}");
    }
    let begun = Instant::now();
    let say = |what: &str| println!("{:>5.0} s  {what}", begun.elapsed().as_secs_f64());
    let results = Mutex::new(Vec::new());
    scenario(|| {
        let server = machine::start();
        machine::connect(&server);
        let mut done: Vec<Result> = Vec::new();
        for experiment in &ALL {
            if wanted.is_empty() || wanted.iter().any(|wanted| wanted == experiment.name) {
                done.push(experiment::run(experiment, &server, &say));
            }
        }
        *results.lock().unwrap() = done;
    });
    let results = results.into_inner().unwrap();
    for result in &results {
        println!("{:?} {:?}", result.settings, result.series);
    }
}
