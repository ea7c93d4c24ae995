//! The folder in which a user's rigs are found by name.
//!
//! Each rig has a folder of its own below [`StateDir`], and in it a lock that its keeper holds for as
//! long as it lives. A folder whose lock is free belongs to nobody and is removed by whoever comes
//! along. Making and removing folders happens under one lock of the whole [`StateDir`].

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::spec::RigName;

/// `sun_path` of `sockaddr_un` (unix(7)), its NUL not counted.
const MAX_SOCKET_PATH: usize = 107;

/// Why the folder of rigs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// a file operation
    #[error("cannot {what} {}: {error}", .path.display())]
    Io {
        /// what was tried
        what: &'static str,
        /// on what
        path: PathBuf,
        /// why it failed
        error: io::Error,
    },
    /// somebody else could put sockets there
    #[error(
        "{} belongs to user {owner}, not to you: remove it, or set XDG_RUNTIME_DIR to a folder of your own",
        .path.display()
    )]
    Foreign {
        /// the folder
        path: PathBuf,
        /// who owns it
        owner: u32,
    },
    /// sockets in it could not be named
    #[error(
        "{} is too long for a socket's address (at most {MAX_SOCKET_PATH} bytes): set XDG_RUNTIME_DIR to a shorter one",
        .0.display()
    )]
    TooLong(PathBuf),
    /// a rig of that name runs
    #[error("a rig named `{0}` runs already: stop it, or choose another name")]
    Running(RigName),
    /// no rig of that name runs
    #[error("no rig named `{0}` runs")]
    NotRunning(RigName),
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |error| StateError::Io { what, path: path.to_owned(), error }
}

/// The folder of all rigs of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir(PathBuf);

/// The folder of one rig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RigDir(PathBuf);

impl StateDir {
    /// `$XDG_RUNTIME_DIR/partitiond/rigs`, or `/tmp/partitiond-UID/rigs` where that is not set. Made
    /// with mode 0700 where it is missing.
    ///
    /// # Errors
    ///
    /// Where it cannot be made, or belongs to somebody else.
    pub fn of_user() -> Result<Self, StateError> {
        let uid = nix::unistd::getuid();
        let base = match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(folder) if Path::new(&folder).is_absolute() => {
                PathBuf::from(folder).join("partitiond")
            }
            _ => PathBuf::from(format!("/tmp/partitiond-{uid}")),
        };
        own_folder(&base)?;
        Self::at(&base.join("rigs"))
    }

    /// This folder. Made with mode 0700 where it is missing; its parent must exist.
    ///
    /// # Errors
    ///
    /// As [`StateDir::of_user`].
    pub fn at(path: &Path) -> Result<Self, StateError> {
        own_folder(path)?;
        // The longest name, and the longest socket name in a rig's folder.
        if path.as_os_str().len() + "/".len() + 32 + "/sock".len() > MAX_SOCKET_PATH {
            return Err(StateError::TooLong(path.to_owned()));
        }
        Ok(Self(path.to_owned()))
    }

    /// Keeps others from making and removing folders for as long as the file is open.
    fn lock(&self) -> Result<File, StateError> {
        let path = self.0.join(".lock");
        let file = open_lock(&path)?;
        fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file()))
            .map_err(|error| io_error("lock", &path)(error.into()))?;
        Ok(file)
    }

    /// Makes the folder of a new rig and gives the lock that whoever keeps it must hold.
    ///
    /// # Errors
    ///
    /// [`StateError::Running`] where that name is taken.
    pub fn claim(&self, name: &RigName) -> Result<(RigDir, OwnedFd), StateError> {
        let _all = self.lock()?;
        let rig = self.dir(name);
        if rig.is_kept()? {
            return Err(StateError::Running(name.clone()));
        }
        rig.remove()?;
        make_folder(&rig.0)?;
        let path = rig.lock_file();
        let file = open_lock(&path)?;
        fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file()))
            .map_err(|error| io_error("lock", &path)(error.into()))?;
        Ok((rig, file.into()))
    }

    /// The folder of a rig that runs.
    ///
    /// # Errors
    ///
    /// [`StateError::NotRunning`] where there is none.
    pub fn find(&self, name: &RigName) -> Result<RigDir, StateError> {
        let rig = self.dir(name);
        if rig.is_kept()? { Ok(rig) } else { Err(StateError::NotRunning(name.clone())) }
    }

    /// The rigs that run, by name. What dead ones left is removed.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be read or cleaned.
    pub fn list(&self) -> Result<Vec<(RigName, RigDir)>, StateError> {
        let _all = self.lock()?;
        let mut rigs = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(io_error("read", &self.0))? {
            let entry = entry.map_err(io_error("read", &self.0))?;
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let rig = self.dir(&name);
            if rig.is_kept()? {
                rigs.push((name, rig));
            } else {
                rig.remove()?;
            }
        }
        rigs.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(rigs)
    }

    fn dir(&self, name: &RigName) -> RigDir {
        RigDir(self.0.join(name.to_string()))
    }
}

