//! Whether a partition has ended, and why: what it asked of the machine, what its kernel said last,
//! what we asked of it, and how long nothing was heard.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use boot::backend::Request;
use boot::kernel_log::Record;
use protocol::Stop;

use super::SILENCE;
use crate::api::End;
use crate::keeper::log::kernel_lines;

/// Lines that are kept for the case that they are the last.
const LAST_WORDS: usize = 40;

/// A longer line is cut, so that a report stays small.
const MAX_LINE: usize = 240;

/// How long guest-init may be silent before it has said that it is ready.
const FIRST_WORD: Duration = Duration::from_secs(60);

/// How long a kernel may take to print its trace after the line that says that it panics.
const TRACE: Duration = Duration::from_millis(500);

/// How long a kernel may take to stop after guest-init has said that it will.
const STOPPING: Duration = Duration::from_secs(10);

/// What is known about a partition's end.
pub struct Ending {
    started: Instant,
    heard: Option<Instant>,
    ready: bool,
    asked: Option<Asked>,
    /// For how long it had been silent when it was called hung.
    hung: Option<Duration>,
    announced: Option<(Stop, Instant)>,
    panicked: Option<(String, Instant)>,
    lines: VecDeque<String>,
}

struct Asked {
    /// When it is ended without asking any longer.
    deadline: Instant,
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            heard: None,
            ready: false,
            asked: None,
            hung: None,
            announced: None,
            panicked: None,
            lines: VecDeque::new(),
        }
    }
}

impl Ending {
    /// guest-init was heard of.
    pub fn heard(&mut self) {
        self.heard = Some(Instant::now());
    }

    /// guest-init has said that everything runs.
    pub fn ready(&mut self) {
        self.heard();
        self.ready = true;
    }

    /// Nothing was heard for too long of a partition that was ready.
    pub fn is_silent(&self) -> bool {
        self.ready && self.heard.is_some_and(|heard| heard.elapsed() > SILENCE)
    }

    /// The partition is to end because of its silence; not if it has been heard of meanwhile.
    pub fn hung(&mut self) {
        if self.is_silent() {
            self.hung = self.heard.map(|heard| heard.elapsed());
        }
    }

    /// We asked the partition to end.
    pub fn asked(&mut self, force: bool, grace_ms: u32) {
        let patience = match force {
            true => Duration::ZERO,
            false => Duration::from_millis(grace_ms.into()) + STOPPING,
        };
        self.asked = Some(Asked { deadline: Instant::now() + patience });
    }

    /// guest-init says that it will stop the kernel.
    pub fn announced(&mut self, stop: Stop) {
        self.announced = Some((stop, Instant::now()));
    }

    /// Takes note of a record of the kernel's log.
    pub fn read(&mut self, record: &Record) {
        const PANIC: &str = "Kernel panic - not syncing";
        for line in kernel_lines(record) {
            let line: String = String::from_utf8_lossy(&line).chars().take(MAX_LINE).collect();
            if let Some(at) = line.find(PANIC)
                && self.panicked.is_none()
            {
                let message = line.get(at..).unwrap_or(PANIC).to_owned();
                self.panicked = Some((message, Instant::now()));
            }
            if self.lines.len() == LAST_WORDS {
                self.lines.pop_front();
            }
            self.lines.push_back(line);
        }
    }

