//! Ending partitions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::kept::Kept;
use super::watcher::connect;
use super::{Supervisor, failed, problem};
use crate::api::{DownRequest, Phase, Problem, ProblemKind, Progress};
use crate::keeper::Request;

/// How long workloads have to end by themselves.
const GRACE_MS: u32 = 10_000;

/// How long a keeper may take beyond that.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often it is tried to tell a keeper that does not listen yet.
const AGAIN: Duration = Duration::from_millis(200);

impl Supervisor {
    /// Ends the partitions that were asked for, all at once, and tells how it goes.
    pub(super) async fn down(
        self: Arc<Self>,
        request: DownRequest,
        progress: mpsc::UnboundedSender<Progress>,
    ) -> Result<(), Problem> {
        let _operation = self.operation.lock().await;
        let known: Vec<String> = self.kept().keys().cloned().collect();
        let names = match request.names.is_empty() {
            true => known,
            false => {
                if let Some(unknown) = request.names.iter().find(|name| !known.contains(name)) {
                    let message =
                        format!("there is no partition `{}`", crate::api::printable(unknown));
                    let hint = Some("`partitiond ps` lists them".to_owned());
                    return Err(problem(ProblemKind::NotFound, message, hint));
                }
                request.names
            }
        };
        let mut ok = true;
        let ends = names.into_iter().map(|name| {
            let supervisor = self.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                let ended = supervisor.end(&name, request.force).await;
                if ended.is_ok() {
                    supervisor.forget_profile(&name);
                }
                (name, ended, begun.elapsed().as_millis() as u64)
            })
        });
        for end in ends.collect::<Vec<_>>() {
            let told = match end.await {
                Ok((partition, Ok(()), milliseconds)) => Progress::Down { partition, milliseconds },
                Ok((partition, Err(problem), _)) => Progress::Failed { partition, problem },
                Err(error) => {
                    Progress::Failed { partition: String::new(), problem: failed(&error) }
                }
            };
            ok &= !matches!(told, Progress::Failed { .. });
            let _ = progress.send(told);
        }
        let _ = progress.send(Progress::Done { ok });
        Ok(())
    }

    /// Ends one partition and forgets it.
    pub(super) async fn end(self: &Arc<Self>, name: &str, force: bool) -> Result<(), Problem> {
        self.update(name, |kept| kept.wanted_down = true);
        let Some(Kept { life, report, .. }) = self.kept().get(name).cloned() else { return Ok(()) };
        match report.phase {
            Phase::Ended => {}
            Phase::Stuck => self.end_stuck(name).await?,
            _ => {
                let ended = self.end_running(name, force).await;
                if ended.is_err() {
                    // It goes on; whoever sees it end later gives back what it had.
                    self.update(name, |kept| kept.wanted_down = false);
                }
                ended?;
            }
        }
        if self.keeper_gone(name, life).await {
            self.release(name, Some(life)).await?;
            if self.in_life(name, life).is_some() {
                self.kept().remove(name);
            }
        }
        Ok(())
    }

    async fn end_running(&self, name: &str, force: bool) -> Result<(), Problem> {
        let request = Request::Stop { force, grace_ms: GRACE_MS };
        let mut line = serde_json::to_vec(&request).map_err(|error| failed(&error))?;
        line.push(b'\n');
        let mut changes = self.changed.subscribe();
        let ended = async {
            // A keeper may die before it has obeyed; the one that takes the partition up is told again.
            let mut told = None;
            loop {
                let Some(kept) = self.kept().get(name).cloned() else { return Ok(()) };
                match kept.report.phase {
                    Phase::Ended => return Ok(()),
                    Phase::Stuck => {
                        let why = kept.report.stuck;
                        let message =
                            why.unwrap_or_else(|| "it could not be taken back".to_owned());
                        return Err(problem(ProblemKind::Failed, message, None));
                    }
                    _ if kept.keeper.is_some()
                        && kept.keeper != told
                        && self.tell_keeper(name, &line).await =>
                    {
                        told = kept.keeper;
                    }
                    _ => {}
                }
                // Now and then without a change: one who could not be told is told later.
                let _ = tokio::time::timeout(AGAIN, changes.changed()).await;
            }
        };
        match tokio::time::timeout(PATIENCE, ended).await {
            Ok(result) => result,
            Err(_) => Err(problem(
                ProblemKind::Failed,
                format!("{name} did not end within {} s", PATIENCE.as_secs()),
                Some(format!("partitiond down --force {name}")),
            )),
        }
    }

    /// Whether a partition's keeper has been sent a line.
    pub(super) async fn tell_keeper(&self, name: &str, line: &[u8]) -> bool {
        match connect(&self.paths.partition(name), Duration::ZERO).await {
            Some(mut keeper) => keeper.write_all(line).await.is_ok(),
            None => false,
        }
    }

    /// Tries once more to take back what could not be.
    async fn end_stuck(&self, name: &str) -> Result<(), Problem> {
        let Some(spec) = self.kept().get(name).map(|kept| kept.entry.spec.boot.clone()) else {
            return Ok(());
        };
        let reclaimed = tokio::task::spawn_blocking(move || spec.reclaim()).await;
        match reclaimed {
            Ok(Ok(())) => {
                self.update(name, |kept| kept.report.phase = Phase::Ended);
                Ok(())
            }
            Ok(Err(error)) => Err(failed(&error)),
            Err(error) => Err(failed(&error)),
        }
    }
}
