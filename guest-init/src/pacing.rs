//! How often to look into the mailbox, where no interrupt says that something is there.
//!
//! After a message guest-init spins for [`SPIN`], because an answer to an answer comes within
//! microseconds. Then it sleeps, each time twice as long, from [`SHORTEST`] to [`LONGEST`]; while the
//! keeper says that it waits, at most [`AWAKE`].
//!
//! What this costs the partition: idle, 100 wake-ups a second of some 5 µs each, 0.05 % of one CPU.
//! While a keeper waits, at most some 5 %. After each message, up to [`SPIN`] of one CPU. What it
//! costs the keeper: the first message after a quiet time is seen after at most [`LONGEST`].

use std::time::{Duration, Instant};

/// How long to spin after a message.
pub const SPIN: Duration = Duration::from_micros(50);
/// The first sleep.
pub const SHORTEST: Duration = Duration::from_micros(50);
/// The longest sleep.
pub const LONGEST: Duration = Duration::from_millis(10);
/// The longest sleep while the keeper waits.
pub const AWAKE: Duration = Duration::from_micros(100);

/// What to do until the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look again at once, until then.
    Spin(Instant),
    /// Sleep so long, unless a file descriptor becomes ready.
    Sleep(Duration),
}

/// Remembers when something last happened.
#[derive(Debug, Clone)]
pub struct Pace {
    active: Instant,
    sleep: Duration,
}

impl Pace {
    /// As if a message had come just now.
    pub fn new(now: Instant) -> Self {
        Self { active: now, sleep: SHORTEST }
    }

    /// A message has come.
    pub fn active(&mut self, now: Instant) {
        self.active = now;
        self.sleep = SHORTEST;
    }

    /// What to do until the next look; `awake`: the keeper waits.
    pub fn next(&mut self, now: Instant, awake: bool) -> Step {
        let until = self.active + SPIN;
        if now < until {
            return Step::Spin(until);
        }
        let sleep = if awake { self.sleep.min(AWAKE) } else { self.sleep };
        self.sleep = (sleep * 2).min(LONGEST);
        Step::Sleep(sleep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spins_first_and_sleeps_longer_and_longer() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.next(start, false), Step::Spin(start + SPIN));
        let later = start + SPIN;
        let sleeps: Vec<_> = (0..10).map(|_| pace.next(later, false)).collect();
        assert_eq!(sleeps[0], Step::Sleep(SHORTEST));
        assert_eq!(sleeps[1], Step::Sleep(SHORTEST * 2));
        assert_eq!(sleeps[9], Step::Sleep(LONGEST));
        assert_eq!(pace.next(later, true), Step::Sleep(AWAKE));
        pace.active(later);
        assert_eq!(pace.next(later, false), Step::Spin(later + SPIN));
    }
}
