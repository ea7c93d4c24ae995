//! The one thing about processes that needs `unsafe`.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;

/// Has the kernel kill the program when the thread that started it ends, however it ends.
pub fn die_with_this_thread(command: &mut Command) {
    let owner = nix::unistd::getpid();
    let prepare = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The owner may have died before the call above; nobody would then send the signal.
        if nix::unistd::getppid() == owner {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
    };
    // SAFETY: between fork and exec only async-signal-safe system calls are made (prctl, getppid), and
    // neither arm allocates.
    unsafe { command.pre_exec(prepare) };
}
