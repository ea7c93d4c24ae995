//! The keeper: one small process for each running partition.
//!
//! It starts the partition, holds its memory mapped, speaks with guest-init, keeps its log, and
//! takes everything back when the partition ends. It outlives the supervisor; when it dies itself,
//! the partition runs on and another keeper takes it up from what this one wrote down.
//!
//! Everything that a partition writes is read here and nowhere else, through the one frame decoder
//! and the reader of kernel logs.

mod connection;
mod inbox;
mod log;
mod partition;
mod report;
mod session;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use boot::backend::{Failure, Instance, Record, Spec};
use boot::bare::TscClock;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::watch;

pub use connection::Request;
pub use partition::{SILENCE, describe};
pub use report::{Report, now_ms};

use crate::api::{End, Phase};
use crate::durable;
use crate::errors::chain;
use crate::paths::PartitionDir;
use log::Log;
use partition::Partition;

/// What a keeper is to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperSpec {
    /// The partition's name.
    pub name: String,
    /// What it is made of.
    pub boot: Spec,
    /// What guest-init is told.
    pub configuration: protocol::Configuration,
    /// Where its log goes.
    pub log: PathBuf,
}

/// Why a keeper did not even begin, or could not say how it went.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// a file of the partition's directory
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// a file that does not read
    #[error("{} makes no sense", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// another keeper, or a supervisor that takes the partition back
    #[error("another keeper has this partition")]
    Taken,
}

/// The steps of a start that are the partition's own.
pub const BOOTING: &str = "booting its kernel";
const STARTING_WORKLOADS: &str = "starting its workloads";

/// Runs a keeper for the partition in `dir` until the partition has ended.
pub fn run(dir: &Path) -> ExitCode {
    let clock = TscClock::start();
    let begun = Instant::now();
    let dir = PartitionDir::at(dir);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("partitiond keeper: no event loop: {error}");
            return ExitCode::FAILURE;
        }
    };
    match tokio::task::LocalSet::new().block_on(&runtime, keep(&dir, clock, begun)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("partitiond keeper: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn keep(dir: &PartitionDir, clock: TscClock, begun: Instant) -> Result<(), KeeperError> {
    let _lock = take_lock(dir)?;
    let spec: KeeperSpec = read_json(&dir.spec())?;
    let listener = listen(dir)?;
    let log = Rc::new(Log::open(&spec.log).map_err(in_file(&spec.log))?);
    let (reports, watchers) = watch::channel(Report::default());
    let (commands, inbox) = inbox::inbox();
    tokio::task::spawn_local(connection::accept(listener, commands, watchers));

    let instance = if dir.record().exists() {
        log.note("another keeper takes the partition up");
        let record: Record = read_json(&dir.record())?;
        record.adopt().map_err(|error| chain(&error))
    } else {
        start(&spec, clock, begun, &reports).await.map_err(|failure| chain(&failure))
    };
    let end = match instance {
        Err(message) => {
            log.note(&message);
            End::Failed { message }
        }
        Ok(instance) => {
            let record = serde_json::to_vec(&instance.record()).unwrap_or_default();
            if let Err(error) = durable::replace(&dir.record(), &record) {
                log.note(&format!("the partition's record cannot be written: {error}"));
            }
            reports.send_modify(|report| {
                report.phase = Phase::Booting;
                report.step = None;
                // One that was found running has no start to tell of.
                if !report.start.is_empty() {
                    report.begin(BOOTING, begun.elapsed());
                }
                instance.command_line().clone_into(&mut report.command_line);
            });
            Partition::new(instance, &spec, log.clone(), reports.clone(), begun).run(inbox).await
        }
    };
    // Whoever comes after a keeper that dies from here on finds half a partition: not to be taken up.
    let ending = serde_json::to_vec(&end).unwrap_or_default();
    if let Err(error) = durable::replace(&dir.ending(), &ending) {
        log.note(&format!("that it ends cannot be written down: {error}"));
    }
    clean_up(&spec, &log, &reports, end);
    let last = serde_json::to_vec(&*reports.borrow()).unwrap_or_default();
    durable::replace(&dir.last_report(), &last).map_err(in_file(&dir.last_report()))?;
    let _ = fs::remove_file(dir.socket());
    // Those who watch have the time to read it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

/// Starts the partition on a thread of its own, so that whoever asks meanwhile is answered.
async fn start(
    spec: &KeeperSpec,
    clock: TscClock,
    begun: Instant,
    reports: &watch::Sender<Report>,
) -> Result<Instance, Failure> {
    let (boot, reports) = (spec.boot.clone(), reports.clone());
    let starting = tokio::task::spawn_blocking(move || {
        boot.start(clock, &mut |step| {
            reports.send_modify(|report| {
                report.begin(&step, begun.elapsed());
                report.step = Some(step);
            });
        })
    });
    match starting.await {
        Ok(result) => result,
        // It can only have panicked, and then there is nothing to be relied on here.
        Err(_) => std::process::abort(),
    }
}

/// Gives everything back to the host and says how it went.
fn clean_up(spec: &KeeperSpec, log: &Log, reports: &watch::Sender<Report>, end: End) {
    let reclaimed = spec.boot.reclaim();
    match &reclaimed {
        Ok(()) => log.note("its CPUs and memory are the host's again"),
        Err(error) => log.note(&format!("it could not be taken back: {}", chain(error))),
    }
    reports.send_modify(|report| {
        report.step = None;
        report.end = Some(end);
        match reclaimed {
            Ok(()) => report.phase = Phase::Ended,
            Err(error) => {
                report.phase = Phase::Stuck;
                report.stuck = Some(chain(&error));
            }
        }
    });
}

/// Becomes the one who may touch the partition in `dir`, until the lock is dropped.
///
/// # Errors
///
/// [`KeeperError::Taken`] where somebody else is.
pub fn take_lock(dir: &PartitionDir) -> Result<Flock<File>, KeeperError> {
    let path = dir.lock();
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(in_file(&path))?;
    let lock =
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| KeeperError::Taken)?;
    lock.set_len(0).map_err(in_file(&path))?;
    io::Write::write_all(&mut &*lock, std::process::id().to_string().as_bytes())
        .map_err(in_file(&path))?;
    Ok(lock)
}

fn listen(dir: &PartitionDir) -> Result<UnixListener, KeeperError> {
    let path = dir.socket();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(in_file(&path)(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(in_file(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(in_file(&path))?;
    Ok(listener)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, KeeperError> {
    let text = fs::read(path).map_err(in_file(path))?;
    serde_json::from_slice(&text)
        .map_err(|source| KeeperError::Json { path: path.to_owned(), source })
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> KeeperError {
    move |source| KeeperError::File { path: path.to_owned(), source }
}
