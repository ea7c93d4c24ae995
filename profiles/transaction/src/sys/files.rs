//! Settings that are files: below `/proc/sys`, `/sys` and the like, and nowhere else.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use nix::sys::statfs::{
    CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs,
};

use crate::plan::{COUNT, Filesystem, MAX_VALUE, ROOTS, Root, Target, check_path, root_of};
use crate::store::{Store, StoreError};

/// What is read at first, which nearly all values fit into. A sysctl gives what fits into the first read and
/// then says that this was all, so where a read fills the room, it is made again with more. The kernel takes
/// one byte more than this for each read, and clears them all.
const ROOM: usize = 4 * 1024 - 1;
/// How often opening is tried while somebody keeps renaming things.
const TRIES: usize = 64;

/// Files below the [roots](ROOTS), each opened beneath its root and nowhere else.
#[derive(Debug)]
pub struct Files {
    /// What stands in for `/`; none for the kernel's own.
    base: Option<PathBuf>,
    /// Directories of the roots, once they are open.
    open: [Option<OwnedFd>; COUNT],
    /// Files that stay open to be read, by path.
    kept: HashMap<String, File>,
    /// Room for what is read.
    room: Vec<u8>,
}

impl Files {
    /// The running kernel's.
    pub fn of_kernel() -> Self {
        Self::new(None)
    }

    /// Plain files in a directory that stands in for `/`, for tests and measurements.
    pub fn beneath(base: impl Into<PathBuf>) -> Self {
        Self::new(Some(base.into()))
    }

    fn new(base: Option<PathBuf>) -> Self {
        Self { base, open: Default::default(), kept: HashMap::new(), room: Vec::new() }
    }

    /// Opens a file to be read and keeps it open: it is found once, however often it is read.
    pub(crate) fn keep(&mut self, path: &str) -> Result<(), StoreError> {
        if !self.kept.contains_key(path) {
            let file = self.open(path, OFlag::O_RDONLY)?;
            check_kind(&file)?;
            self.kept.insert(path.to_owned(), file);
        }
        Ok(())
    }

    /// A file that is kept open.
    pub(crate) fn kept(&self, path: &str) -> Option<&File> {
        self.kept.get(path)
    }

    /// Opens a file beneath its root. The kernel itself refuses whatever leads out of it, by `..`,
    /// by a link or across a mount, also when that is changed at this moment.
    pub(crate) fn open(&mut self, path: &str, flags: OFlag) -> Result<File, StoreError> {
        check_path(path).map_err(|_| StoreError::OutOfReach)?;
        let (root, rest) = root_of(path).ok_or(StoreError::OutOfReach)?;
        let mut resolve = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_MAGICLINKS
            | ResolveFlag::RESOLVE_NO_XDEV;
        if !root.links {
            resolve |= ResolveFlag::RESOLVE_NO_SYMLINKS;
        }
        // openat2 takes no flag that means nothing beside O_PATH.
        let more = if flags.contains(OFlag::O_PATH) {
            OFlag::O_CLOEXEC
        } else {
            OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK
        };
        let how = OpenHow::new().flags(flags | more).resolve(resolve);
        let directory = self.root(root)?;
        let mut last = nix::Error::EAGAIN;
        for _ in 0..TRIES {
            match openat2(directory, rest, how) {
                Ok(fd) => return Ok(File::from(fd)),
                // EAGAIN: something was renamed meanwhile, and the kernel cannot tell where it is.
                Err(error @ (nix::Error::EINTR | nix::Error::EAGAIN)) => last = error,
                Err(nix::Error::EXDEV | nix::Error::ELOOP) => return Err(StoreError::OutOfReach),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Err(io::Error::from(last).into())
    }

    fn read_whole(&mut self, path: &str, room: &mut Vec<u8>) -> Result<String, StoreError> {
        loop {
            if let Some(length) = self.read_once(path, room)? {
                return text_of(room.get(..length).unwrap_or_default());
            }
            if room.len() > MAX_VALUE {
                return Err(StoreError::TooLong(MAX_VALUE));
            }
            room.resize(room.len().saturating_mul(4), 0);
        }
    }

    /// As much as there is; none where there may be more than there is room for.
    fn read_once(&mut self, path: &str, room: &mut [u8]) -> Result<Option<usize>, StoreError> {
        if let Some(file) = self.kept.get(path) {
            match read_within(room, |rest, at| file.read_at(rest, at)) {
                Ok(read) => return Ok(read),
                // The setting may have gone, and come again, with another file of this name.
                Err(_) => drop(self.kept.remove(path)),
            }
        }
        let mut file = self.open(path, OFlag::O_RDONLY)?;
        check_kind(&file)?;
        Ok(read_within(room, |rest, _| file.read(rest))?)
    }

    /// The directory of a root, which must be what it should be.
    fn root(&mut self, root: &'static Root) -> Result<&OwnedFd, StoreError> {
        let at = ROOTS.iter().position(|other| other == root).ok_or(StoreError::OutOfReach)?;
        let slot = self.open.get_mut(at).ok_or(StoreError::OutOfReach)?;
        if slot.is_none() {
            *slot = Some(open_root(self.base.as_deref(), root)?);
        }
        slot.as_ref().ok_or(StoreError::OutOfReach)
    }
}

fn open_root(base: Option<&Path>, root: &Root) -> Result<OwnedFd, StoreError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let path = match base {
        Some(base) => base.join(root.path.trim_start_matches('/')),
        None => PathBuf::from(root.path),
    };
    let directory = nix::fcntl::open(&path, flags, Mode::empty())
        .map_err(|error| StoreError::from(io::Error::from(error)))?;
    if base.is_none() {
        let found = fstatfs(&directory).map_err(io::Error::from)?.filesystem_type();
        if found != magic(root.filesystem) {
            return Err(StoreError::NotMounted(format!(
                "{} is not mounted on {}: mount it first",
                name(root.filesystem),
                root.path
            )));
        }
    }
    Ok(directory)
}

fn magic(filesystem: Filesystem) -> FsType {
    match filesystem {
        Filesystem::Proc => PROC_SUPER_MAGIC,
        Filesystem::Sysfs => SYSFS_MAGIC,
        Filesystem::Debugfs => DEBUGFS_MAGIC,
        Filesystem::Cgroup2 => CGROUP2_SUPER_MAGIC,
    }
}

fn name(filesystem: Filesystem) -> &'static str {
    match filesystem {
        Filesystem::Proc => "procfs",
        Filesystem::Sysfs => "sysfs",
        Filesystem::Debugfs => "debugfs",
        Filesystem::Cgroup2 => "cgroup v2",
    }
}

