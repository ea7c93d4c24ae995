//! Following a partition through its keeper, to its end and beyond.

use std::fs::{self, File};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::Flock;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::Supervisor;
use super::begin::TakenUp;
use super::policy::{MOST_REMEMBERED, Silence, restart_is_due};
use crate::api::{End, Phase};
use crate::keeper::{Report, Request, SILENCE, describe};
use crate::ledger::Entry;
use crate::paths::PartitionDir;

/// The longest line of a keeper, in bytes: a report with 256 workloads and 40 last words.
const MAX_LINE: u64 = 1 << 20;

/// How long a keeper that was just started may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many keepers may fail to take up a partition before it is left to somebody who looks.
const MOST_IN_VAIN: u32 = 3;

/// The least time between two keepers of a partition.
const BREATH: Duration = Duration::from_millis(500);

/// How often a silent partition is looked at.
const SILENCE_LOOK: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Follows the partition from now on. `existing`: its keeper runs already, if it does at all.
    pub(super) async fn watch(self: Arc<Self>, name: &str, existing: bool) {
        let Some(life) = self.kept().get(name).map(|kept| kept.life) else { return };
        let dir = self.paths.partition(name);
        // What is known of partitions that run is known before anybody asks.
        let connection = if existing { connect(&dir, Duration::ZERO).await } else { None };
        let name = name.to_owned();
        tokio::spawn(async move {
            let connection = match connection {
                None if !existing => connect(&dir, PATIENCE).await,
                connection => connection,
            };
            self.follow(name, life, connection).await;
        });
    }

    /// Boxed, because the end of a partition may be the start of the next, which is followed too.
    fn follow(
        self: Arc<Self>,
        name: String,
        life: u64,
        connection: Option<UnixStream>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.follow_to_the_end(name, life, connection))
    }

    async fn follow_to_the_end(
        self: Arc<Self>,
        name: String,
        life: u64,
        mut connection: Option<UnixStream>,
    ) {
        let dir = self.paths.partition(&name);
        let mut in_vain = 0;
        let lock = loop {
            if let Some(stream) = connection.take() {
                let keeper = fs::read_to_string(dir.lock()).ok();
                let keeper = keeper.and_then(|text| text.trim().parse().ok());
                self.update_life(&name, life, |kept| kept.keeper = keeper);
                let connected = Instant::now();
                if self.read_reports(&name, life, stream).await {
                    in_vain = 0;
                }
                // One that dies at once may do so again and again.
                tokio::time::sleep(BREATH.saturating_sub(connected.elapsed())).await;
                self.update_life(&name, life, |kept| kept.keeper = None);
            }
            if self.in_life(&name, life).is_none() {
                return;
            }
            if let Some(report) = last_report(&dir) {
                self.note(&name, life, report);
                break None;
            }
            if in_vain == MOST_IN_VAIN {
                let why = "no keeper can take it up: its keeper.log tells why".to_owned();
                self.update_life(&name, life, |kept| {
                    kept.report.phase = Phase::Stuck;
                    kept.report.stuck = Some(why);
                });
                break None;
            }
            in_vain += 1;
            match self.take_up_without_keeper(&name).await {
                TakenUp::ByKeeper => connection = connect(&dir, PATIENCE).await,
                TakenUp::ByNobody(lock) => break lock,
            }
        };
        self.after_end(&name, life, lock).await;
    }

    /// Takes note of what a keeper says until it is gone; tells whether it had the partition by then.
    async fn read_reports(self: &Arc<Self>, name: &str, life: u64, mut stream: UnixStream) -> bool {
        let Ok(mut request) = serde_json::to_vec(&Request::Watch) else { return false };
        request.push(b'\n');
        if stream.write_all(&request).await.is_err() {
            return false;
        }
        let mut taken_up = false;
        let mut reading = BufReader::new(stream);
        let mut line = Vec::new();
        let mut silence = Silence::default();
        loop {
            let room = MAX_LINE.saturating_sub(line.len() as u64);
            let mut limited = (&mut reading).take(room);
            tokio::select! {
                read = limited.read_until(b'\n', &mut line) => match read {
                    Ok(0) | Err(_) => return taken_up,
                    Ok(_) => {}
                },
                // What was read of a line meanwhile stays in it.
                () = tokio::time::sleep(SILENCE_LOOK), if silence.is_on() => {
                    self.end_if_hung(name, life, &mut silence).await;
                    continue;
                }
            }
            // A line that makes no sense is one that was cut short: the keeper is gone.
            let Ok(report) = serde_json::from_slice::<Report>(&line) else { return taken_up };
            taken_up |= report.phase != Phase::Starting;
            line.clear();
            silence.note(report.phase, Instant::now());
            self.note(name, life, report);
        }
    }

    /// Ends a partition that has been silent for too long, where its policy says that it is started
    /// again then. Otherwise it is left as it is, for whoever wants to see why.
    async fn end_if_hung(&self, name: &str, life: u64, silence: &mut Silence) {
        let Some(kept) = self.in_life(name, life) else { return };
        let hang_after = kept.entry.wanted.hang_after;
        let end = End::Hung { silent_ms: hang_after.0.as_millis() as u64 };
        if kept.wanted_down
            || !is_due(&kept.entry, Some(&end))
            || !silence.is_hang(hang_after, SILENCE, Instant::now())
        {
            return;
        }
        let text = format!("nothing was heard of it for {hang_after}: it has hung and is ended");
        self.events.tell(Some(name), "hung", text, Vec::new());
        let Ok(mut request) = serde_json::to_vec(&Request::Hung) else { return };
        request.push(b'\n');
        if !self.tell_keeper(name, &request).await {
            silence.tell_again();
        }
    }

    /// Takes note of what a keeper says, and tells of what is new in it.
    fn note(self: &Arc<Self>, name: &str, life: u64, mut report: Report) {
        let Some(kept) = self.in_life(name, life) else { return };
        let (former, found) = (kept.report, kept.found);
        let before = former.phase;
        // A keeper that has taken it up does not know whether it was ready before.
        report.ready_after_ms = report.ready_after_ms.or(former.ready_after_ms);
        let after = report.phase;
        let end = report.end.clone();
        let last_words = report.last_words.clone();
        let ready_after = report.ready_after_ms.unwrap_or_default();
        self.update_life(name, life, |kept| kept.report = report);
        let tell = |kind: &str, text: String, last_words| {
            self.events.tell(Some(name), kind, text, last_words);
        };
        match (before, after) {
            (before, after) if before == after => {}
            (Phase::Silent, Phase::Ready) => {
                tell("heard-again", "it is heard of again".to_owned(), Vec::new());
            }
            (before, Phase::Ready) => {
                tell("ready", format!("ready after {ready_after} ms"), Vec::new());
                // One that was heard of as ready at once has been so before this supervisor began.
                match found && before == Phase::Starting {
                    true => self.take_up_profile(name, life),
                    false => self.tune_when_ready(name, life),
                }
            }
            (_, Phase::Silent) => {
                tell("silent", "nothing was heard of it for three seconds".to_owned(), Vec::new());
            }
            (_, Phase::Ended | Phase::Stuck) => {
                let text = end.as_ref().map_or_else(|| "it ended".to_owned(), describe);
                tell("ended", text, last_words);
            }
            _ => {}
        }
    }

    /// What happens when a partition has ended: what it had goes back, and where its policy says so
    /// it is started again.
    pub(super) async fn after_end(
        self: Arc<Self>,
        name: &str,
        life: u64,
        lock: Option<Flock<File>>,
    ) {
        let Some(kept) = self.in_life(name, life) else { return };
        if kept.report.phase == Phase::Stuck {
            let why = kept.report.stuck.unwrap_or_default();
            let text =
                format!("it could not be taken back: {why}; `partitiond down {name}` tries again");
            self.events.tell(Some(name), "warning", text, Vec::new());
            return;
        }
        let again = !kept.wanted_down && kept.report.ready_after_ms.is_some();
        // Whatever ended it: what was on trial in it is what brought that about, or is in the way.
        let is_due = || is_due(&kept.entry, kept.report.end.as_ref());
        let again = again && (self.profile(name).on_trial || is_due());
        // What was asked of an `up` or `down` that is under way goes first. Where that is to end this
        // partition, it waits for the lock that we may hold.
        let operation = if again {
            tokio::select! {
                operation = self.operation.lock() => Some(operation),
                () = self.wanted_down(name, life) => return,
            }
        } else {
            None
        };
        if lock.is_none() && !self.keeper_gone(name, life).await {
            return;
        }
        // Whoever asked for the end gives back, too; and may have begun another life by now.
        if self.in_life(name, life).is_none_or(|kept| kept.wanted_down) {
            return;
        }
        self.release_or_tell(name, Some(life)).await;
        drop(lock);
        if operation.is_some() {
            self.events.tell(
                Some(name),
                "restarting",
                "it is started again".to_owned(),
                Vec::new(),
            );
            let mut entry = kept.entry;
            entry.restarts = entry.restarts.saturating_add(1);
            let before = entry.restarted_at_ms.len();
            entry.restarted_at_ms.drain(..before.saturating_sub(MOST_REMEMBERED));
            entry.restarted_at_ms.push(crate::keeper::now_ms());
            if let Err(problem) = self.clone().start_entry(entry).await {
                self.events.tell(Some(name), "given-up", problem.message, Vec::new());
            }
        }
    }
}

impl Supervisor {
    /// Waits until somebody asks for the end of the partition in this life, or that life is over.
    async fn wanted_down(&self, name: &str, life: u64) {
        let mut changes = self.changed.subscribe();
        while self.in_life(name, life).is_some_and(|kept| !kept.wanted_down)
            && changes.changed().await.is_ok()
        {}
    }
}

fn is_due(entry: &Entry, end: Option<&End>) -> bool {
    restart_is_due(entry.wanted.restart, end, &entry.restarted_at_ms, crate::keeper::now_ms())
}

fn last_report(dir: &PartitionDir) -> Option<Report> {
    serde_json::from_slice(&fs::read(dir.last_report()).ok()?).ok()
}

/// Connects to a keeper, which may need some time before it listens.
pub(super) async fn connect(dir: &PartitionDir, patience: Duration) -> Option<UnixStream> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        if let Ok(stream) = UnixStream::connect(dir.socket()).await {
            return Some(stream);
        }
        if tokio::time::Instant::now() >= deadline || dir.last_report().exists() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
