//! The few calls that need `unsafe` or end the machine.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::pty::Winsize;
use nix::sys::reboot::{RebootMode, reboot};
use rig::wire::TerminalSize;

nix::ioctl_write_int_bad!(tiocsctty, libc::TIOCSCTTY);
nix::ioctl_write_ptr_bad!(tiocswinsz, libc::TIOCSWINSZ, Winsize);

/// Has the program start a session of its own, with its standard input as controlling terminal where
/// `terminal` says that it is one. The session is what a vanished client takes down.
pub fn own_session(command: &mut Command, terminal: bool) {
    let prepare = move || {
        nix::unistd::setsid()?;
        if terminal {
            // SAFETY: descriptor 0 is the terminal that `Command` has just put there; the call takes
            // an integer and touches no memory of ours.
            unsafe { tiocsctty(0, 0) }?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe system calls are made (setsid, ioctl), and
    // nothing is allocated.
    unsafe { command.pre_exec(prepare) };
}

/// A terminal size as the kernel takes it.
pub fn winsize(size: TerminalSize) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Gives a terminal another size.
pub fn resize(terminal: &impl AsFd, size: TerminalSize) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and the structure outlives the
    // call, which only reads it.
    unsafe { tiocswinsz(terminal.as_fd().as_raw_fd(), &winsize(size)) }?;
    Ok(())
}

/// Writes back what is cached and powers the machine off; returns only where the kernel refuses.
pub fn power_off() {
    nix::unistd::sync();
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    eprintln!("rig-agent: cannot power off: {error}");
}
