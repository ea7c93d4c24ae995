//! Starts a supervisor in the background.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a supervisor may take until it listens. It takes partitions up again that run already.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at its socket.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes of its log that an error shows.
const TAIL: u64 = 4096;

/// Why no supervisor could be started.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// its directory or log
    #[error("cannot write {}: {error}", .path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// the program
    #[error("cannot start a supervisor: {0}")]
    Start(io::Error),
    /// it ended at once
    #[error("the supervisor ended at once ({status}); the last it wrote to {}:\n{tail}", .log.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// it does not listen
    #[error(
        "the supervisor does not answer at {} after {} s; the last it wrote to {}:\n{tail}",
        .socket.display(), PATIENCE.as_secs(), .log.display()
    )]
    Silent {
        /// Where it should.
        socket: PathBuf,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
}

/// A supervisor to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// The program and its arguments.
    pub argv: Vec<std::ffi::OsString>,
    /// Where it will listen.
    pub socket: PathBuf,
    /// Where it writes its messages.
    pub log: PathBuf,
}

impl Daemon {
    /// Starts it in a session of its own, and waits until it listens.
    ///
    /// # Errors
    ///
    /// Every variant of [`DaemonError`]; a supervisor that does not answer in time is ended.
    pub fn start(&self) -> Result<(), DaemonError> {
        let (log, begin) = self.open_log()?;
        let mut child = self.spawn(log).map_err(DaemonError::Start)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if UnixStream::connect(&self.socket).is_ok() {
                return Ok(());
            }
            if let Some(status) = child.try_wait().map_err(DaemonError::Start)? {
                // Another one may have been faster: then all is well.
                if UnixStream::connect(&self.socket).is_ok() {
                    return Ok(());
                }
                let tail = tail(&self.log, begin);
                return Err(DaemonError::Ended { status, log: self.log.clone(), tail });
            }
            if Instant::now() >= deadline {
                // It may have ended this very moment; there is nothing else to do about it.
                let _ = child.kill();
                let _ = child.wait();
                return Err(DaemonError::Silent {
                    socket: self.socket.clone(),
                    log: self.log.clone(),
                    tail: tail(&self.log, begin),
                });
            }
            sleep(PAUSE);
        }
    }

    fn open_log(&self) -> Result<(File, u64), DaemonError> {
        let failed = |error| DaemonError::Log { path: self.log.clone(), error };
        if let Some(parent) = self.log.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed)?;
        let begin = log.metadata().map_err(failed)?.len();
        Ok((log, begin))
    }

    fn spawn(&self, log: File) -> io::Result<Child> {
        let (program, arguments) = self.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // No terminal's Ctrl-C or hang-up reaches it, and it outlives whoever started this command.
        super::sys::in_own_session(&mut command);
        command.current_dir("/").spawn()
    }
}

/// The last lines that were written to the log after `begin`.
fn tail(log: &Path, begin: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(begin.max(end.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.is_empty() => "    (nothing)".to_owned(),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<_> = text.lines().map(|line| format!("    {line}")).collect();
            lines.join("\n")
        }
        Err(error) => format!("    (it cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(dir: &Path, script: &str) -> Daemon {
        Daemon {
            argv: ["sh", "-c", script].map(Into::into).to_vec(),
            socket: dir.join("api.sock"),
            log: dir.join("run/supervisor.log"),
        }
    }

    #[test]
    fn one_that_dies_is_reported_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = daemon(dir.path(), "echo no such luck >&2; exit 3");
        fs::create_dir(dir.path().join("run")).unwrap();
        fs::write(&daemon.log, "words of an earlier one\n").unwrap();
        let error = daemon.start().unwrap_err().to_string();
        assert!(error.contains("no such luck") && error.contains("exit status: 3"), "{error}");
        assert!(!error.contains("earlier"), "{error}");
    }

    #[test]
    fn one_that_loses_the_race_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = daemon(dir.path(), "sleep 0.1; exit 1");
        let _listener = std::os::unix::net::UnixListener::bind(&daemon.socket).unwrap();
        assert!(daemon.start().is_ok());
    }
}
