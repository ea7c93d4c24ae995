//! Snapshots of partitions that run.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::routes::unknown;
use super::watcher::connect;
use super::{Supervisor, failed, problem};
use crate::api::{Problem, ProblemKind, SnapshotRequest};
use crate::keeper::Request;

/// How long a keeper may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Writes all that a partition is into a new folder; it is held meanwhile.
    pub(super) async fn snapshot(
        self: Arc<Self>,
        name: &str,
        request: SnapshotRequest,
    ) -> Result<(), Problem> {
        if !request.path.is_absolute() {
            let message =
                format!("{} depends on where the supervisor runs", request.path.display());
            let hint = Some("name a folder that begins with /".to_owned());
            return Err(problem(ProblemKind::Invalid, message, hint));
        }
        if !self.kept().contains_key(name) {
            return Err(unknown(name));
        }
        let gone = || {
            let message = format!("the keeper of {name} does not answer");
            problem(ProblemKind::Failed, message, None)
        };
        let mut keeper = connect(&self.paths.partition(name), PATIENCE).await.ok_or_else(gone)?;
        if request.stop {
            // Its end is no reason to start it again.
            self.update(name, |kept| kept.wanted_down = true);
        }
        let asked = Request::Snapshot { path: request.path.clone(), stop: request.stop };
        let mut line = serde_json::to_vec(&asked).map_err(|error| failed(&error))?;
        line.push(b'\n');
        keeper.write_all(&line).await.map_err(|error| failed(&error))?;
        let mut answer = String::new();
        let mut keeper = BufReader::new(keeper);
        keeper.read_line(&mut answer).await.map_err(|error| failed(&error))?;
        let result: Result<(), String> = serde_json::from_str(&answer).map_err(|_| gone())?;
        if let Err(message) = result {
            self.update(name, |kept| kept.wanted_down = false);
            return Err(problem(ProblemKind::Failed, message, None));
        }
        let text = format!("a snapshot is in {}", request.path.display());
        self.events.tell(Some(name), "snapshot", text, Vec::new());
        match request.stop {
            true => self.end(name, true).await,
            false => Ok(()),
        }
    }
}
