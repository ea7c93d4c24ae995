//! Runs a program for a client, with pipes or with a terminal.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rig::async_file::AsyncFile;
use rig::mux::Stream;
use rig::wire::{Exec, FromExec, MAX_CHUNK, Status, ToExec, receive, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, split};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local;

use crate::reaper::Reaper;
use crate::sys;

/// Input held for a program that does not read it. When it is full, the client's later messages
/// wait, its going away included.
const HELD_INPUT: usize = 1 << 20;

/// From hang-up to kill, for the programs of a client that went away.
const GRACE: Duration = Duration::from_secs(2);

/// Says which output the bytes are from.
type Wrap = fn(Vec<u8>) -> FromExec;

struct Child {
    pid: Pid,
    ended: oneshot::Receiver<Status>,
    input: Option<AsyncFile>,
    outputs: Vec<(AsyncFile, Wrap)>,
}

/// Serves one exec stream to its end.
pub async fn exec(mut stream: Stream, what: Exec, reaper: &Reaper) -> io::Result<()> {
    let child = match start(&what, reaper) {
        Ok(child) => child,
        Err(error) => {
            let program = what.argv.first().map_or("", String::as_str);
            return send(&mut stream, &FromExec::Failed(format!("{program}: {error}"))).await;
        }
    };
    let pid = child.pid;
    let served = attend(stream, child).await;
    if served.is_err() {
        spawn_local(end_session(pid));
    }
    served
}

fn start(what: &Exec, reaper: &Reaper) -> io::Result<Child> {
    let Some((program, arguments)) = what.argv.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program was named"));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(what.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(what.cwd.as_deref().unwrap_or(std::path::Path::new("/")));
    sys::own_session(&mut command, what.tty.is_some());

    let (input, outputs): (_, Vec<(AsyncFile, Wrap)>);
    let child = if let Some(size) = what.tty {
        let terminal = openpty(Some(&sys::winsize(size)), None)?;
        command.stdin(terminal.slave.try_clone()?).stdout(terminal.slave.try_clone()?);
        command.stderr(terminal.slave);
        let child = command.spawn()?;
        input = Some(AsyncFile::new(terminal.master.try_clone()?)?);
        outputs = vec![(AsyncFile::new(terminal.master)?, FromExec::Output)];
        child
    } else {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let file = |fd: Option<OwnedFd>| fd.map(AsyncFile::new).transpose();
        input = file(child.stdin.take().map(OwnedFd::from))?;
        let output = file(child.stdout.take().map(OwnedFd::from))?;
        let errors = file(child.stderr.take().map(OwnedFd::from))?;
        outputs = [
            output.map(|file| (file, FromExec::Output as Wrap)),
            errors.map(|file| (file, FromExec::Error as Wrap)),
        ]
        .into_iter()
        .flatten()
        .collect();
        child
    };
    let pid = Pid::from_raw(child.id() as i32);
    Ok(Child { pid, ended: reaper.watch(pid), input, outputs })
}

/// Carries input and output until the program has ended and all it wrote has been sent. An error
/// means that the client is gone.
async fn attend(stream: Stream, child: Child) -> io::Result<()> {
    let (reader, mut writer) = split(stream);
    let (exited_sender, exited) = watch::channel(false);
    let (output_sender, mut output) = mpsc::channel(4);
    for (file, wrap) in child.outputs {
        spawn_local(pump(file, wrap, output_sender.clone(), exited.clone()));
    }
    drop(output_sender);
    let (gone_sender, mut gone) = mpsc::channel::<()>(1);
    // Reading a message must not be cut short, writing input may be: hence two tasks.
    let (message_sender, messages) = mpsc::channel(4);
    let reading = spawn_local(read_messages(reader, message_sender));
    let input = spawn_local(take_input(messages, child.input, child.pid, gone_sender));

    let mut ended = child.ended;
    let mut status = None;
    let result = loop {
        tokio::select! {
            message = output.recv() => match message {
                Some(message) => {
                    if let Err(error) = send(&mut writer, &message).await {
                        break Err(error);
                    }
                }
                // All output is closed; the program may live on.
                None => {
                    let status = match status {
                        Some(status) => status,
                        None => tokio::select! {
                            status = &mut ended => status.unwrap_or(Status::Signalled(0)),
                            _ = gone.recv() => break Err(io::ErrorKind::BrokenPipe.into()),
                        },
                    };
                    break send(&mut writer, &FromExec::Ended(status)).await;
                }
            },
            end = &mut ended, if status.is_none() => {
                status = Some(end.unwrap_or(Status::Signalled(0)));
                // The pumps send what is there and end, even where a daemon keeps the pipe open.
                exited_sender.send_replace(true);
            }
            _ = gone.recv() => break Err(io::ErrorKind::BrokenPipe.into()),
        }
    };
    // They hold the other half of the stream, which must close now.
    reading.abort();
    input.abort();
    result
}

