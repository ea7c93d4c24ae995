//! Starting, signalling and reaping programs.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use protocol::ExitStatus;

use super::check;
use crate::program::Program;

/// What a program gets as standard input, output and error.
pub type Streams = [Stdio; 3];

/// A program that runs; it leads a session and a process group of its own.
#[derive(Debug)]
pub struct Process {
    pid: libc::pid_t,
    /// Readable once the program has ended.
    pub pidfd: OwnedFd,
}

/// Starts a program. With `terminal` standard input is one and becomes the controlling terminal.
/// `cgroup`: the group's `cgroup.procs`.
///
/// # Errors
///
/// What fork(2), chdir(2), setuid(2) or execve(2) say.
pub fn spawn(
    program: &Program,
    streams: Streams,
    terminal: bool,
    cgroup: Option<&File>,
) -> io::Result<Process> {
    let [stdin, stdout, stderr] = streams;
    let mut command = Command::new(&program.executable);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(program.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&program.cwd)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr);
    let groups = program.credentials.groups.clone();
    let (uid, gid) = (program.credentials.uid, program.credentials.gid);
    let cgroup = cgroup.map(AsRawFd::as_raw_fd);
    // SAFETY: the closure makes system calls only, which are safe between fork and exec; the cgroup's
    // descriptor stays open while `spawn` runs.
    unsafe { command.pre_exec(move || prepare(terminal, cgroup, uid, gid, &groups)) };
    // Whoever started it reaps it by its process id.
    let child = command.spawn()?;
    Process::of_child(child.id())
}

/// Runs in the child, before the program. Nothing here may allocate.
fn prepare(
    terminal: bool,
    cgroup: Option<RawFd>,
    uid: u32,
    gid: u32,
    groups: &[u32],
) -> io::Result<()> {
    // SAFETY: system calls on numbers, on constant strings and on the slice given.
    unsafe {
        // What whoever started guest-init ignores (a shell ignores SIGINT for what it puts in the
        // background), the program must not: nobody could interrupt it. Of SIGKILL and SIGSTOP this
        // fails, which is as well.
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        check(libc::setsid())?;
        if terminal {
            check(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
        }
        if let Some(cgroup) = cgroup {
            // 0 is the writer itself. A full group refuses here, with EAGAIN.
            check(libc::write(cgroup, c"0".as_ptr().cast(), 1) as libc::c_int)?;
        }
        // guest-init is spared by the OOM killer, its children are not.
        let adjust = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY);
        if adjust >= 0 {
            libc::write(adjust, c"0".as_ptr().cast(), 1);
            libc::close(adjust);
        }
        // Only root can, and only root must.
        if libc::geteuid() == 0 {
            check(libc::setgroups(groups.len(), groups.as_ptr()))?;
            check(libc::setgid(gid))?;
            check(libc::setuid(uid))?;
        } else if libc::geteuid() != uid {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
    }
    Ok(())
}

impl Process {
    /// A child that has not been reaped.
    ///
    /// # Errors
    ///
    /// What pidfd_open(2) says.
    pub fn of_child(pid: u32) -> io::Result<Self> {
        // 0, 1 and everything below mean other processes than one child to kill(2).
        let pid = libc::pid_t::try_from(pid)
            .ok()
            .filter(|pid| *pid > 1)
            .ok_or(io::ErrorKind::InvalidData)?;
        // SAFETY: takes numbers. The child has not been reaped, so the id is still its own.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = check(RawFd::try_from(fd).unwrap_or(-1))?;
        // SAFETY: just opened (pidfds are always close-on-exec), and nobody else knows it.
        Ok(Self { pid, pidfd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Ends the process at once; the init of a PID namespace takes all others in it along.
    pub fn kill(&self) {
        // SAFETY: takes numbers. The process has not been reaped, so the id is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// The process id as guest-init sees it.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Sends a signal to the program's process group. Only before it has been reaped: afterwards the
    /// number may be another's.
    pub fn signal(&self, signal: u8) {
        // SAFETY: takes numbers. It fails where nobody is left, which is as well.
        unsafe { libc::kill(-self.pid, libc::c_int::from(signal)) };
    }

    /// How the program ended, `None` while it runs. It is reaped by this.
    pub fn try_wait(&self) -> Option<ExitStatus> {
        let mut status = 0;
        // SAFETY: writes one int, which lives through the call.
        let result = unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
        match result {
            0 => None,
            pid if pid > 0 => Some(exit_status(status)),
            // Somebody else has reaped it: it cannot be told how it ended.
            _ => Some(ExitStatus::Code(255)),
        }
    }
}

/// Reaps children that nobody knows, as PID 1 must. `known` says who is somebody's.
pub fn reap_strays(known: impl Fn(u32) -> bool) {
    loop {
        // SAFETY: zeros are a valid `siginfo_t`, and waitid writes one.
        let pid = unsafe {
            let mut information: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            if libc::waitid(libc::P_ALL, 0, &mut information, options) != 0 {
                return;
            }
            information.si_pid()
        };
        // The first one that is known will be reaped by who knows it; strays behind it wait for the
        // next time.
        if pid == 0 || known(pid.unsigned_abs()) {
            return;
        }
        // SAFETY: takes numbers and no pointer. The child waits to be reaped.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
    }
}

fn exit_status(status: libc::c_int) -> ExitStatus {
    if libc::WIFSIGNALED(status) {
        ExitStatus::Signal(libc::WTERMSIG(status) as u8)
    } else {
        ExitStatus::Code(libc::WEXITSTATUS(status) as u8)
    }
}
