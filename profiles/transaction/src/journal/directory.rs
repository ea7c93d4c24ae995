//! A journal's directory on disk, which one engine at a time has.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

use super::storage::Storage;

/// The file whose lock is held as long as the directory is in use.
const LOCK: &str = "lock";
/// More files than this are not a journal's.
const MAX_FILES: usize = 100_000;

/// Why a directory cannot be used.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another engine has it.
    #[error(
        "{directory} is in use{by}: settings are changed by one program at a time; try again when it has finished"
    )]
    Busy {
        /// Which directory.
        directory: PathBuf,
        /// Who has it, as far as that is known.
        by: String,
    },
    /// The file system failed.
    #[error("{directory} cannot hold the journal: {error}")]
    Io {
        /// Which directory.
        directory: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A directory, locked.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: File,
    _lock: Flock<File>,
}

impl Directory {
    /// Takes a directory, which is made if there is none. The lock goes with this value or with the
    /// process, however that ends.
    ///
    /// # Errors
    ///
    /// If another engine has it, or the file system fails.
    pub fn lock(path: &Path) -> Result<Self, LockError> {
        let failed = |error| LockError::Io { directory: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(failed)?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((mut file, nix::Error::EWOULDBLOCK)) => {
                return Err(LockError::Busy { directory: path.to_owned(), by: holder(&mut file) });
            }
            Err((_, error)) => return Err(failed(error.into())),
        };
        // For the message above only: what counts is the lock. Always as long, in place: file systems take a
        // file that was cut off for one that is being replaced, and write it to disk at once.
        lock.write_all(format!("{:<10}\n", std::process::id()).as_bytes()).map_err(failed)?;
        let handle = File::open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), handle, _lock: lock })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(16).read_to_string(&mut text).map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!(" by process {pid}"),
        _ => String::new(),
    }
}

impl Storage for Directory {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)?.take(MAX_FILES) {
            // Names that are no text are none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&mut self, name: &str, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = limit as u64;
        File::open(self.path.join(name))?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path.join(name))?
            .write_all(bytes)
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.set_len(at)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        File::open(self.path.join(name))?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_engine_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Directory::lock(folder.path()).unwrap();
        let refused = Directory::lock(folder.path()).unwrap_err();
        assert!(
            refused.to_string().contains(&format!("by process {}", std::process::id())),
            "{refused}"
        );
        drop(first);
        Directory::lock(folder.path()).unwrap();
    }

    #[test]
    fn appending_cuts_what_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::lock(folder.path()).unwrap();
        directory.write("a", b"whole torn").unwrap();
        directory.append("a", 6, b"new").unwrap();
        directory.sync("a").unwrap();
        assert_eq!(directory.read("a", 9).unwrap(), b"whole new");
        assert_eq!(directory.read("a", 8).unwrap_err().kind(), ErrorKind::FileTooLarge);
        directory.rename("a", "b").unwrap();
        directory.sync_directory().unwrap();
        assert_eq!(directory.list().unwrap(), ["b", "lock"]);
    }
}
