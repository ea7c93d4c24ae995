//! A database, as the disk sees it: a log that must be there at once, and tables that must be there at the
//! next checkpoint.

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
/// Bytes of one write of the other data.
const BLOCK: usize = 1 << 20;

/// How often the tables are made to be on the disk.
const CHECKPOINT: Duration = Duration::from_secs(6);

/// For `time=` milliseconds, one thread appends to a log in `folder=` and waits for the disk, every
/// `period=` milliseconds; another writes `rate=` MiB a second to tables, and waits for them at checkpoints.
/// After that, a burst of `burst=` MiB for which nobody waits.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let folder = Path::new(arguments.text("folder")?);
    let (time, period) = (arguments.milliseconds("time")?, arguments.milliseconds("period")?);
    let (rate, burst) = (arguments.number("rate")?, arguments.mebibytes("burst")?);
    let (tables, log) = (folder.join("tables"), folder.join("log"));
    let writing = {
        let tables = tables.clone();
        std::thread::spawn(move || paced(&tables, rate, time))
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
    let mut checkpoints = joined(writing)?;
    fs::remove_file(&tables)?;
    fs::remove_file(&log)?;
    nix::unistd::sync();

    let (begun, mut file) = (Instant::now(), File::create(&tables)?);
    let block = vec![b'z'; BLOCK];
    for _ in 0..burst / BLOCK {
        file.write_all(&block)?;
    }
    let burst = begun.elapsed();
    fs::remove_file(&tables)?;
    let count = times.len() as f64;
    Ok(Readings::default()
        .with("fsync_median_ms", percentile(&mut times, 0.5))
        .with("fsync_p90_ms", percentile(&mut times, 0.9))
        .with("fsync_p99_ms", percentile(&mut times, 0.99))
        .with("fsync_worst_ms", percentile(&mut times, 1.0))
        .with("fsyncs", count)
        .with("checkpoint_ms", percentile(&mut checkpoints, 0.5))
        .with("burst_ms", milliseconds(burst)))
}

/// Writes so many MiB a second; how long each checkpoint took.
fn paced(to: &Path, rate: usize, time: Duration) -> Result<Vec<Duration>, Failure> {
    let (begun, block) = (Instant::now(), vec![b'y'; BLOCK]);
    let (mut written, mut checkpoints) = (0, Vec::new());
    let mut file = File::create(to)?;
    while begun.elapsed() < time {
        file.write_all(&block)?;
        written += 1;
        let due = Duration::from_secs_f64(f64::from(written) / rate.max(1) as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        if begun.elapsed() >= CHECKPOINT * (checkpoints.len() as u32 + 1) {
            let one = Instant::now();
            file.sync_data()?;
            checkpoints.push(one.elapsed());
        }
    }
    Ok(checkpoints)
}
