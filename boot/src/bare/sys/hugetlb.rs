//! A partition's memory in huge pages.
//!
//! The pages belong to a file on hugetlbfs, which holds them after this process is gone. Their
//! physical addresses are in `/proc/self/pagemap`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::mapping::{Mapping, Piece};
use super::pool::{Pool, PoolError, PoolsLock};
use crate::memory::Segment;
use crate::units::{Bytes, NodeId, PhysAddr};

/// The most that is taken besides a share in search of pages that lie together.
const MOST_MORE: Bytes = Bytes::mib(512);

/// The size of a huge page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageSize {
    /// 2 MiB.
    #[default]
    Large,
    /// 1 GiB.
    Giant,
}

impl PageSize {
    /// Bytes in a page.
    pub fn bytes(self) -> Bytes {
        match self {
            Self::Large => Bytes::mib(2),
            Self::Giant => Bytes::gib(1),
        }
    }
}

/// Memory wanted from one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeShare {
    /// The node.
    pub node: NodeId,
    /// How much, a multiple of the page size.
    pub size: Bytes,
}

/// Why a partition's memory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HugetlbError {
    /// the file system or the file cannot be used
    #[error("the partition's memory file {} cannot be {action}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// not enough huge pages
    #[error(
        "the host has no {size} of huge pages left on {node}: stop something, or give the host \
         fewer partitions"
    )]
    NoPages {
        /// How much.
        size: Bytes,
        /// Where.
        node: NodeId,
        /// What the kernel said.
        source: io::Error,
    },
    /// the pools cannot be used
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// physical addresses are hidden
    #[error(
        "the physical addresses of the partition's memory cannot be read (/proc/self/pagemap): root is needed"
    )]
    Hidden,
    /// some size is not a multiple of the page size
    #[error("{0} is not a multiple of the huge page size, {1}")]
    Uneven(Bytes, Bytes),
}

/// A file on hugetlbfs that holds a partition's memory.
#[derive(Debug)]
pub struct HugetlbFile {
    path: PathBuf,
    file: File,
    runs: Vec<Run>,
}

/// Pages that follow each other physically and in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    physical: PhysAddr,
    offset: u64,
    length: u64,
}

