//! One program in a partition: frames one way and the other, with credits both ways.
//!
//! The two sides owe each other as the protocol says: at most [`WINDOW`] bytes of input, and of
//! output, are under way until the receiver says that it has used some. What this side cannot write
//! yet is therefore bounded, whatever the partition does; a partition that sends more breaks the
//! protocol and the session ends.

use std::collections::VecDeque;

use protocol::{
    ExecRequest, ExitStatus, FrameDecoder, FrameError, MAX_CHUNK, SessionId, TerminalSize, ToGuest,
    ToHost, WINDOW, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

use super::stdio::{Input, Writer, Written};

/// The one session of a connection.
pub const SESSION: SessionId = SessionId(0);

/// What happens on this side besides input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A signal for the program.
    Signal(u8),
    /// The terminal has another size.
    Resize(TerminalSize),
    /// A signal that ends this side: the program loses its listener.
    Leave(u8),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program ended.
    Exited(ExitStatus),
    /// The person left, the program is hung up on.
    Detached,
    /// A signal ended this side.
    Left(u8),
    /// Nobody reads the output any more.
    BrokenPipe,
}

/// Why a session broke.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// the program could not be run
    #[error("{reason}")]
    NotRun {
        /// Why.
        reason: String,
        /// As a shell has it.
        status: u8,
    },
    /// the connection ended
    #[error("the partition, its keeper or the supervisor ended before the program did")]
    Gone,
    /// the connection failed
    #[error("the connection broke: {0}")]
    Connection(std::io::Error),
    /// no frames
    #[error("the partition does not speak the protocol: {0}")]
    Frame(#[from] FrameError),
    /// more output than was granted
    #[error("the partition sends more output than it may; the program was hung up on")]
    Overrun,
    /// the output could not be written
    #[error("cannot write the program's output: {0}")]
    Output(std::io::Error),
}

/// What a session is connected to on this side.
pub struct Ends {
    /// Bytes for the program.
    pub input: mpsc::Receiver<Input>,
    /// Signals and sizes.
    pub controls: mpsc::UnboundedReceiver<Control>,
    /// What the program writes goes there.
    pub writer: Writer,
}

/// Runs a program over a connection that carries frames. `early` came on it before.
///
/// # Errors
///
/// See [`SessionError`].
pub async fn run(
    stream: UnixStream,
    early: &[u8],
    request: ExecRequest,
    ends: Ends,
) -> Result<Outcome, SessionError> {
    let (mut read, write) = stream.into_split();
    let frames = Frames::start(write);
    frames.send(&ToGuest::Exec(Box::new(request)))?;
    let mut session = Session {
        frames,
        credit: WINDOW,
        granted: WINDOW,
        input: VecDeque::new(),
        input_open: true,
        started: false,
    };
    let Ends { mut input, mut controls, mut writer } = ends;
    let mut decoder = FrameDecoder::new();
    let mut buffer = vec![0; 64 * 1024];
    decoder.push(early);
    loop {
        while let Some(message) = decoder.next::<ToHost>()? {
            if let Some(status) = session.heard(message, &writer)? {
                return finish(status, writer, &mut controls).await;
            }
        }
        tokio::select! {
            read = read.read(&mut buffer) => match read {
                Ok(0) => return Err(SessionError::Gone),
                Ok(length) => decoder.push(buffer.get(..length).unwrap_or_default()),
                Err(error) => return Err(SessionError::Connection(error)),
            },
            written = writer.written() => match written {
                Some(Written::Bytes(bytes)) => session.wrote(bytes)?,
                Some(Written::Failed(error)) => return session.lost_output(error).await,
                None => return Err(SessionError::Output(std::io::ErrorKind::BrokenPipe.into())),
            },
            Some(control) = controls.recv() => match control {
                Control::Signal(signal) => session.frames.send(&ToGuest::Signal { session: SESSION, signal })?,
                Control::Resize(size) => session.frames.send(&ToGuest::Resize { session: SESSION, size })?,
                Control::Leave(signal) => {
                    session.hang_up().await?;
                    return Ok(Outcome::Left(signal));
                }
            },
            typed = input.recv(), if session.takes_input() => match typed {
                Some(Input::Bytes(bytes)) => session.typed(bytes)?,
                Some(Input::End) | None => session.end_input()?,
                Some(Input::Detach) => {
                    session.hang_up().await?;
                    return Ok(Outcome::Detached);
                }
            },
        }
    }
}

