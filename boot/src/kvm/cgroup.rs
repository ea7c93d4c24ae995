//! The control group of a virtual machine's process (Documentation/admin-guide/cgroup-v2.rst).
//!
//! What is in it is known to the kernel, and a process without capabilities cannot leave it: who ends all of a
//! group has ended the virtual machine, whatever its process says of itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long processes may take to end that are killed: the kernel frees their memory on the way.
const ENDING: Duration = Duration::from_secs(20);

/// Why a control group cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// a file or directory of it
    #[error(
        "the control group {} cannot be {action} (control groups v2 are needed at /sys/fs/cgroup)",
        path.display()
    )]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// processes that do not end
    #[error("the processes in {} did not end within {} s", path.display(), ENDING.as_secs())]
    Remains {
        /// The group.
        path: PathBuf,
    },
}

/// Makes the group, and the one that it is in.
///
/// # Errors
///
/// [`CgroupError`] where there are no control groups v2, or we may not.
pub fn create(path: &Path) -> Result<(), CgroupError> {
    for path in path.parent().into_iter().chain([path]) {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(path, "made")(error));
            }
            _ => {}
        }
    }
    // A directory of that name could be made anywhere else.
    let procs = path.join("cgroup.procs");
    fs::metadata(&procs).map(drop).map_err(failed(&procs, "found"))
}

/// Puts a process in.
///
/// # Errors
///
/// [`CgroupError`] where the kernel refuses.
pub fn enter(path: &Path, process: u32) -> Result<(), CgroupError> {
    let procs = path.join("cgroup.procs");
    fs::write(&procs, process.to_string()).map_err(failed(&procs, "entered"))
}

/// Whether anything runs in it.
pub fn is_empty(path: &Path) -> bool {
    processes(path).is_ok_and(|processes| processes.is_empty())
}

/// Ends all that runs in it, and returns when it has ended. It is no error where it is gone.
///
/// # Errors
///
/// [`CgroupError`] where something does not end.
pub fn end(path: &Path) -> Result<(), CgroupError> {
    until(path, || true)
}

/// Ends all that runs in it and takes it away, and the one that it is in after the last. It is no error where
/// it is gone.
///
/// # Errors
///
/// As [`end`].
pub fn remove(path: &Path) -> Result<(), CgroupError> {
    let mut result = Ok(());
    until(path, || match fs::remove_dir(path) {
        // A process that has ended but was not waited for is not listed any more, and still there.
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => false,
        Err(error) if !gone(&error) => {
            result = Err(failed(path, "removed")(error));
            true
        }
        _ => true,
    })?;
    result?;
    // Others may be in there.
    let _ = path.parent().map(fs::remove_dir);
    Ok(())
}

/// Ends all that runs in it, until nothing does and `done` says so.
fn until(path: &Path, mut done: impl FnMut() -> bool) -> Result<(), CgroupError> {
    let deadline = Instant::now() + ENDING;
    loop {
        let processes = match processes(path) {
            Err(error) if gone(&error) => return Ok(()),
            other => other.map_err(failed(path, "read"))?,
        };
        for process in &processes {
            match kill(Pid::from_raw(*process), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(failed(path, "ended")(error.into())),
            }
        }
        if processes.is_empty() && done() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(CgroupError::Remains { path: path.to_owned() });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes that run in it.
///
/// # Errors
///
/// What read(2) says.
pub fn processes(path: &Path) -> io::Result<Vec<i32>> {
    let text = fs::read_to_string(path.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn gone(error: &io::Error) -> bool {
    // A group that is being taken away while it is read.
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn failed(path: &Path, action: &'static str) -> impl Fn(io::Error) -> CgroupError {
    move |source| CgroupError::File { path: path.to_owned(), action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_control_group_is_refused() {
        let place = std::env::temp_dir().join(format!("no-cgroup-{}", std::process::id()));
        let refused = create(&place.join("one"));
        let _ = fs::remove_dir_all(&place);
        assert!(matches!(refused, Err(CgroupError::File { .. })));
        assert!(remove(&place.join("one")).is_ok(), "what is not there is gone");
    }
}