impl HugetlbFile {
    /// Makes a file with `shares` of memory; an old one of that name goes first. The pages come
    /// zeroed from the kernel.
    ///
    /// # Errors
    ///
    /// [`HugetlbError`]; nothing is left behind then.
    pub fn create(
        path: &Path,
        page_size: PageSize,
        shares: &[NodeShare],
    ) -> Result<Self, HugetlbError> {
        for share in shares {
            if share.size.0 % page_size.bytes().0 != 0 {
                return Err(HugetlbError::Uneven(share.size, page_size.bytes()));
            }
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file_error(path, "replaced")(error));
            }
            _ => {}
        }
        let file = open(path, OpenOptions::new().create_new(true))?;
        let mut made = Self { path: path.to_owned(), file, runs: Vec::new() };
        match made.fill(page_size.bytes().0, shares) {
            Ok(()) => Ok(made),
            Err(error) => {
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Opens a file that was made before, whose pages lie so.
    ///
    /// # Errors
    ///
    /// [`HugetlbError::File`] where it is not there.
    pub fn open(path: &Path, runs: &[Run]) -> Result<Self, HugetlbError> {
        let file = open(path, &mut OpenOptions::new())?;
        Ok(Self { path: path.to_owned(), file, runs: runs.to_vec() })
    }

    /// Where its pages lie, in physical order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Gives the pages back to the host.
    ///
    /// # Errors
    ///
    /// [`HugetlbError::File`] where the file cannot be removed; it is no error where it is gone.
    pub fn remove(path: &Path) -> Result<(), HugetlbError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(file_error(path, "removed")(error))
            }
            _ => Ok(()),
        }
    }

    /// Allocates each share on its node.
    fn fill(&mut self, page: u64, shares: &[NodeShare]) -> Result<(), HugetlbError> {
        let _alone = self.alone()?;
        let mut start = 0;
        for share in shares {
            let no_pages =
                |source| HugetlbError::NoPages { size: share.size, node: share.node, source };
            allocate(&self.file, start, share.size.0, share.node).map_err(no_pages)?;
            start += share.size.0;
        }
        self.runs = runs(self.pages(page, 0, start)?, page);
        Ok(())
    }

    /// One partition at a time: two that took pages in turns would both get scattered ones.
    fn alone(&self) -> Result<Flock<File>, HugetlbError> {
        let folder = self.path.parent().unwrap_or(&self.path);
        File::open(folder)
            .and_then(|folder| {
                Flock::lock(folder, FlockArg::LockExclusive)
                    .map_err(|(_, error)| io::Error::from(error))
            })
            .map_err(file_error(folder, "locked"))
    }

    /// Exchanges scattered pages for some that lie together, as far as the host has such.
    ///
    /// On a host that has run for a while the first huge pages that its kernel finds are left-overs
    /// between what is in use; those that it has to break out of larger blocks come last. So its pool
    /// gets more pages for a moment, this file takes them all, keeps those in the longest pieces, and
    /// gives the others back.
    ///
    /// # Errors
    ///
    /// [`HugetlbError`].
    pub fn gather(
        &mut self,
        page_size: PageSize,
        shares: &[NodeShare],
    ) -> Result<(), HugetlbError> {
        let _alone = self.alone()?;
        let lock = PoolsLock::take()?;
        let page = page_size.bytes().0;
        let end = shares.iter().fold(0, |sum: u64, share| sum.saturating_add(share.size.0));
        let mut start = 0;
        let mut kept = Vec::new();
        for share in shares {
            let pool = Pool { node: share.node, size: page_size };
            let added = pool.add_some(&lock, share.size.min(MOST_MORE).0 / page);
            let mut more = 0;
            while more < added && allocate(&self.file, end + more * page, page, share.node).is_ok()
            {
                more += 1;
            }
            let mut pages = self.pages(page, start, start + share.size.0)?;
            if more > 0 {
                pages.append(&mut self.pages(page, end, end + more * page)?);
            }
            pages.sort_unstable();
            let (mut some, left) = choose(pages, page, share.size.0);
            for offset in left {
                punch(&self.file, offset, page).map_err(file_error(&self.path, "trimmed"))?;
            }
            pool.remove(&lock, added)?;
            kept.append(&mut some);
            start += share.size.0;
        }
        kept.sort_unstable();
        self.runs = runs(kept, page);
        Ok(())
    }

    /// Where the pages of a range of the file lie physically: address and offset, ascending.
    fn pages(&self, page: u64, start: u64, end: u64) -> Result<Vec<(u64, u64)>, HugetlbError> {
        let mapping = Mapping::of_file(&self.file, start, end - start)
            .map_err(file_error(&self.path, "mapped"))?;
        mapping.touch(page);
        let pagemap = File::open("/proc/self/pagemap").map_err(|_| HugetlbError::Hidden)?;
        let mut pages = Vec::new();
        for offset in (0..end - start).step_by(page as usize) {
            let address = mapping.address() + offset;
            pages.push((physical(&pagemap, address)?, start + offset));
        }
        pages.sort_unstable();
        Ok(pages)
    }

    /// Its pages as pieces of memory.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.runs.iter().map(|run| Piece {
            place: Segment { start: run.physical, size: Bytes(run.length) },
            file: &self.file,
            offset: run.offset,
        })
    }
}

