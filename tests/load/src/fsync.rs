//! A log that must be on disk, beside a copy that need not.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::arguments::Arguments;
use crate::numbers::{Readings, milliseconds, percentile};
use crate::tcp::joined;

/// Bytes of an entry of the log.
const ENTRY: usize = 4096;

/// For `time=` milliseconds, one thread appends to a log in `folder=` and waits for the disk, every
/// `period=` milliseconds; another copies `mib=` MiB beside it, of which nobody waits.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let folder = Path::new(arguments.text("folder")?);
    let (time, period) = (arguments.milliseconds("time")?, arguments.milliseconds("period")?);
    let (copied, log) = (folder.join("copy"), folder.join("log"));
    let size = arguments.mebibytes("mib")?;
    let copying = {
        let copied = copied.clone();
        std::thread::spawn(move || copy(&copied, size))
    };
    let (begun, mut times) = (Instant::now(), Vec::new());
    let mut file = File::create(&log)?;
    while begun.elapsed() < time {
        let one = Instant::now();
        file.write_all(&[b'x'; ENTRY])?;
        file.sync_data()?;
        times.push(one.elapsed());
        std::thread::sleep(period.saturating_sub(one.elapsed()));
    }
    let copying = joined(copying)?;
    let settled = Instant::now();
    File::open(&copied)?.sync_all()?;
    let settled = settled.elapsed();
    fs::remove_file(&copied)?;
    fs::remove_file(&log)?;
    let count = times.len() as f64;
    Ok(Readings::default()
        .with("fsync_median_ms", percentile(&mut times, 0.5))
        .with("fsync_p99_ms", percentile(&mut times, 0.99))
        .with("fsync_worst_ms", percentile(&mut times, 1.0))
        .with("fsyncs", count)
        .with("copy_s", copying.as_secs_f64())
        .with("copy_on_disk_ms", milliseconds(settled)))
}

fn copy(to: &Path, size: usize) -> Result<Duration, Failure> {
    let (begun, block) = (Instant::now(), vec![b'y'; 1 << 20]);
    let mut file = File::create(to)?;
    for _ in 0..size >> 20 {
        file.write_all(&block)?;
    }
    Ok(begun.elapsed())
}
