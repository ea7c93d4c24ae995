//! The host's pools of huge pages: adding pages, and taking them away again.

use std::fs::File;
use std::time::Duration;
use std::{fs, io};

use nix::fcntl::{Flock, FlockArg};

use super::hugetlb::PageSize;
use crate::units::{Bytes, NodeId};

const POOLS: &str = "/sys/kernel/mm/hugepages";

/// How often, and how long apart, a pool is made smaller that does not become so.
const TRIES: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(10);

/// Why huge pages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// the kernel has no pool of this size on this node
    #[error("{node} has no pool of {size} huge pages")]
    NoPool {
        /// The node.
        node: NodeId,
        /// Size of a page.
        size: Bytes,
        /// What the kernel said.
        source: io::Error,
    },
    /// the kernel has no huge pages at all
    #[error("{POOLS} cannot be used: the host's kernel has no huge pages (CONFIG_HUGETLBFS)")]
    NoPools(#[source] io::Error),
    /// memory is in use or fragmented
    #[error(
        "{node} could give {had} of {wanted} in huge pages of {size}: its memory is in use or \
         fragmented; stop something, ask for less, or reserve the pages at boot with \
         `hugepagesz={size} hugepages={count}`"
    )]
    TooFew {
        /// The node.
        node: NodeId,
        /// Size of a page.
        size: Bytes,
        /// Wanted in all.
        wanted: Bytes,
        /// What could be had.
        had: Bytes,
        /// Pages wanted.
        count: u64,
    },
}

/// Keeps others from changing pools: the size of a pool is read first and written then.
#[derive(Debug)]
pub struct PoolsLock(#[expect(dead_code, reason = "held")] Flock<File>);

impl PoolsLock {
    /// Waits for whoever has it: a keeper for as long as it gathers pages, anybody else for moments.
    ///
    /// # Errors
    ///
    /// [`PoolError::NoPools`].
    pub fn take() -> Result<Self, PoolError> {
        let lock = File::open(POOLS).and_then(|folder| {
            Flock::lock(folder, FlockArg::LockExclusive)
                .map_err(|(_, error)| io::Error::from(error))
        });
        lock.map(Self).map_err(PoolError::NoPools)
    }
}

/// The huge pages of one size on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The node.
    pub node: NodeId,
    /// The size of its pages.
    pub size: PageSize,
}

