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
use super::pool::PoolError;
use crate::memory::Segment;
use crate::units::{Bytes, NodeId, PhysAddr};

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
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) runs: Vec<Run>,
}

/// Pages that follow each other physically and in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub(super) physical: PhysAddr,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Run {
    /// Where it lies physically.
    pub fn place(&self) -> Segment {
        Segment { start: self.physical, size: Bytes(self.length) }
    }
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
    pub(super) fn alone(&self) -> Result<Flock<File>, HugetlbError> {
        let folder = self.path.parent().unwrap_or(&self.path);
        File::open(folder)
            .and_then(|folder| {
                Flock::lock(folder, FlockArg::LockExclusive)
                    .map_err(|(_, error)| io::Error::from(error))
            })
            .map_err(file_error(folder, "locked"))
    }

    /// Where the pages of a range of the file lie physically: address and offset, ascending.
    pub(super) fn pages(
        &self,
        page: u64,
        start: u64,
        end: u64,
    ) -> Result<Vec<(u64, u64)>, HugetlbError> {
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
            place: run.place(),
            file: &self.file,
            offset: run.offset,
            own: false,
        })
    }
}

/// Pages by physical address and offset (ascending) as runs.
pub(super) fn runs(pages: Vec<(u64, u64)>, page: u64) -> Vec<Run> {
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
pub(super) fn punch(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: no pointers are passed.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset as i64, length as i64) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Allocates (and zeroes) a range of the file on `node` and nowhere else. Unlike a page fault, this
/// fails where there are no pages, and does not kill the process.
pub(super) fn allocate(file: &File, offset: u64, length: u64, node: NodeId) -> io::Result<()> {
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

pub(super) fn file_error(path: &Path, action: &'static str) -> impl Fn(io::Error) -> HugetlbError {
    move |source| HugetlbError::File { path: path.to_owned(), action, source }
}
