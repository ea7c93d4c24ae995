//! Giving back what a partition had, once its keeper has given back CPUs and memory.

use std::fs;
use std::time::Duration;

use boot::host_memory::PoolsLock;
use tokio::time::Instant;

use super::{Supervisor, failed};
use crate::api::Problem;
use crate::host;
use crate::keeper;
use crate::ledger::{Entry, HostBefore};

/// How long a keeper may take to go after its last word. It frees the partition's memory on the way.
const GOING: Duration = Duration::from_secs(20);

impl Supervisor {
    /// Waits until the keeper of an ended partition is gone, and with it the last hold on its pages:
    /// a process lets go of its memory before it lets go of its locks. Whether the partition is still
    /// to be given back: not where somebody else has done so meanwhile, and what is there under its name
    /// has another keeper.
    pub(super) async fn keeper_gone(&self, name: &str, life: u64) -> bool {
        let dir = self.paths.partition(name);
        let deadline = Instant::now() + GOING;
        while self.in_life(name, life).is_some() {
            if !matches!(keeper::take_lock(&dir), Err(keeper::KeeperError::Taken)) {
                return true;
            }
            if Instant::now() >= deadline {
                let text = "its keeper does not go; its huge pages come back when it does";
                self.events.tell(Some(name), "warning", text.to_owned(), Vec::new());
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// As [`Supervisor::release`]; what is wrong becomes an event.
    pub(super) async fn release_or_tell(&self, name: &str, life: Option<u64>) {
        if let Err(problem) = self.release(name, life).await {
            self.events.tell(Some(name), "warning", problem.message, Vec::new());
        }
    }

    /// Strikes an ended partition out of the ledger and puts back what was changed on the host for
    /// it. After the last one the host is as it was found. Nothing happens where that `life` of it has
    /// been given back already.
    pub(super) async fn release(&self, name: &str, life: Option<u64>) -> Result<(), Problem> {
        // A keeper that gathers pages has it for long. From here on nothing waits.
        let lock = tokio::task::spawn_blocking(PoolsLock::take).await;
        let lock = lock.map_err(|error| failed(&error))?.map_err(|error| failed(&error));
        if life.is_some_and(|life| self.in_life(name, life).is_none()) {
            return Ok(());
        }
        let Some(entry) = self.ledger().partitions.get(name).cloned() else { return Ok(()) };
        let _ = fs::remove_dir_all(self.paths.partition(name).path());
        let last = self.ledger().partitions.len() == 1;
        let before = self.ledger().before.clone();
        let mut left = self.ledger().clone();
        left.partitions.remove(name);
        let quiet = left.quiet_cpus();
        let result = before.map_or(Ok(()), |before| {
            // What stays where it is has been told of.
            let _ = host::steer(&before.interrupts, before.new_interrupts.as_deref(), &quiet);
            if last { restore_all(&before, lock) } else { take_away(&entry, lock) }
        });
        // At once: what the host was like before has no meaning when nobody has changed it any more.
        self.write_ledger(|ledger| {
            ledger.partitions.remove(name);
            ledger.before = ledger.before.take().filter(|_| !last);
        })
        .map_err(|error| failed(&error))?;
        result
    }
}

/// Takes away the huge pages that were added for one partition.
fn take_away(entry: &Entry, lock: Result<PoolsLock, Problem>) -> Result<(), Problem> {
    let lock = lock?;
    let mut result = Ok(());
    for pages in &entry.hugepages {
        let removed = pages.pool().remove(&lock, pages.count);
        result = result.and(removed.map_err(|error| failed(&error)));
    }
    result
}

/// Makes every pool as large as it was, and takes our mount points away.
fn restore_all(before: &HostBefore, lock: Result<PoolsLock, Problem>) -> Result<(), Problem> {
    let mut result = Ok(());
    match lock {
        Ok(lock) => {
            for pages in &before.hugepages {
                let restored = pages.pool().restore(&lock, pages.count);
                result = result.and(restored.map_err(|error| failed(&error)));
            }
        }
        Err(problem) => result = Err(problem),
    }
    for path in &before.mounted {
        host::unmount(path);
    }
    result
}
