//! A disk read from begin to end, and touched here and there.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::Failure;
use crate::arguments::Arguments;
use crate::memory::{Mapping, PAGE};
use crate::numbers::{Random, Readings, percentile};

/// Reads `mib=` MiB of `device=` in blocks of 64 KiB, then touches `touches=` pages of as much, mapped.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let (size, touches) = (arguments.mebibytes("mib")?, arguments.number("touches")?);
    let mut device = File::open(arguments.text("device")?)?;
    forget(&device)?;
    let (begun, mut block, mut done) = (Instant::now(), vec![0; 1 << 16], 0);
    while done < size {
        device.read_exact(&mut block)?;
        done += block.len();
    }
    let sequential = size as f64 / 1048576.0 / begun.elapsed().as_secs_f64();

    forget(&device)?;
    let mapping = Mapping::of_file(&device, size)?;
    let mut random = Random::new(1);
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..touches {
        let page = random.below(size / PAGE);
        let begun = Instant::now();
        std::hint::black_box(mapping.read(page * PAGE));
        times.push(begun.elapsed());
    }
    Ok(Readings::default()
        .with("mib_per_s", sequential)
        .with("touch_median_ms", percentile(&mut times, 0.5))
        .with("touch_p90_ms", percentile(&mut times, 0.9)))
}

/// Drops what the page cache has of the device.
fn forget(device: &File) -> Result<(), Failure> {
    Ok(posix_fadvise(device, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}
