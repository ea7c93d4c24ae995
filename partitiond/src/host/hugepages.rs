//! Adding huge pages to the host's pools, and taking them away again.

use std::time::Duration;
use std::{fs, io};

use boot::bare::PageSize;
use boot::units::{Bytes, NodeId};

/// How often, and how long apart, a pool is made smaller that does not become so.
const TRIES: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(10);

/// Why huge pages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HugePagesError {
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

/// Makes sure that `wanted` pages are free on `node`, besides `promised` free ones that others are
/// about to take; returns how many were added for it. What was added is taken away again on failure.
///
/// # Errors
///
/// [`HugePagesError`].
pub fn add(
    node: NodeId,
    size: PageSize,
    wanted: u64,
    promised: u64,
) -> Result<u64, HugePagesError> {
    let pool = Pool { node, size };
    let spare = pool.free()?.saturating_sub(promised);
    let missing = wanted.saturating_sub(spare);
    if missing == 0 {
        return Ok(0);
    }
    let before = pool.total()?;
    let goal = before + missing;
    pool.set_total(goal)?;
    if pool.total()? < goal {
        // Pages that are merely scattered can be brought together.
        let _ = fs::write("/proc/sys/vm/compact_memory", "1");
        pool.set_total(goal)?;
    }
    let added = pool.total()?.saturating_sub(before);
    if added < missing {
        let _ = pool.set_total(before);
        let bytes = |pages: u64| Bytes(pages.saturating_mul(size.bytes().0));
        return Err(HugePagesError::TooFew {
            node,
            size: size.bytes(),
            wanted: bytes(wanted),
            had: bytes(spare + added),
            count: wanted,
        });
    }
    Ok(added)
}

/// Adds as many pages as can be had without trouble, at most `wanted`; returns how many.
pub fn add_some(node: NodeId, size: PageSize, wanted: u64) -> u64 {
    let pool = Pool { node, size };
    let Ok(before) = pool.total() else { return 0 };
    let _ = pool.set_total(before.saturating_add(wanted));
    pool.total().unwrap_or(before).saturating_sub(before)
}

/// Takes pages away that were added.
///
/// # Errors
///
/// [`HugePagesError::NoPool`] where the pool is gone.
pub fn remove(node: NodeId, size: PageSize, count: u64) -> Result<(), HugePagesError> {
    let pool = Pool { node, size };
    let total = pool.total()?;
    pool.shrink(total.saturating_sub(count))
}

/// The pages in a pool, used ones too.
///
/// # Errors
///
/// [`HugePagesError::NoPool`].
pub fn total(node: NodeId, size: PageSize) -> Result<u64, HugePagesError> {
    Pool { node, size }.total()
}

/// Makes a pool as large as it was.
///
/// # Errors
///
/// [`HugePagesError::NoPool`].
pub fn restore_total(node: NodeId, size: PageSize, total: u64) -> Result<(), HugePagesError> {
    Pool { node, size }.shrink(total)
}

/// Takes free pages away until `floor` pages are left in all. Those in use stay.
///
/// # Errors
///
/// [`HugePagesError::NoPool`] where the pool is gone.
pub fn trim(node: NodeId, size: PageSize, floor: u64) -> Result<(), HugePagesError> {
    let pool = Pool { node, size };
    let total = pool.total()?;
    let goal = total.saturating_sub(pool.free()?).max(floor);
    if goal < total { pool.shrink(goal) } else { Ok(()) }
}

#[derive(Clone, Copy)]
struct Pool {
    node: NodeId,
    size: PageSize,
}

impl Pool {
    fn path(self, file: &str) -> String {
        let kilobytes = self.size.bytes().0 >> 10;
        let node = self.node.0;
        format!("/sys/devices/system/node/node{node}/hugepages/hugepages-{kilobytes}kB/{file}")
    }

    fn total(self) -> Result<u64, HugePagesError> {
        self.read("nr_hugepages")
    }

    fn free(self) -> Result<u64, HugePagesError> {
        self.read("free_hugepages")
    }

    fn read(self, file: &str) -> Result<u64, HugePagesError> {
        let text = fs::read_to_string(self.path(file)).map_err(|source| self.missing(source))?;
        text.trim().parse().map_err(|_| self.missing(io::ErrorKind::InvalidData.into()))
    }

    fn set_total(self, count: u64) -> Result<(), HugePagesError> {
        fs::write(self.path("nr_hugepages"), count.to_string())
            .map_err(|source| self.missing(source))
    }

    /// Makes the pool smaller, and sees to it that it is.
    ///
    /// A page that is in use when its pool shrinks stays as a surplus page. The last file of a
    /// process that has just ended is still on its way out for some milliseconds, and its pages then
    /// come back free and surplus, which no further shrinking frees. Taking them into the pool once
    /// more does.
    fn shrink(self, goal: u64) -> Result<(), HugePagesError> {
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

    fn missing(self, source: io::Error) -> HugePagesError {
        HugePagesError::NoPool { node: self.node, size: self.size.bytes(), source }
    }
}
