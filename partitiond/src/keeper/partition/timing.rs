//! When to look at what, and how long to sleep in between.

use std::time::{Duration, Instant};

/// The keeper's clock. Nothing interrupts a keeper when its partition writes, so it looks.
///
/// While something happens it does not sleep at all; after that at longer and longer intervals. An
/// idle partition costs the host about 200 short looks a second.
pub struct Timing {
    busy_until: Instant,
    pause: Duration,
    guard: Option<Instant>,
    log: Instant,
    request: Instant,
    loss: Instant,
    complained: Option<Instant>,
}

/// Spinning after something happened: a round trip takes microseconds.
const BUSY: Duration = Duration::from_micros(200);
const SHORTEST: Duration = Duration::from_millis(1);
/// With a session open, somebody waits.
const LONGEST_IN_SESSION: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(5);

/// The guard must be there before the first process that could restart the machine.
const GUARD_INTERVAL: Duration = Duration::from_millis(1);
const LOG_INTERVAL: Duration = Duration::from_millis(100);
const REQUEST_INTERVAL: Duration = Duration::from_millis(10);
const LOSS_INTERVAL: Duration = Duration::from_secs(1);

impl Timing {
    /// Everything is due.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            busy_until: now,
            pause: SHORTEST,
            guard: Some(now),
            log: now,
            request: now,
            loss: now,
            complained: None,
        }
    }

    /// How long to sleep until the next turn; `None`: not at all.
    pub fn pause(&mut self, worked: bool, in_session: bool) -> Option<Duration> {
        let now = Instant::now();
        if worked {
            self.busy_until = now + BUSY;
            self.pause = SHORTEST;
        }
        if now < self.busy_until {
            return None;
        }
        let longest = match (in_session, self.guard.is_some()) {
            (false, false) => LONGEST,
            _ => LONGEST_IN_SESSION,
        };
        let pause = self.pause.min(longest);
        self.pause = (self.pause * 2).min(LONGEST);
        Some(pause)
    }

    /// Whether to look for the place of the restart guard.
    pub fn guard_is_due(&mut self) -> bool {
        self.guard.as_mut().is_some_and(|last| due(last, GUARD_INTERVAL))
    }

    /// The guard needs no more looking at.
    pub fn guard_is_done(&mut self) {
        self.guard = None;
    }

    /// Whether to read the kernel's log.
    pub fn log_is_due(&mut self) -> bool {
        due(&mut self.log, LOG_INTERVAL)
    }

    /// Whether to look if the partition has ended.
    pub fn request_is_due(&mut self) -> bool {
        due(&mut self.request, REQUEST_INTERVAL)
    }

    /// Whether to look if the partition still has what it runs on.
    pub fn loss_is_due(&mut self) -> bool {
        due(&mut self.loss, LOSS_INTERVAL)
    }

    /// Whether to say that the log is damaged; once a minute.
    pub fn complain(&mut self) -> bool {
        let now = Instant::now();
        let often = self.complained.is_some_and(|last| now - last < Duration::from_secs(60));
        if !often {
            self.complained = Some(now);
        }
        !often
    }
}

fn due(last: &mut Instant, interval: Duration) -> bool {
    let now = Instant::now();
    let due = now.duration_since(*last) >= interval;
    if due {
        *last = now;
    }
    due
}
