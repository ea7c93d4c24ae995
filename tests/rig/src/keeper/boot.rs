//! From a specification to a machine whose agent has said hello.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::console::{self, Tail};
use super::{Event, Failure, KeeperError, io_error, read_spec, serve, tell};
use crate::spec::RigSpec;
use crate::state::RigDir;
use crate::wire::{self, Hello, MAGIC};
use crate::{initramfs, qemu, sys};

/// Console output may still be on its way when QEMU has ended or the kernel has panicked.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What QEMU and the keeper say about themselves: the end of it, in bytes.
const MESSAGES: usize = 2000;

/// A machine that runs.
pub struct Machine {
    /// QEMU
    pub qemu: Child,
    /// the byte stream to the agent
    pub stream: tokio::net::UnixStream,
}

/// Boots and serves until the machine ends; gives the client that asked for the end, where one did.
pub async fn boot_and_serve(
    dir: &RigDir,
    mut events: UnixStream,
) -> io::Result<Option<UnixStream>> {
    let mut tail = Tail::default();
    let machine = match boot(dir, &mut events, &mut tail).await {
        Ok(machine) => machine,
        Err(error) => {
            let failure = Failure { reason: error.to_string(), console: tail.lines() };
            // Whoever started us may be gone, and then nobody needs to know.
            let _ = tell(&mut events, &Event::Failed(failure));
            return Ok(None);
        }
    };
    let (machine, listener, hello) = machine;
    if tell(&mut events, &Event::Ready(hello)).is_err() {
        return Ok(None);
    }
    drop(events);
    let client = serve::serve(machine, listener).await?;
    client.map(tokio::net::UnixStream::into_std).transpose()
}

async fn boot(
    dir: &RigDir,
    events: &mut UnixStream,
    tail: &mut Tail,
) -> Result<(Machine, tokio::net::UnixListener, Hello), KeeperError> {
    let spec = read_spec(dir)?;
    fs::write(dir.pid(), std::process::id().to_string()).map_err(io_error("write the pid file"))?;
    tell(events, &Event::Step("making the initramfs".into()))?;
    let mut archive = tempfile::tempfile_in(temporary_folder())
        .map_err(io_error("make a temporary file for the initramfs"))?;
    let size = initramfs::write(&spec, &mut archive)?;
    tell(events, &Event::Step(format!("starting {} (initramfs {} MiB)", spec.name, size >> 20)))?;

    let (mut machine, console) = start(&spec, dir, &archive)?;
    let (line_sender, mut lines) = mpsc::channel(64);
    let log = dir.console();
    spawn_local(async move { console::log(console, &log, line_sender).await });

    let timeout = tokio::time::sleep(spec.boot_timeout);
    tokio::pin!(timeout);
    let Machine { qemu, stream } = &mut machine;
    let mut greeting = Box::pin(greet(stream));
    let up = loop {
        tokio::select! {
            hello = &mut greeting => match hello {
                Ok(hello) => break Ok(hello),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    break Err(KeeperError::Greeting(error));
                }
                // The stream ends with QEMU, whose status says more.
                Err(_) => {
                    let status = qemu.wait().await.map_err(io_error("wait for QEMU"))?;
                    break Err(ended(dir, status));
                }
            },
            Some(line) = lines.recv() => {
                let panic = console::is_panic(&line);
                tell(events, &Event::Console(line.clone()))?;
                tail.push(line);
                if panic {
                    break Err(KeeperError::Panic);
                }
            }
            status = qemu.wait() => {
                break Err(ended(dir, status.map_err(io_error("wait for QEMU"))?));
            }
            () = &mut timeout => break Err(KeeperError::Timeout(spec.boot_timeout)),
        }
    };
    drop(greeting);
    let failure = match up {
        Ok(hello) => {
            let listener = tokio::net::UnixListener::bind(dir.socket())
                .map_err(io_error("open the rig's socket"))?;
            return Ok((machine, listener, hello));
        }
        Err(failure) => failure,
    };
    let last_words = async {
        while let Some(line) = lines.recv().await {
            tail.push(line);
        }
    };
    // Enough for what is in the pipe; a machine that talks on is cut short.
    let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    // Whoever hears of the failure finds nothing left of the machine. It may have ended by itself.
    let _ = machine.qemu.kill().await;
    Err(failure)
}

/// Not the rig's own folder: that is often in a small memory file system.
fn temporary_folder() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

fn ended(dir: &RigDir, status: std::process::ExitStatus) -> KeeperError {
    let messages = fs::read(dir.messages()).unwrap_or_default();
    let start = messages.len().saturating_sub(MESSAGES);
    let messages = String::from_utf8_lossy(messages.get(start..).unwrap_or_default());
    let messages = match messages.trim() {
        "" => "it gave no reason; the console's last lines may".to_owned(),
        text => text.to_owned(),
    };
    KeeperError::Ended { status: status.to_string(), messages }
}

fn start(
    spec: &RigSpec,
    dir: &RigDir,
    archive: &File,
) -> Result<(Machine, pipe::Receiver), KeeperError> {
    use std::os::fd::AsRawFd;

    let (ours, theirs) = UnixStream::pair().map_err(io_error("make the byte stream"))?;
    let (console, console_writer) = io::pipe().map_err(io_error("make a pipe"))?;
    let messages = File::options()
        .create(true)
        .append(true)
        .open(dir.messages())
        .map_err(io_error("open the file for QEMU's messages"))?;
    // The archive has no name and is gone with us.
    let archive = format!("/proc/{}/fd/{}", std::process::id(), archive.as_raw_fd());

    let start_error = |error| KeeperError::Start { program: spec.qemu.program.join(" "), error };
    let (program, first_arguments) =
        spec.qemu.program.split_first().ok_or_else(|| {
            start_error(io::Error::new(io::ErrorKind::InvalidInput, "no program"))
        })?;
    let mut command = std::process::Command::new(program);
    command
        .args(first_arguments)
        .args(qemu::arguments(spec, archive.as_ref(), dir))
        .envs(spec.qemu.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(console_writer)))
        .stderr(Stdio::from(messages));
    sys::die_with_this_thread(&mut command);
    let qemu = Command::from(command).kill_on_drop(true).spawn().map_err(start_error)?;

    ours.set_nonblocking(true).map_err(io_error("set up the byte stream"))?;
    let stream = tokio::net::UnixStream::from_std(ours).map_err(io_error("use the byte stream"))?;
    let console = pipe::Receiver::from_owned_fd(console.into()).map_err(io_error("use a pipe"))?;
    Ok((Machine { qemu, stream }, console))
}

async fn greet(stream: &mut tokio::net::UnixStream) -> io::Result<Hello> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the agent is of another version than this program",
        ));
    }
    wire::receive(stream).await
}
