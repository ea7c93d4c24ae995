//! Root file systems.

mod minimal;

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use protocol::image::{self, ImageConfig};

use crate::archive::{self, ArchiveError, Whiteouts};
use crate::compress::{self, CompressError};
use crate::cpio::{Meta, Special};
use crate::oci::OciError;
use crate::progress::Progress;
use crate::tree::{Tree, TreeError};
pub use minimal::{APPLETS, minimal, minimal_of};

/// Why there is no root file system.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// Something on this machine cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// A name on this machine that is not UTF-8.
    #[error("{0:?} has a name that is not UTF-8; rename it")]
    Name(PathBuf),
    /// busybox or guest-init needs libraries.
    #[error("{0} is not a static program for x86-64; a partition has no libraries for it")]
    NotStatic(String),
    /// A tar archive.
    #[error("{0}: {1}")]
    Archive(PathBuf, ArchiveError),
    /// A packed tar archive.
    #[error("{0}: {1}")]
    Packing(PathBuf, CompressError),
    /// An OCI image.
    #[error("{0}: {1}")]
    Oci(PathBuf, OciError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

fn meta(metadata: &Metadata) -> Meta {
    Meta { mode: metadata.permissions().mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() }
}

/// Adds all that is in directory `source` of this machine below `target`. Owners and modes are kept;
/// sockets are left out and noted; links are links.
///
/// # Errors
///
/// [`RootfsError::Read`], [`RootfsError::Name`] and [`RootfsError::Tree`].
pub fn add_directory(
    source: &Path,
    target: &str,
    tree: &mut Tree,
    progress: &dyn Progress,
) -> Result<(), RootfsError> {
    let read = |path: &Path, error| RootfsError::Read(path.to_owned(), error);
    let top = fs::metadata(source).map_err(|error| read(source, error))?;
    if !top.is_dir() {
        return Err(read(source, io::ErrorKind::NotADirectory.into()));
    }
    tree.directory(target, meta(&top))?;
    // Files with several names: where the first was put.
    let mut linked: HashMap<(u64, u64), String> = HashMap::new();
    let mut waiting = vec![(source.to_owned(), target.to_owned())];
    while let Some((directory, below)) = waiting.pop() {
        let entries = fs::read_dir(&directory).map_err(|error| read(&directory, error))?;
        let mut entries: Vec<_> =
            entries.collect::<Result<_, _>>().map_err(|error| read(&directory, error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name().into_string();
            let name = name.map_err(|_| RootfsError::Name(path.clone()))?;
            let put = format!("{below}/{name}");
            let data = fs::symlink_metadata(&path).map_err(|error| read(&path, error))?;
            let kind = data.file_type();
            if kind.is_dir() {
                tree.directory(&put, meta(&data))?;
                waiting.push((path, put));
            } else if data.nlink() > 1 && linked.contains_key(&(data.dev(), data.ino())) {
                let first = linked.get(&(data.dev(), data.ino())).cloned().unwrap_or_default();
                tree.hard_link(&put, &first)?;
            } else {
                linked.insert((data.dev(), data.ino()), put.clone());
                add_entry(tree, &put, path, &data, progress)?;
            }
        }
    }
    Ok(())
}

fn add_entry(
    tree: &mut Tree,
    put: &str,
    path: PathBuf,
    data: &Metadata,
    progress: &dyn Progress,
) -> Result<(), RootfsError> {
    let kind = data.file_type();
    let (major, minor) =
        (nix::sys::stat::major(data.rdev()) as u32, nix::sys::stat::minor(data.rdev()) as u32);
    let meta = meta(data);
    if kind.is_file() {
        tree.host_file(put, meta, path, data.len())?;
    } else if kind.is_symlink() {
        let link = fs::read_link(&path).map_err(|error| RootfsError::Read(path.clone(), error))?;
        let link = link.to_str().ok_or(RootfsError::Name(path))?;
        tree.symlink(put, link, meta)?;
    } else if kind.is_char_device() {
        tree.special(put, Special::Character { major, minor }, meta)?;
    } else if kind.is_block_device() {
        tree.special(put, Special::Block { major, minor }, meta)?;
    } else if kind.is_fifo() {
        tree.special(put, Special::Fifo, meta)?;
    } else {
        progress.note(&format!("left out {}: a socket", path.display()));
    }
    Ok(())
}

/// Reads a tar archive, packed or not.
///
/// # Errors
///
/// [`RootfsError::Read`], [`RootfsError::Packing`] and [`RootfsError::Archive`].
pub fn add_tar(path: &Path, tree: &mut Tree) -> Result<(), RootfsError> {
    let file = File::open(path).map_err(|error| RootfsError::Read(path.to_owned(), error))?;
    let (_, reader) = compress::detecting_reader(file)
        .map_err(|error| RootfsError::Packing(path.to_owned(), error))?;
    archive::read(reader, tree, Whiteouts::Plain, &|_| true)
        .map_err(|error| RootfsError::Archive(path.to_owned(), error))
}

/// Puts guest-init and the image's configuration where the kernel and guest-init look for them, over
/// whatever a root file system has there, and the directories that guest-init mounts on.
///
/// # Errors
///
/// [`RootfsError::NotStatic`], [`RootfsError::Read`] and [`RootfsError::Tree`].
pub fn add_guest(
    tree: &mut Tree,
    guest_init: &Path,
    configuration: &ImageConfig,
) -> Result<(), RootfsError> {
    tree.remove(image::DIRECTORY)?;
    tree.directory(image::DIRECTORY, Meta::root(0o700))?;
    let program =
        fs::read(guest_init).map_err(|error| RootfsError::Read(guest_init.to_owned(), error))?;
    check_static(&program, &guest_init.display().to_string())?;
    tree.bytes(image::INIT, Meta::root(0o755), &program)?;
    let mut json = serde_json::to_vec_pretty(configuration)
        .map_err(|error| RootfsError::Read(guest_init.to_owned(), error.into()))?;
    json.push(b'\n');
    tree.bytes(image::CONFIGURATION, Meta::root(0o644), &json)?;
    for (name, mode) in
        [("proc", 0o555), ("sys", 0o555), ("dev", 0o755), ("run", 0o755), ("tmp", 0o1777)]
    {
        if tree.lookup(name)?.is_none() {
            tree.directory(name, Meta::root(mode))?;
        }
    }
    Ok(())
}

/// Checks that a program needs no libraries.
fn check_static(program: &[u8], name: &str) -> Result<(), RootfsError> {
    match crate::elf::needs_interpreter(program) {
        Ok(false) => Ok(()),
        Ok(true) | Err(_) => Err(RootfsError::NotStatic(name.to_owned())),
    }
}