impl Store for Files {
    fn reaches(&self, target: &Target) -> bool {
        matches!(target, Target::File(_))
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        let Target::File(path) = target else { return Err(StoreError::OutOfReach) };
        let mut room = std::mem::take(&mut self.room);
        room.resize(ROOM, 0);
        let text = self.read_whole(path, &mut room);
        // What few values need is not kept for all.
        room.truncate(ROOM);
        room.shrink_to(ROOM);
        self.room = room;
        text
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        let Target::File(path) = target else { return Err(StoreError::OutOfReach) };
        if value.len() > MAX_VALUE {
            return Err(StoreError::TooLong(MAX_VALUE));
        }
        // The kernel's files have no length of their own; those that stand in for them have.
        let cut = if self.base.is_some() { OFlag::O_TRUNC } else { OFlag::empty() };
        let mut file = self.open(path, OFlag::O_WRONLY | cut)?;
        check_kind(&file)?;
        write_once(&mut file, value)
    }

    fn canonical(&mut self, target: &Target) -> Result<Target, StoreError> {
        let Target::File(path) = target else { return Ok(target.clone()) };
        if !root_of(path).is_some_and(|(root, _)| root.links) {
            return Ok(target.clone());
        }
        let file = self.open(path, OFlag::O_PATH)?;
        let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let beneath = match &self.base {
            Some(base) => real
                .strip_prefix(base.canonicalize()?)
                .map(|rest| Path::new("/").join(rest))
                .map_err(|_| StoreError::OutOfReach)?,
            None => real,
        };
        beneath.into_os_string().into_string().map(Target::File).map_err(|_| StoreError::NotText)
    }
}

/// A device or a FIFO could do anything on being opened for reading; a directory holds no value.
fn check_kind(file: &File) -> Result<(), StoreError> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(StoreError::NotAFile) }
}

/// Reads to the end; none where there may be more than there is room for. `read` is told how much was read
/// before.
fn read_within(
    room: &mut [u8],
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<Option<usize>> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read(rest, filled as u64) {
            Ok(0) => return Ok(Some(filled)),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The text of a value, without the line feed at its end.
fn text_of(bytes: &[u8]) -> Result<String, StoreError> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if text.len() > MAX_VALUE {
        return Err(StoreError::TooLong(MAX_VALUE));
    }
    std::str::from_utf8(text).map(str::to_owned).map_err(|_| StoreError::NotText)
}

/// Writes a line in one call: each call is one value to the kernel, so a rest cannot be sent after it.
/// The line feed makes an empty value one that is written at all.
fn write_once(file: &mut File, value: &str) -> Result<(), StoreError> {
    let line = format!("{value}\n");
    loop {
        match file.write(line.as_bytes()) {
            Ok(taken) if taken >= value.len() => return Ok(()),
            Ok(taken) => return Err(StoreError::Short { taken, bytes: line.len() }),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
