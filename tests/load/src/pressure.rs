//! More memory wanted than there is.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::Failure;
use crate::arguments::Arguments;
use crate::memory::{Mapping, PAGE};
use crate::numbers::{Random, Readings};

/// How often the clock is looked at, in pages.
const LOOK: usize = 16;

/// Fills `memory=` MiB, and reads pages of it anywhere for `warming=` and then for `time=` milliseconds.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let (memory, time) = (arguments.mebibytes("memory")?, arguments.milliseconds("time")?);
    let mut mapping = Mapping::anonymous(memory)?;
    fill(&mut mapping);
    let mut random = Random::new(11);
    let mut read = |time: Duration| {
        let (mut pages, begun) = (0, Instant::now());
        while begun.elapsed() < time {
            for _ in 0..LOOK {
                std::hint::black_box(mapping.read(random.below(memory / PAGE) * PAGE));
            }
            pages += LOOK;
        }
        (pages as f64, begun.elapsed())
    };
    // Until what is in memory is no longer what was filled last.
    read(arguments.milliseconds("warming")?);
    let before = getrusage(UsageWho::RUSAGE_SELF)?;
    let (pages, elapsed) = read(time);
    let after = getrusage(UsageWho::RUSAGE_SELF)?;
    let faults = after.major_page_faults() - before.major_page_faults();
    let system = microseconds(after.system_time()) - microseconds(before.system_time());
    Ok(Readings::default()
        .with("pages_per_s", pages / elapsed.as_secs_f64())
        .with("swapped_in_percent", faults as f64 / pages * 100.0)
        .with("cpu_percent", system / elapsed.as_secs_f64() / 1e4))
}

fn microseconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64
}

/// A quarter of every page is random: about what programs' memory compresses to.
fn fill(mapping: &mut Mapping) {
    let mut random = Random::new(5);
    // SAFETY: it is anonymous.
    for page in unsafe { mapping.words() }.chunks_mut(PAGE / 8) {
        for word in page.iter_mut().take(PAGE / 32) {
            *word = random.below(usize::MAX) as u64;
        }
    }
}
