//! Memory that is followed from pointer to pointer, and memory of which little is used.

use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use crate::Failure;
use crate::arguments::Arguments;
use crate::memory::{Mapping, PAGE, mebibytes_of};
use crate::numbers::{Random, Readings, milliseconds};

/// Words of a cache line.
const LINE: usize = 8;
/// Of how many pages of the sparse heap one is used.
const SPARSE: usize = 16;

/// Follows `steps=` pointers through `mib=` MiB, one a cache line, in random order; then uses every
/// sixteenth page of as much.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let (size, steps) = (arguments.mebibytes("mib")?, arguments.number("steps")?);
    let mut mapping = Mapping::anonymous(size)?;
    let faults = minor_faults()?;
    let begun = Instant::now();
    // SAFETY: it is anonymous.
    let words = unsafe { mapping.words() };
    link(words);
    let linked = begun.elapsed();
    let faults = minor_faults()? - faults;
    let (begun, mut place) = (Instant::now(), 0);
    for _ in 0..steps {
        place = words.get(place).copied().unwrap_or_default() as usize;
    }
    let chased = begun.elapsed();
    std::hint::black_box(place);
    drop(mapping);

    let before = mebibytes_of("/proc/self/status", "VmRSS")?;
    let mut heap = Mapping::anonymous(size)?;
    // SAFETY: it is anonymous.
    for word in unsafe { heap.words() }.iter_mut().step_by(PAGE / 8 * SPARSE) {
        *word = 1;
    }
    let resident = mebibytes_of("/proc/self/status", "VmRSS")? - before;
    Ok(Readings::default()
        .with("ns_per_step", chased.as_secs_f64() * 1e9 / steps as f64)
        .with("first_touch_ms", milliseconds(linked))
        .with("faults", faults)
        .with("sparse_mib", resident))
}

/// Makes one ring of all cache lines, in random order: Sattolo's algorithm.
fn link(words: &mut [u64]) {
    let lines = words.len() / LINE;
    for line in 0..lines {
        words[line * LINE] = (line * LINE) as u64;
    }
    let mut random = Random::new(3);
    for line in (1..lines).rev() {
        words.swap(line * LINE, random.below(line) * LINE);
    }
}

fn minor_faults() -> Result<f64, Failure> {
    Ok(getrusage(UsageWho::RUSAGE_SELF)?.minor_page_faults() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_comes_by_every_line() {
        let mut words = vec![0; 100 * LINE];
        link(&mut words);
        let (mut place, mut steps) = (words[0] as usize, 1);
        while place != 0 {
            (place, steps) = (words[place] as usize, steps + 1);
        }
        assert_eq!(steps, 100);
    }
}
