//! A program that has to run at certain times, beside programs that compute all the time.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

use crate::Failure;
use crate::arguments::Arguments;
use crate::numbers::{Readings, percentile};

/// Until profiles have found the programs, and the scheduler has spread them.
const SETTLING: Duration = Duration::from_millis(2000);
const PERIOD: Duration = Duration::from_millis(10);

/// Wakes `samples=` times, every 10 ms, beside `hogs=` hogs.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let samples = arguments.number("samples")?;
    let seconds = (SETTLING + PERIOD * u32::try_from(samples)?).as_secs() + 1;
    let mut hogs = Vec::new();
    for _ in 0..arguments.number("hogs")? {
        let mut hog = Command::new(arguments.text("hog")?);
        hogs.push(hog.args(["hog", &seconds.to_string()]).stdout(Stdio::piped()).spawn()?);
    }
    std::thread::sleep(SETTLING);
    let clock = ClockId::CLOCK_MONOTONIC;
    let mut next = Duration::from(clock_gettime(clock)?);
    let mut late = Vec::new();
    for _ in 0..samples {
        next += PERIOD;
        clock_nanosleep(clock, ClockNanosleepFlags::TIMER_ABSTIME, &TimeSpec::from(next))?;
        let now = Duration::from(clock_gettime(clock)?);
        late.push(now.saturating_sub(next));
        // Late ones do not pile up.
        next = next.max(now);
    }
    let mut work = 0.0;
    for hog in hogs {
        let output = hog.wait_with_output()?;
        work += String::from_utf8_lossy(&output.stdout).trim().parse::<f64>()?;
    }
    Ok(Readings::default()
        .with("median_ms", percentile(&mut late, 0.5))
        .with("p90_ms", percentile(&mut late, 0.9))
        .with("p99_ms", percentile(&mut late, 0.99))
        .with("hogs_work", work / 1e3))
}

/// Computes for as many seconds as it is told, and prints how much it did.
pub fn hog() -> ExitCode {
    let seconds = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(1);
    let (begun, mut work, mut number) = (Instant::now(), 0u64, 1u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..10_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        work += 1;
    }
    std::hint::black_box(number);
    println!("{work}");
    ExitCode::SUCCESS
}
