//! Pseudo-terminals.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use protocol::TerminalSize;

use super::check;

/// Makes a terminal: our end, which does not block, and the program's, which belongs to `uid`.
///
/// # Errors
///
/// What the kernel says, ENOSPC where there are too many.
pub fn open(size: TerminalSize, uid: u32) -> io::Result<(File, OwnedFd)> {
    let master = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open("/dev/ptmx")?;
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int, which lives through the call.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlocked) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags and gives a descriptor.
    let fd = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    // SAFETY: just opened, and nobody else knows it.
    let slave = unsafe { OwnedFd::from_raw_fd(fd) };
    resize(&master, size)?;
    if uid != 0 {
        // Without it the program cannot open /dev/tty's path by name, but runs all the same.
        let _ = std::os::unix::fs::fchown(&slave, Some(uid), None);
    }
    Ok((master, slave))
}

/// Gives a terminal another size; its foreground programs get SIGWINCH.
///
/// # Errors
///
/// What ioctl(2) says.
pub fn resize(master: &File, size: TerminalSize) -> io::Result<()> {
    let size =
        libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one `winsize`, which lives through the call.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &size) })?;
    Ok(())
}
