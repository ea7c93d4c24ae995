//! What a new process does before it runs its program.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the program lead a session of its own.
pub fn in_own_session(command: &mut Command) {
    // SAFETY: the closure runs in the child between fork and exec. It calls setsid(2) alone, which
    // is async-signal-safe (signal-safety(7)), and allocates nothing: an error is made of a number.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from));
    }
}
