//! The PID namespace that all programs live in.
//!
//! reboot(2) outside the first PID namespace does not stop the kernel: it ends that namespace's init
//! with SIGHUP (restart) or SIGINT (halt, power off) (`kernel/pid_namespace.c`). So programs live in
//! a second one, whose init is a stub that reaps orphans, and a program that calls reboot(2) ends the
//! stub: guest-init sees how, and stops the partition in order.
//!
//! Programs share guest-init's mount namespace; only `/proc` is mounted anew for them.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use super::process::Process;
use super::{check, mounts};

/// Makes the namespace and its init. To be called while guest-init has no other thread and no child;
/// all children from then on are born into the namespace. Gives its init.
///
/// # Errors
///
/// A kernel without PID namespaces, or one in which `/proc` cannot be mounted.
pub fn enter() -> io::Result<Process> {
    let (mut reader, mut writer) = io::pipe()?;
    // SAFETY: no memory is involved; it only concerns children that are yet to come.
    check(unsafe { libc::unshare(libc::CLONE_NEWPID) })?;
    // SAFETY: guest-init has one thread, so that its child may do anything.
    let child = check(unsafe { libc::fork() })?;
    if child == 0 {
        drop(reader);
        let outcome = mounts::mount_proc();
        let code = outcome.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        // Where guest-init is gone so is this process's reason to be.
        let _ = writer.write_all(&code.to_ne_bytes());
        drop(writer);
        be_init();
    }
    drop(writer);
    let mut code = [0; 4];
    reader.read_exact(&mut code)?;
    match i32::from_ne_bytes(code) {
        0 => Process::of_child(child.unsigned_abs()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Reaps orphans for ever, and does what PID 1 is traditionally asked by signal: SIGTERM restarts,
/// SIGUSR1 and SIGUSR2 power off (as BusyBox's tools send them), SIGINT restarts.
fn be_init() -> ! {
    if let Ok(null) = std::fs::File::open("/dev/null") {
        // SAFETY: nothing here uses any descriptor from now on but standard input.
        unsafe {
            libc::dup2(null.as_raw_fd(), 0);
            libc::close_range(1, libc::c_uint::MAX, 0);
        }
        // It has been closed with the others.
        std::mem::forget(null);
    }
    // SAFETY: the set is initialised by sigemptyset before it is used; all calls take pointers to
    // locals. Blocked signals are kept for sigwait even though this is an init without handlers.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"init".as_ptr());
        libc::setsid();
        let mut signals = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGUSR1, libc::SIGUSR2] {
            libc::sigaddset(&mut signals, signal);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &signals, std::ptr::null_mut());
        loop {
            let mut signal = 0;
            libc::sigwait(&signals, &mut signal);
            match signal {
                // Both end this process with the signal that guest-init looks for.
                libc::SIGTERM | libc::SIGINT => drop(libc::reboot(libc::RB_AUTOBOOT)),
                libc::SIGUSR1 | libc::SIGUSR2 => drop(libc::reboot(libc::RB_POWER_OFF)),
                _ => while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {},
            }
        }
    }
}
