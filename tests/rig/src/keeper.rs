//! The keeper: owns QEMU and the byte stream of one rig, and offers them to clients.

mod boot;
mod console;
mod serve;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::initramfs::InitramfsError;
use crate::spec::RigSpec;
use crate::state::RigDir;
use crate::wire::{self, Hello, Reply};

/// What a keeper tells whoever started it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// what it does next
    Step(String),
    /// a line of the console
    Console(String),
    /// the machine is up; nothing follows
    Ready(Hello),
    /// it did not come up; nothing follows
    Failed(Failure),
}

/// Why a machine did not come up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// what happened and what to do
    pub reason: String,
    /// the last lines of its console, at most [`console::TAIL`]
    pub console: Vec<String>,
}

/// Why a rig ended before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error("cannot read the rig's specification: {0}")]
    Spec(io::Error),
    #[error(transparent)]
    Initramfs(#[from] InitramfsError),
    #[error("cannot {what}: {error}")]
    Io { what: &'static str, error: io::Error },
    #[error("cannot start QEMU ({program}): {error}")]
    Start { program: String, error: io::Error },
    #[error("QEMU ended with {status} before the machine was up: {messages}")]
    Ended { status: String, messages: String },
    #[error("the kernel panicked before the machine was up")]
    Panic,
    #[error("the machine was not up within {0:?}; the console shows how far it came")]
    Timeout(Duration),
    #[error("the agent said something else than its greeting: {0}")]
    Greeting(io::Error),
    #[error("whoever started the rig went away before it was up")]
    Abandoned,
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> KeeperError {
    move |error| KeeperError::Io { what, error }
}

/// Keeps the rig whose folder `dir` is, until it ends. `lock` says that the folder is in use;
/// `events` leads to whoever started this.
///
/// Runs QEMU as a child of the calling thread and kills it when that thread ends.
///
/// # Errors
///
/// Where the keeper itself could not work. That the machine did not come up is told through
/// `events`.
pub fn keep(dir: RigDir, lock: OwnedFd, events: UnixStream) -> io::Result<()> {
    keep_until_stopped(dir, lock, events).map(drop)
}

/// Gives the connection of whoever stopped it, who waits until that is closed.
fn keep_until_stopped(
    dir: RigDir,
    lock: OwnedFd,
    events: UnixStream,
) -> io::Result<Option<UnixStream>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result =
        tokio::task::LocalSet::new().block_on(&runtime, boot::boot_and_serve(&dir, events));
    // What the rig leaves is gone before its name is free again.
    let removed = dir.remove().map_err(io::Error::other);
    drop(lock);
    let mut client = result?;
    removed?;
    if let Some(client) = &mut client {
        client.set_nonblocking(false)?;
        // It may have gone, having asked.
        let _ = wire::write(client, &Reply::Done);
    }
    Ok(client)
}

/// The whole of a keeper process: the folder of the rig is its argument, the lock its standard
/// input, and its standard output leads to whoever started it.
///
/// # Errors
///
/// As [`keep`].
pub fn keep_as_process(dir: &Path) -> io::Result<()> {
    // A terminal that closes must not take the rig with it. Fails where we lead a session already.
    let _ = nix::unistd::setsid();
    let lock = io::stdin().as_fd().try_clone_to_owned()?;
    let events = io::stdout().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    let client = keep_until_stopped(RigDir::new(dir.to_owned()), lock, UnixStream::from(events))?;
    // The kernel closes it, when nothing else of this process is left.
    std::mem::forget(client);
    Ok(())
}

fn read_spec(dir: &RigDir) -> Result<RigSpec, KeeperError> {
    let text = fs::read(dir.spec()).map_err(KeeperError::Spec)?;
    serde_json::from_slice(&text).map_err(|error| KeeperError::Spec(error.into()))
}

/// Tells whoever started the rig; an error means that nobody waits for it any more.
fn tell(events: &mut UnixStream, event: &Event) -> Result<(), KeeperError> {
    wire::write(events, event).map_err(|_| KeeperError::Abandoned)
}