    /// The last lines of the kernel's log.
    pub fn last_words(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    /// Whether the partition has ended, given what its kernel asks of the machine now, and why it cannot
    /// go on whatever that is.
    pub fn verdict(&self, request: Option<Request>, lost: Option<String>) -> Option<End> {
        if let Some(message) = lost {
            // What was to end at once has.
            let asked = self.asked.as_ref().is_some_and(|asked| Instant::now() >= asked.deadline);
            return Some(if asked { End::Stopped } else { End::Failed { message } });
        }
        // Where the machine is slow to go off, a kernel goes on, and panics because its first process is gone.
        match (request, &self.asked) {
            (Some(Request::PowerOff), Some(_)) => return Some(End::Stopped),
            (Some(Request::PowerOff), None) => return Some(End::PoweredOff),
            _ => {}
        }
        if let Some((message, when)) = &self.panicked {
            return (when.elapsed() > TRACE).then(|| End::Panicked { message: message.clone() });
        }
        match (request, &self.asked) {
            (Some(Request::Restart), _) => return Some(End::Restarted),
            (None, Some(asked)) if Instant::now() >= asked.deadline => return Some(End::Stopped),
            _ => {}
        }
        if let Some(silent) = self.hung {
            return Some(End::Hung { silent_ms: silent.as_millis() as u64 });
        }
        if let Some((stop, when)) = &self.announced
            && when.elapsed() > STOPPING
        {
            return Some(match (stop, &self.asked) {
                (Stop::PowerOff, Some(_)) => End::Stopped,
                (Stop::PowerOff, None) => End::PoweredOff,
                (Stop::Reboot, _) => End::Restarted,
            });
        }
        if !self.ready && self.heard.unwrap_or(self.started).elapsed() > FIRST_WORD {
            let (what, how_long) =
                (if self.heard.is_none() { "nothing" } else { "no more" }, FIRST_WORD.as_secs());
            let message = format!(
                "{what} was heard of guest-init within {how_long} s, and it was not ready; its \
                 kernel's log tells how far it came"
            );
            return Some(End::Failed { message });
        }
        None
    }
}

/// An end in words.
pub fn describe(end: &End) -> String {
    match end {
        End::Stopped => "the partition was stopped".to_owned(),
        End::PoweredOff => "the partition switched itself off".to_owned(),
        End::Restarted => "the partition's kernel asked for a restart".to_owned(),
        End::Panicked { message } => format!("the partition's kernel panicked: {message}"),
        End::Hung { silent_ms } => {
            format!(
                "the partition's kernel hung: nothing was heard of it for {} s",
                silent_ms / 1000
            )
        }
        End::Failed { message } => format!("the partition failed: {message}"),
        End::Lost => "the partition was lost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        Record { sequence: 0, nanoseconds: 0, level: 0, text: text.as_bytes().to_vec() }
    }

    #[test]
    fn what_the_kernel_asks_for_is_what_ended_it() {
        let mut ending = Ending::default();
        assert_eq!(ending.verdict(None, None), None);
        assert_eq!(ending.verdict(Some(Request::Restart), None), Some(End::Restarted));
        assert_eq!(ending.verdict(Some(Request::PowerOff), None), Some(End::PoweredOff));
        ending.asked(false, 1000);
        assert_eq!(ending.verdict(Some(Request::PowerOff), None), Some(End::Stopped));
        assert_eq!(ending.verdict(None, None), None);
        ending.asked(true, 1000);
        assert_eq!(ending.verdict(None, None), Some(End::Stopped));
    }

    #[test]
    fn a_panic_is_told_with_its_line_once_the_trace_is_there() {
        let mut ending = Ending::default();
        ending.read(&record("BUG: something"));
        ending.read(&record("Kernel panic - not syncing: sysrq triggered crash"));
        assert_eq!(ending.verdict(None, None), None);
        std::thread::sleep(TRACE + Duration::from_millis(20));
        let message = "Kernel panic - not syncing: sysrq triggered crash".to_owned();
        assert_eq!(ending.verdict(None, None), Some(End::Panicked { message }));
        assert_eq!(ending.last_words().len(), 2);
    }

    #[test]
    fn a_kernel_that_goes_on_after_it_switched_itself_off_has_not_panicked() {
        let mut ending = Ending::default();
        ending.read(&record(
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000",
        ));
        assert_eq!(ending.verdict(Some(Request::PowerOff), None), Some(End::PoweredOff));
        std::thread::sleep(TRACE + Duration::from_millis(20));
        let end = ending.verdict(Some(Request::Restart), None);
        assert!(matches!(end, Some(End::Panicked { .. })), "one that panics restarts: {end:?}");
    }

    #[test]
    fn only_a_silent_partition_can_have_hung() {
        let mut ending = Ending::default();
        ending.hung();
        assert_eq!(ending.verdict(None, None), None, "it has not even been ready");
        ending.ready();
        ending.hung();
        assert_eq!(ending.verdict(None, None), None, "it was heard of just now");
        ending.heard = Instant::now().checked_sub(Duration::from_secs(31));
        ending.hung();
        let Some(End::Hung { silent_ms }) = ending.verdict(None, None) else { panic!("not hung") };
        assert!((31_000..32_000).contains(&silent_ms), "{silent_ms}");
    }

    #[test]
    fn last_words_are_bounded() {
        let mut ending = Ending::default();
        for _ in 0..100 {
            ending.read(&record(&"x".repeat(100_000)));
        }
        assert_eq!(ending.last_words().len(), LAST_WORDS);
        assert!(ending.last_words().iter().all(|line| line.len() <= MAX_LINE));
    }
}
