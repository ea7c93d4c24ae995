//! Small files, and file descriptors that do not block.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::check;

/// The most that is read of one file, in bytes: `/proc/interrupts` of 1,024 CPUs fits.
const LARGEST: u64 = 4 * 1024 * 1024;

/// guest-init's own procfs, which stays reachable when the programs' one is mounted over it.
#[derive(Debug)]
pub struct Proc {
    directory: Option<File>,
}

impl Proc {
    /// Whatever is mounted on `/proc` now; where nothing is, everything reads as empty.
    pub fn open() -> Self {
        let directory = File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open("/proc")
            .ok();
        Self { directory }
    }

    /// Reads a file below `/proc` over `text`; empty where it cannot be read.
    pub fn read(&self, path: &str, text: &mut String) {
        text.clear();
        if let Ok(file) = self.open_file(path) {
            // A file that is not UTF-8 counts as one that cannot be read.
            if file.take(LARGEST).read_to_string(text).is_err() {
                text.clear();
            }
        }
    }

    fn open_file(&self, path: &str) -> io::Result<File> {
        let directory = self.directory.as_ref().ok_or(ErrorKind::NotFound)?;
        let path = CString::new(path)?;
        // SAFETY: the path is a C string that lives through the call.
        let fd = check(unsafe {
            libc::openat(directory.as_raw_fd(), path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
        })?;
        // SAFETY: just opened, and nobody else knows it.
        Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

/// A file's text, at most 4 MiB of it; empty where it cannot be read.
pub fn read_or_empty(path: &str) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(path)
        && file.take(LARGEST).read_to_string(&mut text).is_err()
    {
        text.clear();
    }
    text
}

/// Makes reads and writes return at once.
///
/// # Errors
///
/// What fcntl(2) says.
pub fn set_nonblocking(fd: &impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: flags of an open descriptor; no memory is involved.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

/// What a read or write that does not block came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// So many bytes, at least one.
    Bytes(usize),
    /// None now.
    Later,
    /// None ever again.
    End,
}

/// Reads once. An error is the end: EIO is how a terminal ends, and nothing else can be read on.
pub fn read(file: &mut File, into: &mut [u8]) -> Transfer {
    outcome(|| file.read(into))
}

/// Writes once. An error (EPIPE most of all) is the end.
pub fn write(file: &mut File, from: &[u8]) -> Transfer {
    outcome(|| file.write(from))
}

fn outcome(mut transfer: impl FnMut() -> io::Result<usize>) -> Transfer {
    loop {
        return match transfer() {
            Ok(0) => Transfer::End,
            Ok(count) => Transfer::Bytes(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Transfer::Later,
            Err(_) => Transfer::End,
        };
    }
}
