//! More memory wanted than there is: some of it seldom used, and a file that is read all the time.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use crate::Failure;
use crate::arguments::Arguments;
use crate::memory::{Mapping, PAGE};
use crate::numbers::{Random, Readings};

/// One operation in so many is on memory instead of the file.
const SELDOM: usize = 50;

/// Fills `memory=` MiB, then does `operations=` operations: it reads a page of the first `mib=` MiB of
/// `file=`, or, seldom, one of its memory.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let (memory, size) = (arguments.mebibytes("memory")?, arguments.mebibytes("mib")?);
    let operations = arguments.number("operations")?;
    let file = File::open(arguments.text("file")?)?;
    let mut mapping = Mapping::anonymous(memory)?;
    fill(&mut mapping);
    let (mut random, mut page) = (Random::new(11), vec![0; PAGE]);
    let mut work = |count: usize| -> Result<(), Failure> {
        for _ in 0..count {
            if random.below(SELDOM) == 0 {
                std::hint::black_box(mapping.read(random.below(memory / PAGE) * PAGE));
            } else {
                file.read_exact_at(&mut page, (random.below(size / PAGE) * PAGE) as u64)?;
            }
        }
        Ok(())
    };
    // Until the kernel has seen what is used.
    work(operations)?;
    let (before, begun) = (getrusage(UsageWho::RUSAGE_SELF)?, Instant::now());
    work(operations)?;
    let (elapsed, after) = (begun.elapsed().as_secs_f64(), getrusage(UsageWho::RUSAGE_SELF)?);
    let system = |usage: &nix::sys::resource::Usage| {
        let time = usage.system_time();
        time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
    };
    let major = after.major_page_faults() - before.major_page_faults();
    Ok(Readings::default()
        .with("operations_per_s", operations as f64 / elapsed)
        .with(
            "system_us_per_operation",
            (system(&after) - system(&before)) * 1e6 / operations as f64,
        )
        .with("swapped_in", major as f64))
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
