//! The keeper's socket: the supervisor watches, passes `exec` clients through, and asks for an end.
//!
//! A connection begins with one line of JSON, a [`Request`]. Behind `watch` come [`Report`]s, one a
//! line; behind `exec` frames go both ways; behind `stop` nothing.

use std::path::PathBuf;

use protocol::{FrameDecoder, SessionId, ToGuest, ToHost, encode};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};

use super::inbox::{Command, Commands};
use super::report::Report;
use super::session::from_client;

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Tell everything about the partition, now and whenever it changes.
    Watch,
    /// Run a program in the partition.
    Exec,
    /// Write all that the partition is into a new folder. The answer is a line of JSON: `{"Ok":null}`, or
    /// `{"Err":"why"}`.
    Snapshot {
        /// The folder; absolute.
        path: PathBuf,
        /// Whether the partition ends then, without having gone on.
        stop: bool,
    },
    /// End the partition if nothing has been heard of it for three seconds or longer: it has hung.
    Hung,
    /// End the partition.
    Stop {
        /// At once, instead of in order.
        force: bool,
        /// Milliseconds that workloads have to end by themselves.
        grace_ms: u32,
    },
}

/// The longest request line, in bytes.
const MAX_REQUEST: u64 = 4096;

/// Serves connections for as long as the keeper lives.
pub async fn accept(listener: UnixListener, commands: Commands, reports: watch::Receiver<Report>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(serve(stream, commands.clone(), reports.clone()));
            }
            // Out of descriptors: others are about to close theirs.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: UnixStream, commands: Commands, reports: watch::Receiver<Report>) {
    let (reading, writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let mut line = String::new();
    if (&mut reading).take(MAX_REQUEST).read_line(&mut line).await.is_err() {
        return;
    }
    match serde_json::from_str(&line) {
        Ok(Request::Watch) => tell(writing, reports).await,
        Ok(Request::Exec) => exec(reading, writing, commands).await,
        Ok(Request::Stop { force, grace_ms }) => {
            commands.send(Command::Stop { force, grace_ms }).await;
        }
        Ok(Request::Snapshot { path, stop }) => snapshot(writing, path, stop, commands).await,
        Ok(Request::Hung) => {
            commands.send(Command::Hung).await;
        }
        Err(_) => {}
    }
}

/// Sends every report until the other side or the keeper goes.
async fn tell(mut writing: OwnedWriteHalf, mut reports: watch::Receiver<Report>) {
    loop {
        let Ok(mut line) = serde_json::to_vec(&*reports.borrow_and_update()) else { return };
        line.push(b'\n');
        if writing.write_all(&line).await.is_err() || reports.changed().await.is_err() {
            return;
        }
    }
}

async fn snapshot(mut writing: OwnedWriteHalf, path: PathBuf, stop: bool, commands: Commands) {
    let (answer, answered) = oneshot::channel();
    commands.send(Command::Snapshot { path, stop, answer }).await;
    let result = answered.await.unwrap_or_else(|_| Err("the partition has ended".to_owned()));
    if let Ok(mut line) = serde_json::to_vec(&result) {
        line.push(b'\n');
        let _ = writing.write_all(&line).await;
    }
}

async fn exec(reading: BufReader<OwnedReadHalf>, writing: OwnedWriteHalf, commands: Commands) {
    let (outbox, inbox) = mpsc::unbounded_channel();
    let (answer, opened) = oneshot::channel();
    if !commands.send(Command::Open(outbox, answer)).await {
        return;
    }
    let Ok(session) = opened.await else { return };
    tokio::select! {
        () = to_client(writing, inbox) => {}
        () = to_partition(reading, session, &commands) => {}
    }
    commands.send(Command::Close(session)).await;
}

async fn to_client(mut writing: OwnedWriteHalf, mut inbox: mpsc::UnboundedReceiver<ToHost>) {
    while let Some(message) = inbox.recv().await {
        let Ok(frame) = encode(&message) else { return };
        if writing.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn to_partition(
    mut reading: impl AsyncRead + Unpin,
    session: SessionId,
    commands: &Commands,
) {
    let mut decoder = FrameDecoder::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = match reading.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        decoder.push(buffer.get(..read).unwrap_or_default());
        loop {
            match decoder.next::<ToGuest>() {
                Ok(Some(message)) => {
                    let Some(message) = from_client(message, session) else { return };
                    if !commands.send(Command::Send(message)).await {
                        return;
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