impl RigDir {
    /// The folder that a keeper was told to use.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where clients connect.
    pub fn socket(&self) -> PathBuf {
        self.0.join("sock")
    }

    /// QEMU's machine protocol.
    pub fn qmp(&self) -> PathBuf {
        self.0.join("qmp")
    }

    /// The [`crate::RigSpec`] as JSON.
    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// The keeper's process id.
    pub fn pid(&self) -> PathBuf {
        self.0.join("pid")
    }

    /// What the machine wrote to its first serial port.
    pub fn console(&self) -> PathBuf {
        self.0.join("console.log")
    }

    /// What QEMU itself and the keeper had to say.
    pub fn messages(&self) -> PathBuf {
        self.0.join("messages.log")
    }

    /// Accesses that were traced, see [`crate::trace`].
    pub fn trace(&self) -> PathBuf {
        self.0.join("trace.log")
    }

    fn lock_file(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Whether somebody holds the lock.
    fn is_kept(&self) -> Result<bool, StateError> {
        let path = self.lock_file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        let mut found = whole_file();
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found))
            .map_err(|error| io_error("look at the lock", &path)(error.into()))?;
        Ok(i32::from(found.l_type) != libc::F_UNLCK)
    }

    /// Removes the folder and all that is in it.
    ///
    /// # Errors
    ///
    /// Where a file in it cannot be removed.
    pub fn remove(&self) -> Result<(), StateError> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &self.0)(error))
            }
            _ => Ok(()),
        }
    }
}

/// A lock that belongs to the open file, not to the process (fcntl(2), "open file description
/// locks"): it goes with a descriptor that is passed on, and ends when the last copy is closed.
fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn open_lock(path: &Path) -> Result<File, StateError> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(io_error("open", path))
}

fn make_folder(path: &Path) -> Result<(), StateError> {
    DirBuilder::new().mode(0o700).create(path).map_err(io_error("make", path))
}

fn own_folder(path: &Path) -> Result<(), StateError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io_error("make", path)(error));
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(path).map_err(io_error("look at", path))?;
    if metadata.uid() != nix::unistd::getuid().as_raw() || !metadata.is_dir() {
        return Err(StateError::Foreign { path: path.to_owned(), owner: metadata.uid() });
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .map_err(io_error("close to others", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, StateDir) {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::at(&folder.path().join("rigs")).unwrap();
        (folder, state)
    }

    #[test]
    fn a_name_is_taken_once() {
        let (_folder, state) = state();
        let name: RigName = "demo".parse().unwrap();
        let (dir, lock) = state.claim(&name).unwrap();
        assert!(matches!(state.claim(&name), Err(StateError::Running(_))));
        assert_eq!(state.list().unwrap(), [(name.clone(), dir)]);
        drop(lock);
        assert!(matches!(state.find(&name), Err(StateError::NotRunning(_))));
        state.claim(&name).unwrap();
    }

    #[test]
    fn what_a_dead_keeper_left_is_removed() {
        let (_folder, state) = state();
        let name: RigName = "demo".parse().unwrap();
        let (dir, lock) = state.claim(&name).unwrap();
        fs::write(dir.socket(), "").unwrap();
        drop(lock);
        assert_eq!(state.list().unwrap(), []);
        assert!(!dir.path().exists());
    }

    #[test]
    fn a_folder_too_deep_for_sockets_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a".repeat(90));
        assert!(matches!(StateDir::at(&deep), Err(StateError::TooLong(_))));
    }
}
