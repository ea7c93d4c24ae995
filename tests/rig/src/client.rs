//! What a client does with a rig: sockets, programs, files.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::wire::{self, Exec, FromExec, MAX_CHUNK, Reply, Request, Status, TerminalSize, ToExec};

/// The most that [`Running::output`] collects, in bytes: more is a program to stream from.
const MAX_OUTPUT: usize = 256 << 20;

/// Why something was not done in a rig.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// the agent says so
    #[error("the rig says: {0}")]
    Refused(String),
    /// the keeper or the machine is gone
    #[error("the rig went away: {0}")]
    Gone(io::Error),
    /// a file on this side
    #[error("{}: {error}", .path.display())]
    Local {
        /// which
        path: PathBuf,
        /// why
        error: io::Error,
    },
    /// it was another answer than the request has
    #[error("the rig answered something else than was asked")]
    Unexpected,
    /// more output than is collected
    #[error("the program wrote more than {} MiB", MAX_OUTPUT >> 20)]
    TooMuch,
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// What a program left behind.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// how it ended
    pub status: Status,
    /// what it wrote to standard output, or to its terminal
    pub stdout: Vec<u8>,
    /// what it wrote to standard error
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text, white space at its ends removed.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        writeln!(f, "stdout: {}", String::from_utf8_lossy(&self.stdout))?;
        write!(f, "stderr: {}", String::from_utf8_lossy(&self.stderr))
    }
}

/// A program that runs in a rig. Dropping it ends the program: hang-up first, then kill.
#[derive(Debug)]
pub struct Running(UnixStream);

impl Running {
    /// Waits for the next thing that the program says; nothing follows [`FromExec::Ended`] and
    /// [`FromExec::Failed`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Gone`] where the machine ended first.
    pub fn message(&mut self) -> Result<FromExec, ClientError> {
        Ok(wire::read(&mut self.0)?)
    }

    /// For its standard input or terminal.
    ///
    /// # Errors
    ///
    /// [`ClientError::Gone`] where the program or the machine has ended.
    pub fn input(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        for piece in bytes.chunks(MAX_CHUNK) {
            wire::write(&mut self.0, &ToExec::Input(piece.to_owned()))?;
        }
        Ok(())
    }

    /// Closes its standard input.
    ///
    /// # Errors
    ///
    /// As [`Running::input`].
    pub fn end_input(&mut self) -> Result<(), ClientError> {
        Ok(wire::write(&mut self.0, &ToExec::EndOfInput)?)
    }

    /// Tells its terminal another size.
    ///
    /// # Errors
    ///
    /// As [`Running::input`].
    pub fn resize(&mut self, size: TerminalSize) -> Result<(), ClientError> {
        Ok(wire::write(&mut self.0, &ToExec::Resize(size))?)
    }

    /// Sends a signal to its process group.
    ///
    /// # Errors
    ///
    /// As [`Running::input`].
    pub fn signal(&mut self, number: i32) -> Result<(), ClientError> {
        Ok(wire::write(&mut self.0, &ToExec::Signal(number))?)
    }

    /// The same program once more, so that one thread can read while another writes.
    ///
    /// # Errors
    ///
    /// Where this process has no descriptor left.
    pub fn try_clone(&self) -> Result<Self, ClientError> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Waits for its end and gives all that it wrote.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] where it could not be started, [`ClientError::Gone`] where the
    /// machine ended first.
    pub fn output(mut self) -> Result<Output, ClientError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            match self.message()? {
                FromExec::Output(bytes) => stdout.extend(bytes),
                FromExec::Error(bytes) => stderr.extend(bytes),
                FromExec::Ended(status) => return Ok(Output { status, stdout, stderr }),
                FromExec::Failed(reason) => return Err(ClientError::Refused(reason)),
            }
            if stdout.len() + stderr.len() > MAX_OUTPUT {
                return Err(ClientError::TooMuch);
            }
        }
    }
}

/// Opens a stream and makes one request.
fn request(socket: &Path, request: &Request) -> Result<UnixStream, ClientError> {
    let mut stream = UnixStream::connect(socket)?;
    wire::write(&mut stream, request)?;
    Ok(stream)
}

fn done(stream: &mut UnixStream) -> Result<(), ClientError> {
    match wire::read(stream)? {
        Reply::Done => Ok(()),
        Reply::Failed(reason) => Err(ClientError::Refused(reason)),
        Reply::File { .. } => Err(ClientError::Unexpected),
    }
}

/// A connection to a unix socket inside.
pub fn connect(socket: &Path, path: &Path) -> Result<UnixStream, ClientError> {
    let mut stream = request(socket, &Request::Connect { path: path.to_owned() })?;
    done(&mut stream)?;
    Ok(stream)
}

/// Starts a program.
pub fn spawn(socket: &Path, exec: Exec) -> Result<Running, ClientError> {
    Ok(Running(request(socket, &Request::Exec(exec))?))
}

/// Copies a file in.
pub fn put(socket: &Path, local: &Path, remote: &Path) -> Result<(), ClientError> {
    let failed = |error| ClientError::Local { path: local.to_owned(), error };
    let file = File::open(local).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let (mode, len) = (metadata.permissions().mode() & 0o7777, metadata.len());
    let path = remote.to_owned();
    let mut stream = request(socket, &Request::Put { path, mode, len })?;
    let sent = io::copy(&mut file.take(len), &mut stream);
    match sent {
        Ok(sent) if sent == len => done(&mut stream),
        Ok(_) => Err(failed(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter while it was read",
        ))),
        // The agent says why it stopped taking bytes.
        Err(error) => match done(&mut stream) {
            Err(ClientError::Refused(reason)) => Err(ClientError::Refused(reason)),
            _ => Err(error.into()),
        },
    }
}

/// Copies a file out, with its permission bits.
pub fn get(socket: &Path, remote: &Path, local: &Path) -> Result<(), ClientError> {
    let failed = |error| ClientError::Local { path: local.to_owned(), error };
    let mut stream = request(socket, &Request::Get { path: remote.to_owned() })?;
    let (mode, len) = match wire::read(&mut stream)? {
        Reply::File { mode, len } => (mode, len),
        Reply::Failed(reason) => return Err(ClientError::Refused(reason)),
        Reply::Done => return Err(ClientError::Unexpected),
    };
    let mut file = File::create(local).map_err(failed)?;
    let copied = io::copy(&mut stream.take(len), &mut file).map_err(failed)?;
    if copied != len {
        return Err(ClientError::Gone(io::ErrorKind::UnexpectedEof.into()));
    }
    file.flush().map_err(failed)?;
    fs::set_permissions(local, Permissions::from_mode(mode)).map_err(failed)
}

/// Ends the machine; returns when nothing of it is left.
pub fn stop(socket: &Path) -> Result<(), ClientError> {
    let mut connection = request(socket, &Request::Stop)?;
    done(&mut connection)?;
    // It stays open for as long as the keeper's process lives.
    io::copy(&mut connection, &mut io::sink())?;
    Ok(())
}
