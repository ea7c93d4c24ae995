//! The first thing that a supervisor does: find out what is whose, and take up what runs.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boot::bare::Starter;
use boot::host_memory::PoolsLock;
use nix::fcntl::Flock;

use super::kept::Kept;
use super::{Supervisor, SupervisorError};
use crate::api::{End, Phase};
use crate::errors::chain;
use crate::host;
use crate::inventory::{self, Machine};
use crate::keeper;
use crate::ledger::Ledger;
use crate::paths::Paths;

/// The ledger of this boot of the host. One of an earlier boot is void: the reset gave everything
/// back.
pub fn ledger(paths: &Paths) -> Result<Ledger, SupervisorError> {
    let boot_id = host::boot_id();
    if let Some(ledger) = Ledger::load(&paths.ledger())?
        && ledger.boot_id == boot_id
    {
        return Ok(ledger);
    }
    host::load_msr();
    let machine = inventory::sys::read(Path::new("/"))?;
    let low = boot::bare::read_low_memory(&[]);
    // Why there is none is for the doctor to say.
    let starter = low.ok().and_then(|low| Starter::detect(&low).ok());
    let ledger = Ledger { boot_id, machine, starter, before: None, partitions: Default::default() };
    ledger.save(&paths.ledger())?;
    Ok(ledger)
}

/// Who has a partition now whose keeper was gone.
pub enum TakenUp {
    /// A keeper that was started, or one that had not come to listen yet.
    ByKeeper,
    /// Nobody. As long as the lock is held, no late keeper can touch what it had.
    ByNobody(Option<Flock<File>>),
}

impl Supervisor {
    /// Takes up every partition of the ledger: its keeper where it lives, a new one where only the
    /// partition does, and what is left of it where neither does.
    pub(super) async fn take_up(self: Arc<Self>) {
        self.events.tell(None, "supervisor-started", "the supervisor runs".to_owned(), Vec::new());
        self.trim_pools();
        if let Some(starter) = self.ledger().starter {
            // Those who need it to be done wait for it; it may take as long as a CPU's start.
            let supervisor = self.clone();
            tokio::task::spawn_blocking(move || {
                if let Err(error) = starter.mend() {
                    let text = format!("no CPU can be taken online safely: {}", chain(&error));
                    supervisor.events.tell(None, "warning", text, Vec::new());
                }
            });
        }
        let entries: Vec<_> = self.ledger().partitions.values().cloned().collect();
        for entry in entries {
            let name = entry.spec.name.clone();
            self.kept().insert(name.clone(), Kept { found: true, ..Kept::new(entry) });
            self.clone().watch(&name, true).await;
        }
    }

    /// Waits until it is known what has become of partitions that nobody has been heard of yet. What
    /// an earlier supervisor was starting when it died may be about to be taken back, and what another
    /// keeper has taken up may be on its way to switch itself off; then it has to be started once more,
    /// and not to be kept.
    pub(super) async fn settled(&self) {
        const PATIENCE: Duration = Duration::from_secs(20);
        let mut changes = self.changed.subscribe();
        // One that its keeper starts itself has begun some steps.
        let unheard = |kept: &Kept| {
            matches!(kept.report.phase, Phase::Starting | Phase::Booting)
                && kept.report.start.is_empty()
        };
        let settled =
            async { while self.kept().values().any(unheard) && changes.changed().await.is_ok() {} };
        // Longer only takes a keeper that hangs, or a kernel that boots; these are kept.
        let _ = tokio::time::timeout(PATIENCE, settled).await;
    }

    /// Takes away the huge pages that an earlier supervisor could not write down any more when it
    /// died, and those that a keeper was gathering. No keeper waits for them: none is started before
    /// its pages are written down.
    fn trim_pools(&self) {
        let trimmed = PoolsLock::take().and_then(|lock| {
            let ledger = self.ledger().clone();
            let added = || ledger.partitions.values().flat_map(|entry| &entry.hugepages);
            let before = ledger.before.iter().flat_map(|before| &before.hugepages);
            before.clone().try_for_each(|had| {
                let same = added().filter(|pages| pages.pool() == had.pool());
                let floor = same.fold(had.count, |sum, pages| sum.saturating_add(pages.count));
                had.pool().trim(&lock, floor)
            })
        });
        if let Err(error) = trimmed {
            self.events.tell(None, "warning", chain(&error), Vec::new());
        }
    }

    /// A partition whose keeper is gone without a last word: another keeper takes it up if it runs;
    /// else, or where its keeper was ending it, what it had goes back.
    pub(super) async fn take_up_without_keeper(self: &Arc<Self>, name: &str) -> TakenUp {
        let dir = self.paths.partition(name);
        let Some(spec) = self.kept().get(name).map(|kept| kept.entry.spec.clone()) else {
            return TakenUp::ByNobody(None);
        };
        let ending: Option<Vec<u8>> = fs::read(dir.ending()).ok();
        if ending.is_none() && dir.record().exists() {
            match self.spawn_keeper(name) {
                Ok(()) => {
                    let text = "its keeper was lost; another has taken it up".to_owned();
                    self.events.tell(Some(name), "keeper-adopted", text, Vec::new());
                    return TakenUp::ByKeeper;
                }
                Err(error) => {
                    let text = format!("no keeper can be started: {}", chain(&error));
                    self.events.tell(Some(name), "keeper-lost", text, Vec::new());
                }
            }
        }
        // A keeper that lives but does not listen yet holds the lock; one that has not come that far
        // finds it taken, and goes. Without a directory there has been no keeper yet, and there can be none.
        let lock = match keeper::take_lock(&dir) {
            Ok(lock) => Some(lock),
            Err(keeper::KeeperError::File { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            // Where it cannot be known, its CPUs may have a keeper.
            Err(_) => return TakenUp::ByKeeper,
        };
        let supervisor = self.clone();
        let reclaiming = move || {
            let reclaimed = spec.boot.reclaim();
            supervisor.trim_pools();
            reclaimed
        };
        let reclaimed = tokio::task::spawn_blocking(reclaiming).await;
        let end = ending.and_then(|end| serde_json::from_slice(&end).ok()).unwrap_or(End::Lost);
        self.update(name, |kept| {
            kept.report.end.get_or_insert(end);
            match &reclaimed {
                Ok(Ok(())) => kept.report.phase = Phase::Ended,
                Ok(Err(error)) => {
                    kept.report.phase = Phase::Stuck;
                    kept.report.stuck = Some(chain(error));
                }
                Err(_) => kept.report.phase = Phase::Stuck,
            }
        });
        TakenUp::ByNobody(lock)
    }

    /// The machine as it is now, completed by what offline CPUs hide.
    pub(super) fn machine(&self) -> Result<Machine, inventory::sys::ReadError> {
        let mut machine = inventory::sys::read(Path::new("/"))?;
        machine.complete_from(&self.ledger().machine);
        Ok(machine)
    }
}