impl Pool {
    /// Makes sure that `wanted` pages are free, besides `promised` free ones that others are about
    /// to take; returns how many were added for it. What was added is taken away again on failure.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn add(self, _lock: &PoolsLock, wanted: u64, promised: u64) -> Result<u64, PoolError> {
        let spare = self.free()?.saturating_sub(promised);
        let missing = wanted.saturating_sub(spare);
        if missing == 0 {
            return Ok(0);
        }
        let before = self.total()?;
        let goal = before.saturating_add(missing);
        self.set_total(goal)?;
        if self.total()? < goal {
            // Pages that are merely scattered can be brought together.
            let _ = fs::write("/proc/sys/vm/compact_memory", "1");
            self.set_total(goal)?;
        }
        let added = self.total()?.saturating_sub(before);
        if added < missing {
            let _ = self.set_total(before);
            let bytes = |pages: u64| Bytes(pages.saturating_mul(self.size.bytes().0));
            return Err(PoolError::TooFew {
                node: self.node,
                size: self.size.bytes(),
                wanted: bytes(wanted),
                had: bytes(spare + added),
                count: wanted,
            });
        }
        Ok(added)
    }

    /// Adds as many pages as can be had without trouble, at most `wanted`; returns how many. A
    /// sixteenth of the node's memory stays free: the host goes on working meanwhile.
    pub fn add_some(self, _lock: &PoolsLock, wanted: u64) -> u64 {
        let Ok(before) = self.total() else { return 0 };
        let wanted = wanted.min(self.room().unwrap_or(0));
        // Where that fails, so does the next line; it tells what has become of it.
        let _ = self.set_total(before.saturating_add(wanted));
        self.total().unwrap_or(before).saturating_sub(before)
    }

    /// Adds the pages of a gigantic page that the kernel makes for this and takes apart, which it can
    /// since 5.16; returns how many. They lie together.
    ///
    /// Documentation/admin-guide/mm/hugetlbpage.rst, `demote`.
    pub fn add_demoted(self, _lock: &PoolsLock) -> u64 {
        let giant = Self { size: PageSize::Giant, ..self };
        let room = self.room().unwrap_or(0).saturating_mul(self.size.bytes().0);
        let (Ok(before), Ok(giants)) = (self.total(), giant.total()) else { return 0 };
        let demote = giant.path("demote");
        if self.size == PageSize::Giant
            || room < giant.size.bytes().0
            || !fs::exists(&demote).unwrap_or(false)
        {
            return 0;
        }
        // Each of these fails where memory is too fragmented, and the totals tell.
        let _ = giant.set_total(giants.saturating_add(1));
        if giant.total().is_ok_and(|total| total > giants) {
            let _ = fs::write(demote, "1");
            let _ = giant.set_total(giants);
        }
        self.total().unwrap_or(before).saturating_sub(before)
    }

    /// Pages that could be added from free memory while a sixteenth of the node's stays free.
    fn room(self) -> Result<u64, PoolError> {
        let path = format!("/sys/devices/system/node/node{}/meminfo", self.node.0);
        let text = fs::read_to_string(path).map_err(|source| self.missing(source))?;
        let kib = |name: &str| {
            let line = text.lines().find(|line| line.split(' ').any(|word| word == name))?;
            line.split_whitespace().nth_back(1)?.parse::<u64>().ok()
        };
        let (Some(free), Some(total)) = (kib("MemFree:"), kib("MemTotal:")) else {
            return Err(self.missing(io::ErrorKind::InvalidData.into()));
        };
        Ok((free.saturating_sub(total / 16) << 10) / self.size.bytes().0)
    }

    /// Takes pages away that were added.
    ///
    /// # Errors
    ///
    /// [`PoolError::NoPool`] where the pool is gone.
    pub fn remove(self, lock: &PoolsLock, count: u64) -> Result<(), PoolError> {
        let total = self.total()?;
        self.restore(lock, total.saturating_sub(count))
    }

    /// Takes free pages away until `floor` pages are left in all. Those in use stay.
    ///
    /// # Errors
    ///
    /// [`PoolError::NoPool`] where the pool is gone.
    pub fn trim(self, lock: &PoolsLock, floor: u64) -> Result<(), PoolError> {
        let total = self.total()?;
        let goal = total.saturating_sub(self.free()?).max(floor);
        if goal < total { self.restore(lock, goal) } else { Ok(()) }
    }

    /// The pages in the pool, used ones too.
    ///
    /// # Errors
    ///
    /// [`PoolError::NoPool`].
    pub fn total(self) -> Result<u64, PoolError> {
        self.read("nr_hugepages")
    }

    /// Makes the pool as large as it was.
    ///
    /// # Errors
    ///
    /// [`PoolError::NoPool`].
    pub fn restore(self, _lock: &PoolsLock, total: u64) -> Result<(), PoolError> {
        self.shrink(total)
    }

    fn path(self, file: &str) -> String {
        let kilobytes = self.size.bytes().0 >> 10;
        let node = self.node.0;
        format!("/sys/devices/system/node/node{node}/hugepages/hugepages-{kilobytes}kB/{file}")
    }

    fn free(self) -> Result<u64, PoolError> {
        self.read("free_hugepages")
    }

    fn read(self, file: &str) -> Result<u64, PoolError> {
        let text = fs::read_to_string(self.path(file)).map_err(|source| self.missing(source))?;
        text.trim().parse().map_err(|_| self.missing(io::ErrorKind::InvalidData.into()))
    }

    fn set_total(self, count: u64) -> Result<(), PoolError> {
        fs::write(self.path("nr_hugepages"), count.to_string())
            .map_err(|source| self.missing(source))
    }

    /// Makes the pool smaller, and sees to it that it is.
    ///
    /// A page that is in use when its pool shrinks stays as a surplus page. The last file of a
    /// process that has just ended is still on its way out for some milliseconds, and its pages then
    /// come back free and surplus, which no further shrinking frees. Taking them into the pool once
    /// more does.
    fn shrink(self, goal: u64) -> Result<(), PoolError> {
        self.set_total(goal)?;
        for _ in 0..TRIES {
            let total = self.total()?;
            if total <= goal {
                return Ok(());
            }
            std::thread::sleep(INTERVAL);
            self.set_total(total)?;
            self.set_total(goal)?;
        }
        // Somebody else uses them; then they are not ours to take.
        Ok(())
    }

    fn missing(self, source: io::Error) -> PoolError {
        PoolError::NoPool { node: self.node, size: self.size.bytes(), source }
    }
}
