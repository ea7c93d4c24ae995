//! Latencies that last as long as somebody holds a device file open
//! (`Documentation/power/pm_qos_interface.rst`).
//!
//! A [holder](crate::sandbox) holds it: a process of its own that does nothing else, and outlives whoever
//! started it. What it holds reads as microseconds, and `none` where nobody does. Which process it is, and
//! what it holds, nobody writes down: it has a lock on a file beside the journal, at the byte whose number
//! is the latency, and the kernel says who has a lock. A holder that is killed has none.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};

use crate::plan::Target;
use crate::sandbox::{HOLD, Launch};
use crate::store::{Store, StoreError};

/// What can be held, below `/dev`.
const NAMES: [&str; 1] = ["cpu_dma_latency"];
/// What reads and is written where nobody holds it.
const NONE: &str = "none";
/// How long a holder that is killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Device files that are held open by holders.
#[derive(Debug, Clone)]
pub struct Held {
    /// Where their locks are.
    directory: PathBuf,
    /// Where the device files are.
    devices: PathBuf,
    launch: Launch,
}

/// A process that holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder {
    process: i32,
    latency: i64,
}

impl Held {
    /// The running kernel's, with the locks of holders in this directory.
    pub fn new(directory: impl Into<PathBuf>, launch: Launch) -> Self {
        Self { directory: directory.into(), devices: "/dev".into(), launch }
    }

    /// With device files elsewhere, for tests.
    #[must_use]
    pub fn with_devices(mut self, devices: impl Into<PathBuf>) -> Self {
        self.devices = devices.into();
        self
    }

    fn lock(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.holder"))
    }

    /// A holder of a latency among these; `length` 0 stands for all from `from` on.
    fn holder(&self, name: &str, from: i64, length: i64) -> io::Result<Option<Holder>> {
        let file = match File::options().read(true).write(true).open(self.lock(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut range = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: from,
            l_len: length,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_GETLK(&mut range))?;
        let is_free = range.l_type == libc::F_UNLCK as libc::c_short;
        Ok((!is_free).then_some(Holder { process: range.l_pid, latency: range.l_start }))
    }

    /// Ends all holders but those of this latency.
    fn end_others(&self, name: &str, kept: Option<i64>) -> Result<(), StoreError> {
        let begun = Instant::now();
        let ranges = match kept {
            None => vec![(0, 0)],
            // Length 0 would be all there is.
            Some(0) => vec![(1, 0)],
            Some(kept) => vec![(0, kept), (kept.saturating_add(1), 0)],
        };
        for (from, length) in ranges {
            while let Some(holder) = self.holder(name, from, length)? {
                if begun.elapsed() > PATIENCE {
                    let process = holder.process;
                    return Err(StoreError::Writer(format!(
                        "process {process} holds /dev/{name} and does not end"
                    )));
                }
                self.end(name, holder)?;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// Kills a holder. A process that has its number by now has no such lock, and is left alone.
    fn end(&self, name: &str, holder: Holder) -> io::Result<()> {
        // SAFETY: a plain system call with numbers; it gives a descriptor or an error.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, holder.process, 0) };
        let Ok(fd) = i32::try_from(fd).map_err(io::Error::other) else { return Ok(()) };
        if fd < 0 {
            // Gone already, or in another world than we are.
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) };
        }
        // SAFETY: just opened, and nobody else knows it.
        let process = unsafe { OwnedFd::from_raw_fd(fd) };
        if self.holder(name, holder.latency, 1)? != Some(holder) {
            return Ok(());
        }
        // SAFETY: the descriptor is open; no memory is involved.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                process.as_raw_fd(),
                libc::SIGKILL,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn start(&self, name: &str, latency: i64) -> Result<(), StoreError> {
        let cannot =
            |why: String| StoreError::Writer(format!("nobody can hold /dev/{name}: {why}"));
        let mut starter = Command::new(&self.launch.program)
            .arg(HOLD)
            .arg(self.devices.join(name))
            .arg(latency.to_string())
            .arg(self.lock(name))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| cannot(error.to_string()))?;
        let mut said = String::new();
        let heard = match starter.stdout.take() {
            Some(from) => BufReader::new(from).read_line(&mut said).map(|_| ()),
            None => Ok(()),
        };
        // Fails where PID 1 has reaped it already.
        let _ = starter.wait();
        heard.map_err(|error| cannot(error.to_string()))?;
        match said.trim() {
            "held" => Ok(()),
            "" => Err(cannot("its process said nothing".to_owned())),
            why => Err(cannot(why.to_owned())),
        }
    }

    fn name<'t>(&self, target: &'t Target) -> Result<&'t str, StoreError> {
        let Target::Held(name) = target else { return Err(StoreError::OutOfReach) };
        if !NAMES.contains(&name.as_str()) {
            return Err(StoreError::OutOfReach);
        }
        if !self.devices.join(name).exists() {
            return Err(StoreError::Unsupported(format!("this kernel has no /dev/{name}")));
        }
        Ok(name)
    }
}

impl Store for Held {
    fn reaches(&self, target: &Target) -> bool {
        matches!(target, Target::Held(name) if NAMES.contains(&name.as_str()))
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        let name = self.name(target)?;
        let holder = self.holder(name, 0, 0)?;
        Ok(holder.map_or_else(|| NONE.to_owned(), |holder| holder.latency.to_string()))
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        let name = self.name(target)?;
        if value == NONE {
            return self.end_others(name, None);
        }
        let latency: i32 = value.parse().ok().filter(|latency| *latency >= 0).ok_or_else(|| {
            StoreError::Unsupported(format!("`{value}` is no number of microseconds"))
        })?;
        let latency = i64::from(latency);
        // The new one first, so that nobody sleeps deeply between the two.
        if self.holder(name, latency, 1)?.is_none() {
            self.start(name, latency)?;
        }
        self.end_others(name, Some(latency))
    }
}