/// Of pages by physical address and offset (ascending), those in the longest physical pieces, `wanted`
/// bytes of them, ascending; and the offsets of the others.
fn choose(pages: Vec<(u64, u64)>, page: u64, wanted: u64) -> (Vec<(u64, u64)>, Vec<u64>) {
    let mut pieces: Vec<Vec<(u64, u64)>> = Vec::new();
    for next in pages {
        match pieces.last_mut() {
            Some(piece) if piece.last().is_some_and(|last| last.0 + page == next.0) => {
                piece.push(next);
            }
            _ => pieces.push(vec![next]),
        }
    }
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    let count = (wanted / page) as usize;
    let mut kept: Vec<(u64, u64)> = pieces.into_iter().flatten().collect();
    let left =
        kept.split_off(count.min(kept.len())).into_iter().map(|(_, offset)| offset).collect();
    kept.sort_unstable();
    (kept, left)
}

/// Pages by physical address and offset (ascending) as runs.
fn runs(pages: Vec<(u64, u64)>, page: u64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (physical, offset) in pages {
        match runs.last_mut() {
            Some(run)
                if run.physical.0 + run.length == physical && run.offset + run.length == offset =>
            {
                run.length += page;
            }
            _ => runs.push(Run { physical: PhysAddr(physical), offset, length: page }),
        }
    }
    runs
}

/// Gives a page of the file back.
fn punch(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: no pointers are passed.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset as i64, length as i64) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Allocates (and zeroes) a range of the file on `node` and nowhere else. Unlike a page fault, this
/// fails where there are no pages, and does not kill the process.
fn allocate(file: &File, offset: u64, length: u64, node: NodeId) -> io::Result<()> {
    memory_policy(Some(node))?;
    // SAFETY: no pointers are passed.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, offset as i64, length as i64) };
    let result = if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    memory_policy(None)?;
    result
}

/// Where this thread's allocations come from: one node, or what is usual.
fn memory_policy(node: Option<NodeId>) -> io::Result<()> {
    const MPOL_DEFAULT: libc::c_int = 0;
    const MPOL_BIND: libc::c_int = 2;
    let mut mask = [0_u64; 16];
    let (mode, pointer) = match node {
        None => (MPOL_DEFAULT, std::ptr::null()),
        Some(node) => {
            let word = mask.get_mut(node.0 as usize / 64).ok_or(io::ErrorKind::InvalidInput)?;
            *word = 1 << (node.0 % 64);
            (MPOL_BIND, mask.as_ptr())
        }
    };
    // SAFETY: the mask is as long as said (in bits, plus one, as the call has it), or not there.
    let result =
        unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, mask.len() * 64 + 1) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The physical address behind a mapped one (Documentation/admin-guide/mm/pagemap.rst).
fn physical(pagemap: &File, address: u64) -> Result<u64, HugetlbError> {
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    let mut entry = [0; 8];
    pagemap.read_exact_at(&mut entry, address / 4096 * 8).map_err(|_| HugetlbError::Hidden)?;
    let entry = u64::from_le_bytes(entry);
    // Without CAP_SYS_ADMIN the frame reads as zero.
    match entry & FRAME {
        frame if entry & PRESENT != 0 && frame != 0 => Ok(frame * 4096),
        _ => Err(HugetlbError::Hidden),
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> Result<File, HugetlbError> {
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(file_error(path, "opened"))
}

fn file_error(path: &Path, action: &'static str) -> impl Fn(io::Error) -> HugetlbError {
    move |source| HugetlbError::File { path: path.to_owned(), action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pieces_are_kept() {
        let page = 2 << 20;
        let at = |numbers: &[u64]| {
            numbers.iter().enumerate().map(|(n, at)| (at * page, n as u64 * page)).collect()
        };
        let (kept, left) = choose(at(&[1, 3, 5, 6, 7, 8, 12, 13]), page, 5 * page);
        let kept: Vec<_> =
            runs(kept, page).iter().map(|run| (run.physical.0 / page, run.length / page)).collect();
        assert_eq!(kept, [(5, 4), (12, 1)]);
        assert_eq!(left.len(), 3);
        let (all, none) = choose(at(&[1, 3]), page, 2 * page);
        assert_eq!((all.len(), none.len()), (2, 0));
    }
}
