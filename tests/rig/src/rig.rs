//! A rig as its users hold it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use crate::client::{self, ClientError, Output, Running};
use crate::keeper::{self, Event, Failure};
use crate::qemu::{Qmp, QmpError};
use crate::spec::{InvalidTopology, RigName, RigSpec};
use crate::state::{RigDir, StateDir, StateError};
use crate::trace::{self, Access, TraceError};
use crate::wire::{self, Exec, Hello};

/// Who keeps a rig.
#[derive(Debug)]
pub enum KeptBy {
    /// A thread of this process: the rig ends with the [`Rig`], or with the process.
    Thread,
    /// A process of its own, in the background: this command, with the rig's folder as one more
    /// argument, must call [`keeper::keep_as_process`].
    Process(Command),
}

/// What happens while a rig starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// what is done next
    Step(String),
    /// a line of the machine's console
    Console(String),
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(text) | Self::Console(text) => f.write_str(text),
        }
    }
}

/// Why a rig could not be started or found.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// the folder of rigs
    #[error(transparent)]
    State(#[from] StateError),
    /// the CPUs or nodes asked for
    #[error(transparent)]
    Topology(#[from] InvalidTopology),
    /// the keeper could not be started
    #[error("cannot start the keeper of rig `{name}`: {error}")]
    Keeper {
        /// the rig
        name: RigName,
        /// why
        error: io::Error,
    },
    /// the machine did not come up
    #[error("rig `{name}` did not start: {}{}", .failure.reason, last_lines(.failure))]
    NotUp {
        /// the rig
        name: RigName,
        /// what the keeper saw
        failure: Failure,
    },
    /// something done with it
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Lines of the console that an error shows; it holds more.
const SHOWN: usize = 20;

fn last_lines(failure: &Failure) -> String {
    let skipped = failure.console.len().saturating_sub(SHOWN);
    failure.console.iter().skip(skipped).map(|line| format!("\n    {line}")).collect()
}

impl RigError {
    /// What the machine's console showed, as much of it as was kept: more than the message does.
    pub fn console(&self) -> String {
        match self {
            Self::NotUp { failure, .. } => failure.console.join("\n"),
            _ => String::new(),
        }
    }
}

/// A virtual server that runs.
#[derive(Debug)]
pub struct Rig {
    name: RigName,
    dir: RigDir,
    console: File,
    hello: Option<Hello>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Rig {
    /// Starts a rig in the user's own [`StateDir`] and waits until its agent answers.
    ///
    /// # Errors
    ///
    /// Where one of that name runs, or the machine does not come up: the error then holds the last
    /// lines of its console.
    pub fn start(
        spec: &RigSpec,
        kept_by: KeptBy,
        progress: impl FnMut(Progress),
    ) -> Result<Self, RigError> {
        Self::start_in(&StateDir::of_user()?, spec, kept_by, progress)
    }

    /// As [`Rig::start`], in another folder.
    ///
    /// # Errors
    ///
    /// As [`Rig::start`].
    pub fn start_in(
        state: &StateDir,
        spec: &RigSpec,
        kept_by: KeptBy,
        mut progress: impl FnMut(Progress),
    ) -> Result<Self, RigError> {
        spec.topology.check(spec.memory)?;
        let (dir, lock) = state.claim(&spec.name)?;
        let mut starting = Starting::launch(spec, &dir, lock, kept_by).map_err(|error| {
            // The first error is the one to tell.
            let _ = dir.remove();
            RigError::Keeper { name: spec.name.clone(), error }
        })?;
        let failure = loop {
            match wire::read(&mut starting.events) {
                Ok(Event::Step(text)) => progress(Progress::Step(text)),
                Ok(Event::Console(line)) => progress(Progress::Console(line)),
                Ok(Event::Failed(failure)) => break failure,
                Ok(Event::Ready(hello)) => {
                    let console = File::open(dir.console()).map_err(ClientError::from)?;
                    let thread = starting.thread.take();
                    let (name, hello) = (spec.name.clone(), Some(hello));
                    return Ok(Self { name, dir, console, hello, thread });
                }
                Err(error) => {
                    let reason = format!("its keeper ended: {error}");
                    break Failure { reason, console: Vec::new() };
                }
            }
        };
        starting.wait();
        Err(RigError::NotUp { name: spec.name.clone(), failure })
    }

    /// A rig that runs, kept by whomever.
    ///
    /// # Errors
    ///
    /// Where none of that name runs.
    pub fn attach(name: &RigName) -> Result<Self, RigError> {
        Self::attach_in(&StateDir::of_user()?, name)
    }

    /// As [`Rig::attach`], in another folder.
    ///
    /// # Errors
    ///
    /// As [`Rig::attach`].
    pub fn attach_in(state: &StateDir, name: &RigName) -> Result<Self, RigError> {
        let dir = state.find(name)?;
        let console = File::open(dir.console()).map_err(ClientError::from)?;
        Ok(Self { name: name.clone(), dir, console, hello: None, thread: None })
    }

    /// The user's rigs that run. Removes what dead ones left.
    ///
    /// # Errors
    ///
    /// Where the folder of rigs cannot be read.
    pub fn list() -> Result<Vec<RigName>, RigError> {
        let rigs = StateDir::of_user()?.list()?;
        Ok(rigs.into_iter().map(|(name, _)| name).collect())
    }

    /// Its name.
    pub fn name(&self) -> &RigName {
        &self.name
    }

    /// Its folder.
    pub fn dir(&self) -> &RigDir {
        &self.dir
    }

    /// What the agent said when it came up; absent where the rig was attached to.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// A connection to a unix socket inside.
    ///
    /// # Errors
    ///
    /// Where nobody listens there.
    pub fn connect(&self, path: impl AsRef<Path>) -> Result<UnixStream, ClientError> {
        client::connect(&self.dir.socket(), path.as_ref())
    }

    /// Runs a program to its end with no input and gives what it wrote. No shell is involved.
    ///
    /// # Errors
    ///
    /// Where it could not be started; a program that fails is no error here.
    pub fn run<S: Into<String>>(
        &self,
        argv: impl IntoIterator<Item = S>,
    ) -> Result<Output, ClientError> {
        let argv = argv.into_iter().map(Into::into).collect();
        let mut running = self.spawn(Exec { argv, ..Exec::default() })?;
        // Fails where the program could not be started or has ended: its output tells.
        let _ = running.end_input();
        running.output()
    }

    /// Runs a line of shell; see [`Rig::run`].
    ///
    /// # Errors
    ///
    /// As [`Rig::run`].
    pub fn sh(&self, line: &str) -> Result<Output, ClientError> {
        self.run(["sh", "-c", line])
    }

    /// Starts a program.
    ///
    /// # Errors
    ///
    /// Where the rig is gone. That the program could not be started is the first message.
    pub fn spawn(&self, exec: Exec) -> Result<Running, ClientError> {
        client::spawn(&self.dir.socket(), exec)
    }

    /// Copies a file in, with its permission bits; it appears when it is whole.
    ///
    /// # Errors
    ///
    /// Where it cannot be read here or written there.
    pub fn put(&self, local: &Path, remote: &Path) -> Result<(), ClientError> {
        client::put(&self.dir.socket(), local, remote)
    }

    /// Copies a regular file out, with its permission bits.
    ///
    /// # Errors
    ///
    /// Where it cannot be read there or written here.
    pub fn get(&self, remote: &Path, local: &Path) -> Result<(), ClientError> {
        client::get(&self.dir.socket(), remote, local)
    }

    /// What the machine wrote to its first serial port so far. It can be read after the machine has
    /// ended, too.
    ///
    /// # Errors
    ///
    /// Where the log cannot be read.
    pub fn console_log(&self) -> io::Result<String> {
        let mut bytes = vec![0; self.console.metadata()?.len() as usize];
        let length = self.console.read_at(&mut bytes, 0)?;
        bytes.truncate(length);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// QEMU's monitor.
    ///
    /// # Errors
    ///
    /// Where the machine has ended.
    pub fn qmp(&self) -> Result<Qmp, QmpError> {
        Qmp::connect(&self.dir.qmp())
    }

    /// Starts or stops to record accesses to devices. It slows the machine down, so switch it on for
    /// the part that matters.
    ///
    /// # Errors
    ///
    /// Where QEMU has no such trace events or the machine has ended.
    pub fn trace(&self, on: bool) -> Result<(), QmpError> {
        let arguments = serde_json::json!({ "name": trace::EVENTS, "enable": on });
        self.qmp()?.run("trace-event-set-state", arguments).map(drop)
    }

    /// The accesses recorded so far.
    ///
    /// # Errors
    ///
    /// Where the record cannot be read.
    pub fn accesses(&self) -> Result<Vec<Access>, TraceError> {
        trace::read(&self.dir.trace())
    }

    /// Powers the machine off; returns when nothing of the rig is left.
    ///
    /// # Errors
    ///
    /// Where it had ended already.
    pub fn stop(mut self) -> Result<(), ClientError> {
        let stopped = client::stop(&self.dir.socket());
        self.join();
        stopped
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && let Ok(Err(error)) = thread.join()
        {
            eprintln!("rig `{}`: {error}", self.name);
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // Fails where the machine has ended by itself: just so.
            let _ = client::stop(&self.dir.socket());
            self.join();
        }
    }
}

struct Starting {
    events: UnixStream,
    thread: Option<JoinHandle<io::Result<()>>>,
    process: Option<Child>,
}

impl Starting {
    fn launch(spec: &RigSpec, dir: &RigDir, lock: OwnedFd, kept_by: KeptBy) -> io::Result<Self> {
        fs::write(dir.spec(), serde_json::to_vec(spec)?)?;
        let (events, theirs) = UnixStream::pair()?;
        let (mut thread, mut process) = (None, None);
        match kept_by {
            KeptBy::Thread => {
                let dir = dir.clone();
                let builder = std::thread::Builder::new().name(format!("rig {}", spec.name));
                thread = Some(builder.spawn(move || keeper::keep(dir, lock, theirs))?);
            }
            KeptBy::Process(mut command) => {
                let messages = File::options().create(true).append(true).open(dir.messages())?;
                command.arg(dir.path()).stdin(Stdio::from(lock));
                command.stdout(Stdio::from(OwnedFd::from(theirs))).stderr(Stdio::from(messages));
                process = Some(command.spawn()?);
            }
        }
        Ok(Self { events, thread, process })
    }

    /// Waits for a keeper that has failed to be gone, so that its name is free.
    fn wait(self) {
        drop(self.events);
        if let Some(thread) = self.thread {
            // It has told its failure already.
            let _ = thread.join();
        }
        if let Some(mut process) = self.process {
            let _ = process.wait();
        }
    }
}
