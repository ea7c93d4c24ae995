//! The supervisor: one process per machine that decides, remembers and watches. Partitions do not
//! notice when it goes; the next one finds their keepers by the ledger.

mod begin;
mod down;
mod events;
mod images;
mod kept;
mod logs;
mod planned;
mod policy;
mod release;
mod routes;
mod snapshot;
mod start;
mod tuning;
mod up;
mod watcher;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::api::{Problem, ProblemKind};
use crate::errors::chain;
use crate::ledger::{Ledger, LedgerError};
use crate::paths::Paths;
use events::Events;
use kept::Kept;

/// Why a supervisor cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// a directory, a socket or a lock
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// there is one already
    #[error("another supervisor runs on this machine")]
    Running,
    /// no event loop
    #[error("no event loop")]
    Runtime(#[source] io::Error),
    /// the ledger
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// the machine cannot be read
    #[error(transparent)]
    Inventory(#[from] crate::inventory::sys::ReadError),
}

/// The supervisor's state. Locks are held for moments, never while waiting.
pub struct Supervisor {
    paths: Paths,
    ledger: Mutex<Ledger>,
    /// Every partition of the ledger, and those that have ended since.
    kept: Mutex<BTreeMap<String, Kept>>,
    events: Events,
    /// Held while huge pages are reserved for a start.
    reserving: tokio::sync::Mutex<()>,
    /// One `up` or `down` at a time.
    operation: Arc<tokio::sync::Mutex<()>>,
    /// Counts changes of `kept`.
    changed: watch::Sender<u64>,
    stop: tokio::sync::Notify,
}

/// Runs the supervisor until it is told to stop.
pub fn run(paths: Paths) -> ExitCode {
    match serve(paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("partitiond: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn serve(paths: Paths) -> Result<(), SupervisorError> {
    for folder in [&paths.run, &paths.state] {
        fs::create_dir_all(folder).map_err(in_file(folder))?;
    }
    let _lock = lock(&paths)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SupervisorError::Runtime)?;
    runtime.block_on(async {
        let supervisor = Arc::new(Supervisor::new(paths)?);
        supervisor.clone().take_up().await;
        let listener = listen(&supervisor.paths.api())?;
        let stopped = {
            let supervisor = supervisor.clone();
            async move { supervisor.stop.notified().await }
        };
        routes::serve(listener, supervisor.clone(), stopped).await;
        let _ = fs::remove_file(supervisor.paths.api());
        Ok(())
    })
}

impl Supervisor {
    fn new(paths: Paths) -> Result<Self, SupervisorError> {
        let ledger = begin::ledger(&paths)?;
        let events = Events::open(&paths.events());
        Ok(Self {
            paths,
            ledger: Mutex::new(ledger),
            kept: Mutex::default(),
            events,
            reserving: tokio::sync::Mutex::default(),
            operation: Arc::default(),
            changed: watch::channel(0).0,
            stop: tokio::sync::Notify::new(),
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the ledger and has it on disk before it returns; undone where that fails.
    fn write_ledger(&self, change: impl FnOnce(&mut Ledger)) -> Result<(), LedgerError> {
        let mut ledger = self.ledger();
        let mut next = ledger.clone();
        change(&mut next);
        next.save(&self.paths.ledger())?;
        *ledger = next;
        Ok(())
    }

    /// Changes what is known of a partition and tells those who wait for it.
    fn update(&self, name: &str, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self.kept().get_mut(name) {
            change(kept);
        }
        self.tell_changed();
    }

    /// As [`Supervisor::update`], unless the partition has begun another life meanwhile.
    fn update_life(&self, name: &str, life: u64, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self.kept().get_mut(name).filter(|kept| kept.life == life) {
            change(kept);
        }
        self.tell_changed();
    }

    /// What is known of a partition in this life of it.
    fn in_life(&self, name: &str, life: u64) -> Option<Kept> {
        self.kept().get(name).filter(|kept| kept.life == life).cloned()
    }

    fn tell_changed(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

fn lock(paths: &Paths) -> Result<Flock<File>, SupervisorError> {
    let path = paths.supervisor_lock();
    let file = File::create(&path).map_err(in_file(&path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| SupervisorError::Running)
}

fn listen(path: &Path) -> Result<UnixListener, SupervisorError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(in_file(path)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(in_file(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(in_file(path))?;
    Ok(listener)
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> SupervisorError {
    move |source| SupervisorError::File { path: path.to_owned(), source }
}

/// A problem of a kind, with what to do.
fn problem(kind: ProblemKind, message: impl Into<String>, hint: Option<String>) -> Problem {
    Problem { kind, message: message.into(), hint }
}

/// A step that was tried and went wrong.
fn failed(error: &dyn std::error::Error) -> Problem {
    problem(ProblemKind::Failed, chain(error), None)
}

#[cfg(test)]
mod tests;
