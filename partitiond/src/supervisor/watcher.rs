//! Following a partition through its keeper, to its end and beyond.

use std::fs;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::Supervisor;
use crate::api::{End, Phase};
use crate::keeper::{Report, Request};
use crate::ledger::Entry;
use crate::paths::PartitionDir;

/// The longest line of a keeper, in bytes: a report with 256 workloads and 40 last words.
const MAX_LINE: u64 = 1 << 20;

/// How long a keeper that was just started may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Follows the partition from now on. `existing`: its keeper runs already, if it does at all.
    pub(super) async fn watch(self: Arc<Self>, name: &str, existing: bool) {
        let dir = self.paths.partition(name);
        // What is known of partitions that run is known before anybody asks.
        let connection = if existing { connect(&dir, Duration::ZERO).await } else { None };
        let name = name.to_owned();
        tokio::spawn(async move {
            let connection = match connection {
                None if !existing => connect(&dir, PATIENCE).await,
                connection => connection,
            };
            self.follow(name, connection).await;
        });
    }

    /// Boxed, because the end of a partition may be the start of the next, which is followed too.
    fn follow(
        self: Arc<Self>,
        name: String,
        connection: Option<UnixStream>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.follow_to_the_end(name, connection))
    }

    async fn follow_to_the_end(self: Arc<Self>, name: String, mut connection: Option<UnixStream>) {
        let dir = self.paths.partition(&name);
        loop {
            if let Some(stream) = connection.take() {
                let keeper = fs::read_to_string(dir.lock()).ok();
                let keeper = keeper.and_then(|text| text.trim().parse().ok());
                self.update(&name, |kept| kept.keeper = keeper);
                self.read_reports(&name, stream).await;
                self.update(&name, |kept| kept.keeper = None);
            }
            if let Some(report) = last_report(&dir) {
                self.note(&name, report);
                break;
            }
            if !self.take_up_without_keeper(&name).await {
                break;
            }
            connection = connect(&dir, PATIENCE).await;
        }
        self.after_end(&name).await;
    }

    async fn read_reports(&self, name: &str, mut stream: UnixStream) {
        let Ok(mut request) = serde_json::to_vec(&Request::Watch) else { return };
        request.push(b'\n');
        if stream.write_all(&request).await.is_err() {
            return;
        }
        let mut reading = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut reading).take(MAX_LINE).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            // A line that makes no sense is one that was cut short: the keeper is gone.
            let Ok(report) = serde_json::from_slice::<Report>(&line) else { return };
            self.note(name, report);
        }
    }

    /// Takes note of what a keeper says, and tells of what is new in it.
    fn note(&self, name: &str, report: Report) {
        let Some(before) = self.kept().get(name).map(|kept| kept.report.phase) else { return };
        let after = report.phase;
        let end = report.end.clone();
        let last_words = report.last_words.clone();
        let ready_after = report.ready_after_ms.unwrap_or_default();
        self.update(name, |kept| kept.report = report);
        let tell = |kind: &str, text: String, last_words| {
            self.events.tell(Some(name), kind, text, last_words);
        };
        match (before, after) {
            (before, after) if before == after => {}
            (Phase::Silent, Phase::Ready) => {
                tell("heard-again", "it is heard of again".to_owned(), Vec::new());
            }
            (_, Phase::Ready) => tell("ready", format!("ready after {ready_after} ms"), Vec::new()),
            (_, Phase::Silent) => {
                tell("silent", "nothing was heard of it for three seconds".to_owned(), Vec::new());
            }
            (_, Phase::Ended | Phase::Stuck) => {
                tell("ended", describe(end.as_ref()), last_words);
            }
            _ => {}
        }
    }

    /// What happens when a partition has ended: what it had goes back, and where its policy says so
    /// it is started again.
    async fn after_end(self: Arc<Self>, name: &str) {
        let Some(kept) = self.kept().get(name).cloned() else { return };
        if kept.report.phase == Phase::Stuck {
            let why = kept.report.stuck.unwrap_or_default();
            let text =
                format!("it could not be taken back: {why}; `partitiond down {name}` tries again");
            self.events.tell(Some(name), "warning", text, Vec::new());
            return;
        }
        let again = !kept.wanted_down && kept.report.ready_after_ms.is_some();
        let again = again && restart_is_due(&kept.entry, kept.report.end.as_ref());
        // What was asked of an `up` or `down` that is under way goes first.
        let operation = if again { Some(self.operation.lock().await) } else { None };
        if let Err(problem) = self.release(name) {
            self.events.tell(Some(name), "warning", problem.message, Vec::new());
        }
        let still_known = self.kept().get(name).is_some_and(|kept| !kept.wanted_down);
        if operation.is_some() && still_known {
            self.events.tell(
                Some(name),
                "restarting",
                "it is started again".to_owned(),
                Vec::new(),
            );
            let mut entry = kept.entry;
            entry.restarts = entry.restarts.saturating_add(1);
            entry.restarted_at_ms.push(crate::keeper::now_ms());
            if let Err(problem) = self.clone().start_entry(entry).await {
                self.events.tell(Some(name), "given-up", problem.message, Vec::new());
            }
        }
    }
}

/// Whether a partition's restart policy says that it is started again after this end.
fn restart_is_due(entry: &Entry, end: Option<&End>) -> bool {
    use crate::cluster::Restart;
    let by_itself = !matches!(end, None | Some(End::Stopped));
    let failed = by_itself && !matches!(end, Some(End::PoweredOff));
    match entry.wanted.restart {
        Restart::Never => false,
        Restart::Always => by_itself,
        Restart::OnFailure { max, within } => {
            let since = crate::keeper::now_ms().saturating_sub(within.0.as_millis() as u64);
            let recent = entry.restarted_at_ms.iter().filter(|at| **at >= since).count();
            failed && (recent as u64) < u64::from(max)
        }
    }
}

fn describe(end: Option<&End>) -> String {
    match end {
        None => "it ended".to_owned(),
        Some(End::Stopped) => "it was stopped".to_owned(),
        Some(End::PoweredOff) => "it switched itself off".to_owned(),
        Some(End::Restarted) => "its kernel asked for a restart".to_owned(),
        Some(End::Panicked { message }) => format!("its kernel panicked: {message}"),
        Some(End::Failed { message }) => format!("it failed: {message}"),
        Some(End::Lost) => "it was lost with its keeper".to_owned(),
    }
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
