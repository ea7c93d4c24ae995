//! The loads that profiles are measured with: one static program, run inside a machine that is tuned.
//!
//! `load NAME KEY=VALUE…` prints a line `METRIC VALUE` for everything that it measured. Each load is a
//! single process, its clients too (those of another machine are threads in the network namespace `far`),
//! so that all times are by one clock.

mod accept;
mod arguments;
mod bulk;
mod chase;
mod fastopen;
mod fsync;
mod idle;
mod memory;
mod mixed;
mod numbers;
mod pressure;
mod priority;
mod readahead;
mod tcp;
mod wakeups;

use std::process::ExitCode;

use arguments::Arguments;
use numbers::Readings;

/// Whatever ends a load.
type Failure = Box<dyn std::error::Error + Send + Sync>;

type Load = fn(&Arguments) -> Result<Readings, Failure>;

const LOADS: [(&str, Load); 11] = [
    ("accept", accept::run),
    ("bulk", bulk::run),
    ("chase", chase::run),
    ("fastopen", fastopen::run),
    ("fsync", fsync::run),
    ("idle", idle::run),
    ("mixed", mixed::run),
    ("pressure", pressure::run),
    ("priority", priority::run),
    ("readahead", readahead::run),
    ("wakeups", wakeups::run),
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    // A hog is a program of its own name, so that a profile can speak of it.
    if name == "hog" {
        return wakeups::hog();
    }
    let Some((_, load)) = LOADS.iter().find(|(known, _)| *known == name) else {
        eprintln!("load: there is no `{name}`: {:?}", LOADS.map(|(name, _)| name));
        return ExitCode::from(2);
    };
    let measured = Arguments::parse(words).and_then(|arguments| load(&arguments));
    match measured {
        Ok(readings) => {
            print!("{readings}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load {name}: {error}");
            ExitCode::FAILURE
        }
    }
}
