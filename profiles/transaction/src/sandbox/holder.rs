//! The process that holds a device file open: it writes a latency there, and stays.
//!
//! It is a child of a child that has ended, in a session of its own, so that it belongs to nobody: it ends
//! when it is killed, or with the kernel.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, ExitCode};

use nix::fcntl::{FcntlArg, fcntl};

use super::{HOLD_ON, landlock, seccomp};

/// Starts the holder with the same arguments, and leaves it.
pub(super) fn start(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let started = Command::new("/proc/self/exe").arg(HOLD_ON).args(arguments).spawn();
    match started {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Holds, until it is killed.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match hold(&arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever started it may be gone.
            let _ = writeln!(io::stdout(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn hold(arguments: &[OsString]) -> io::Result<()> {
    let [device, latency, lock] = arguments else {
        return Err(io::Error::other("it takes a device file, a latency and a lock"));
    };
    let latency: i32 =
        latency.to_str().and_then(|text| text.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
    // No terminal's Ctrl-C or hang-up reaches it.
    nix::unistd::setsid()?;
    let mut device = File::options().write(true).open(device)?;
    // Four bytes are a number, anything else a text (`cpu_latency_qos_write` in kernel/power/qos.c).
    if device.write(&latency.to_ne_bytes())? != size_of::<i32>() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let lock = File::options().create(true).truncate(false).read(true).write(true).open(lock)?;
    let range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: latency.into(),
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&lock, FcntlArg::F_SETLK(&range))?;
    let (mut never, _to_nobody) = io::pipe()?;
    let nowhere = File::options().write(true).open("/dev/null")?;
    // What it holds needs nothing of the following, and kernels without them are held all the same.
    nix::sys::prctl::set_no_new_privs()?;
    let _ = landlock::restrict(&[]);
    io::stdout().write_all(b"held\n").and_then(|()| io::stdout().flush())?;
    nix::unistd::dup2_stdout(&nowhere)?;
    let _ = seccomp::restrict();
    loop {
        match never.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => return ended.map(|_| ()),
        }
    }
}
