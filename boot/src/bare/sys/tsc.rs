//! The frequency of the time-stamp counter.

use std::arch::x86_64::_rdtsc;
use std::time::{Duration, Instant};

/// Measures the time-stamp counter against the kernel's clock, from its making on.
///
/// A partition's kernel has no timer to measure against, so it must be told (`tsc_early_khz=`).
/// Measuring goes on while other work is done, so that nobody waits for it.
#[derive(Clone, Copy, Debug)]
pub struct TscClock {
    started: (Instant, u64),
}

/// Long enough for an error under 20 ppm with readings that are a few microseconds off.
const ENOUGH: Duration = Duration::from_millis(200);

impl TscClock {
    /// Starts to measure.
    pub fn start() -> Self {
        Self { started: now() }
    }

    /// The frequency in kHz; waits until 200 ms have passed since the start.
    pub fn khz(&self) -> u32 {
        if let Some(missing) = ENOUGH.checked_sub(self.started.0.elapsed()) {
            std::thread::sleep(missing);
        }
        let (time, count) = now();
        let nanoseconds = time.duration_since(self.started.0).as_nanos().max(1);
        let ticks = u128::from(count.wrapping_sub(self.started.1));
        (ticks * 1_000_000 / nanoseconds).min(u32::MAX.into()) as u32
    }

    /// The counter right now.
    pub fn count() -> u64 {
        // SAFETY: every x86-64 CPU has the instruction; it has no memory effects.
        unsafe { _rdtsc() }
    }
}

/// A moment and the counter at it, as close together as one of three tries had them.
fn now() -> (Instant, u64) {
    let attempt = || {
        let before = TscClock::count();
        let time = Instant::now();
        let after = TscClock::count();
        (after.wrapping_sub(before), time, before + after.wrapping_sub(before) / 2)
    };
    let mut best = attempt();
    for _ in 0..2 {
        let next = attempt();
        if next.0 < best.0 {
            best = next;
        }
    }
    (best.1, best.2)
}