async fn pump(
    mut file: AsyncFile,
    wrap: Wrap,
    output: mpsc::Sender<FromExec>,
    mut exited: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; MAX_CHUNK];
    loop {
        let length = tokio::select! {
            biased;
            read = file.read(&mut buffer) => read,
            _ = exited.wait_for(|exited| *exited) => file.get_ref().read(&mut buffer),
        };
        // A terminal whose last user has gone gives an error, a pipe zero, and one that somebody
        // else still holds "would block".
        let Some(bytes) = length.ok().filter(|length| *length > 0).and_then(|n| buffer.get(..n))
        else {
            return;
        };
        if output.send(wrap(bytes.to_vec())).await.is_err() {
            return;
        }
    }
}

/// Does what the client says. Drops `gone` when the client has gone.
async fn take_input(
    mut messages: mpsc::Receiver<ToExec>,
    mut input: Option<AsyncFile>,
    pid: Pid,
    gone: mpsc::Sender<()>,
) {
    let mut held: VecDeque<Vec<u8>> = VecDeque::new();
    let mut held_bytes = 0;
    let mut ending = false;
    loop {
        if ending && held.is_empty() {
            input = None;
        }
        let front = held.front().map(Vec::as_slice).unwrap_or_default();
        let writing = async {
            match &mut input {
                Some(file) if !front.is_empty() => file.write(front).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            message = messages.recv(), if held_bytes < HELD_INPUT => match message {
                Some(ToExec::Input(bytes)) if input.is_some() && !ending && !bytes.is_empty() => {
                    held_bytes += bytes.len();
                    held.push_back(bytes);
                }
                Some(ToExec::Input(_)) => {}
                Some(ToExec::EndOfInput) => ending = true,
                Some(ToExec::Resize(size)) => {
                    if let Some(file) = &input {
                        // Fails where there is no terminal, and then there is nothing to resize.
                        let _ = sys::resize(file.get_ref(), size);
                    }
                }
                Some(ToExec::Signal(number)) => signal_group(pid, number),
                None => break,
            },
            written = writing => match written {
                Ok(length) => {
                    held_bytes = held_bytes.saturating_sub(length);
                    if let Some(front) = held.front_mut() {
                        front.drain(..length.min(front.len()));
                        if front.is_empty() {
                            held.pop_front();
                        }
                    }
                }
                // The program reads no more.
                Err(_) => {
                    input = None;
                    held.clear();
                    held_bytes = 0;
                }
            },
        }
    }
    drop(gone);
}

async fn read_messages(mut reader: ReadHalf<Stream>, messages: mpsc::Sender<ToExec>) {
    while let Ok(message) = receive(&mut reader).await {
        if messages.send(message).await.is_err() {
            return;
        }
    }
}

fn signal_group(pid: Pid, number: i32) {
    if let Ok(signal) = Signal::try_from(number) {
        // The group may have ended already.
        let _ = kill(Pid::from_raw(-pid.as_raw()), signal);
    }
}

/// Ends every process of the session that `leader` began. Daemons have left it.
async fn end_session(leader: Pid) {
    signal_session(leader, Signal::SIGHUP);
    tokio::time::sleep(GRACE).await;
    signal_session(leader, Signal::SIGKILL);
}

fn signal_session(leader: Pid, signal: Signal) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        if session_of(&stat) == Some(leader.as_raw()) {
            // It may have ended since.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// The session in a line of `/proc/PID/stat` (proc(5)): the fourth field behind the name, which
/// stands in parentheses and may itself hold any character.
fn session_of(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::session_of;

    #[test]
    fn a_hostile_name_does_not_hide_the_session() {
        assert_eq!(session_of("12 (a) S 1 1) S 3 12 7 0 -1"), Some(7));
        assert_eq!(session_of(""), None);
    }
}
