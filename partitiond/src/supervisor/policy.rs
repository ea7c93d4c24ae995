//! What a partition's restart policy asks for: decisions about data, with the time given.

use std::time::{Duration, Instant};

use crate::api::{End, Phase};
use crate::cluster::{Interval, Restart};

/// How often a partition was started again is remembered this far back: no policy counts further
/// (`max` of `OnFailure` is at most 1,000).
pub const MOST_REMEMBERED: usize = 1_000;

/// Whether a partition is started again after this end. `restarted_at_ms` says when that was done
/// before; milliseconds since 1970, like `now_ms`.
pub fn restart_is_due(
    restart: Restart,
    end: Option<&End>,
    restarted_at_ms: &[u64],
    now_ms: u64,
) -> bool {
    let by_itself = !matches!(end, None | Some(End::Stopped));
    let failed = by_itself && !matches!(end, Some(End::PoweredOff));
    match restart {
        Restart::Never => false,
        Restart::Always => by_itself,
        Restart::OnFailure { max, within } => {
            let since = now_ms.saturating_sub(within.0.as_millis() as u64);
            let recent = restarted_at_ms.iter().filter(|at| **at >= since).count();
            failed && (recent as u64) < u64::from(max)
        }
    }
}

/// Watches for how long a partition is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    since: Option<Instant>,
    told: bool,
}

impl Silence {
    /// Takes note of the phase that the keeper reports.
    pub fn note(&mut self, phase: Phase, now: Instant) {
        match phase {
            Phase::Silent => self.since = self.since.or(Some(now)),
            _ => *self = Self::default(),
        }
    }

    /// Whether it is silent now.
    pub fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Its keeper could not be told.
    pub fn tell_again(&mut self) {
        self.told = false;
    }

    /// Whether the partition counts as hung: it has been silent for long enough. True once for each
    /// silence. A keeper says `silent` after `already` without a word, which count.
    pub fn is_hang(&mut self, hang_after: Interval, already: Duration, now: Instant) -> bool {
        let rest = hang_after.0.saturating_sub(already);
        let due = self.since.is_some_and(|since| now.duration_since(since) >= rest);
        let news = due && !self.told;
        self.told |= due;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hung() -> End {
        End::Hung { silent_ms: 30_000 }
    }

    #[test]
    fn the_policy_decides_by_the_end() {
        let within = Interval(600 * SECOND);
        let on_failure = Restart::OnFailure { max: 2, within };
        let panicked = End::Panicked { message: "Oops".to_owned() };
        let ends = [hung(), panicked, End::Restarted, End::Lost];
        for end in &ends {
            assert!(!restart_is_due(Restart::Never, Some(end), &[], 0));
            assert!(restart_is_due(Restart::Always, Some(end), &[], 0));
            assert!(restart_is_due(on_failure, Some(end), &[], 0));
        }
        assert!(restart_is_due(Restart::Always, Some(&End::PoweredOff), &[], 0));
        assert!(!restart_is_due(on_failure, Some(&End::PoweredOff), &[], 0));
        for end in [None, Some(&End::Stopped)] {
            assert!(!restart_is_due(Restart::Always, end, &[], 0));
        }
    }

    #[test]
    fn failures_are_counted_within_the_time() {
        let on_failure = Restart::OnFailure { max: 2, within: Interval(600 * SECOND) };
        let now = 10_000_000;
        let due = |before: &[u64]| restart_is_due(on_failure, Some(&hung()), before, now);
        assert!(due(&[now - 1]));
        assert!(!due(&[now - 600_000, now - 1]));
        assert!(due(&[now - 600_001, now - 1]));
    }

    #[test]
    fn a_hang_is_a_silence_that_lasts() {
        let start = Instant::now();
        let at = |seconds: u32| start + seconds * SECOND;
        let (limit, already) = (Interval(30 * SECOND), 3 * SECOND);
        let mut silence = Silence::default();
        silence.note(Phase::Ready, at(0));
        assert!(!silence.is_on() && !silence.is_hang(limit, already, at(1_000)));
        silence.note(Phase::Silent, at(100));
        // Other news of a silent partition does not begin a new silence.
        silence.note(Phase::Silent, at(120));
        assert!(silence.is_on() && !silence.is_hang(limit, already, at(126)));
        assert!(silence.is_hang(limit, already, at(127)));
        assert!(!silence.is_hang(limit, already, at(128)), "it is told once");
        silence.note(Phase::Ready, at(129));
        silence.note(Phase::Silent, at(140));
        assert!(!silence.is_hang(limit, already, at(160)));
        assert!(silence.is_hang(limit, already, at(167)));
    }
}
