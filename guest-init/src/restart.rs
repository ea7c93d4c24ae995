//! When a workload that ended is started again. Decides; does nothing.

use std::time::Duration;

use protocol::{ExitStatus, Restart};

/// A run of at least this long makes the runs before it forgotten.
const LONG: Duration = Duration::from_secs(10);
/// The first delay.
const FIRST: Duration = Duration::from_millis(100);
/// The longest delay.
const LAST: Duration = Duration::from_secs(10);

/// How often a workload has been restarted lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    in_a_row: u32,
}

impl History {
    /// A run of this length has ended like this: after how long the workload is to be started again,
    /// `None` where it stays ended.
    pub fn ended(
        &mut self,
        restart: Restart,
        status: ExitStatus,
        ran: Duration,
    ) -> Option<Duration> {
        let long = ran >= LONG;
        if long {
            self.in_a_row = 0;
        }
        match restart {
            Restart::Never => return None,
            Restart::Always => {}
            Restart::OnFailure { max } => {
                if status == ExitStatus::Code(0) || self.in_a_row >= max {
                    return None;
                }
            }
        }
        let delay = if long {
            Duration::ZERO
        } else {
            FIRST.saturating_mul(1 << self.in_a_row.min(7)).min(LAST)
        };
        self.in_a_row = self.in_a_row.saturating_add(1);
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const FAILED: ExitStatus = ExitStatus::Code(1);

    #[test]
    fn never_means_never() {
        assert_eq!(History::default().ended(Restart::Never, FAILED, LONG), None);
    }

    #[test]
    fn delays_double_until_a_long_run() {
        let mut history = History::default();
        let mut delays = Vec::new();
        for _ in 0..9 {
            let delay = history.ended(Restart::Always, ExitStatus::Code(0), SHORT);
            delays.push(delay.unwrap().as_millis());
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(history.ended(Restart::Always, FAILED, LONG), Some(Duration::ZERO));
        assert_eq!(history.ended(Restart::Always, FAILED, SHORT), Some(Duration::from_millis(200)));
    }

    #[test]
    fn failures_are_counted_in_a_row() {
        let restart = Restart::OnFailure { max: 2 };
        let mut history = History::default();
        assert_eq!(history.ended(restart, ExitStatus::Code(0), SHORT), None);
        assert!(history.ended(restart, FAILED, SHORT).is_some());
        assert!(history.ended(restart, ExitStatus::Signal(9), SHORT).is_some());
        assert_eq!(history.ended(restart, FAILED, SHORT), None);
        assert!(history.ended(restart, FAILED, LONG).is_some());
    }
}