/// Waits until all output is written; a signal is enough to stop that.
async fn finish(
    status: ExitStatus,
    mut writer: Writer,
    controls: &mut mpsc::UnboundedReceiver<Control>,
) -> Result<Outcome, SessionError> {
    writer.close();
    loop {
        tokio::select! {
            written = writer.written() => match written {
                Some(Written::Bytes(_)) => {}
                Some(Written::Failed(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    return Ok(Outcome::BrokenPipe);
                }
                Some(Written::Failed(error)) => return Err(SessionError::Output(error)),
                None => return Ok(Outcome::Exited(status)),
            },
            Some(control) = controls.recv() => {
                if let Control::Signal(signal) | Control::Leave(signal) = control {
                    return Ok(Outcome::Left(signal));
                }
            }
        }
    }
}

struct Session {
    frames: Frames,
    /// Bytes of input that may be sent.
    credit: u32,
    /// Bytes of output that may come.
    granted: u32,
    /// Input that waits for credit.
    input: VecDeque<u8>,
    input_open: bool,
    started: bool,
}

impl Session {
    fn takes_input(&self) -> bool {
        self.started && self.input_open && self.input.is_empty() && self.credit > 0
    }

    fn heard(
        &mut self,
        message: ToHost,
        writer: &Writer,
    ) -> Result<Option<ExitStatus>, SessionError> {
        match message {
            ToHost::Started { .. } => self.started = true,
            ToHost::Failed { reason, status, .. } => {
                return Err(SessionError::NotRun { reason, status });
            }
            ToHost::Output { stream, data, .. } => {
                let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
                self.granted = self.granted.checked_sub(length).ok_or(SessionError::Overrun)?;
                writer.write(stream, data);
            }
            ToHost::Credit { bytes, .. } => {
                self.credit = self.credit.saturating_add(bytes).min(WINDOW);
                self.send_input()?;
            }
            ToHost::Exited { status, .. } => return Ok(Some(status)),
            // Not of a session: not for us.
            _ => {}
        }
        Ok(None)
    }

    fn wrote(&mut self, bytes: u32) -> Result<(), SessionError> {
        self.granted = self.granted.saturating_add(bytes);
        self.frames.send(&ToGuest::Credit { session: SESSION, bytes })
    }

    fn typed(&mut self, bytes: Vec<u8>) -> Result<(), SessionError> {
        self.input.extend(bytes);
        self.send_input()
    }

    fn send_input(&mut self) -> Result<(), SessionError> {
        while self.credit > 0 && !self.input.is_empty() {
            let length = self.input.len().min(MAX_CHUNK).min(self.credit as usize);
            let data: Vec<u8> = self.input.drain(..length).collect();
            // At most MAX_CHUNK, and at most the credit.
            self.credit = self.credit.saturating_sub(length as u32);
            self.frames.send(&ToGuest::Input { session: SESSION, data })?;
        }
        Ok(())
    }

    fn end_input(&mut self) -> Result<(), SessionError> {
        self.input_open = false;
        self.frames.send(&ToGuest::InputEnd { session: SESSION })
    }

    async fn hang_up(self) -> Result<(), SessionError> {
        self.frames.send(&ToGuest::Hangup { session: SESSION })?;
        self.frames.flush().await;
        Ok(())
    }

    async fn lost_output(self, error: std::io::Error) -> Result<Outcome, SessionError> {
        self.hang_up().await?;
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Ok(Outcome::BrokenPipe),
            _ => Err(SessionError::Output(error)),
        }
    }
}

/// Frames on their way out. They are written beside everything else, so that two sides that both
/// have much to say never wait for each other; credits bound how many there are.
struct Frames {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    writing: tokio::task::JoinHandle<()>,
}

impl Frames {
    fn start(mut write: OwnedWriteHalf) -> Self {
        let (queue, mut frames) = mpsc::unbounded_channel::<Vec<u8>>();
        let writing = tokio::spawn(async move {
            while let Some(frame) = frames.recv().await {
                // Whoever reads hears that the connection ended.
                if write.write_all(&frame).await.is_err() {
                    break;
                }
            }
        });
        Self { queue, writing }
    }

    fn send(&self, message: &ToGuest) -> Result<(), SessionError> {
        // Where the writing side has ended, the reading side tells why.
        let _ = self.queue.send(encode(message)?);
        Ok(())
    }

    /// Waits until all is written; not longer than a person would.
    async fn flush(self) {
        drop(self.queue);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), self.writing).await;
    }
}

#[cfg(test)]
mod tests;
