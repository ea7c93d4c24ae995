//! What travels over the one byte stream between a rig and the outside.
//!
//! The agent first writes [`MAGIC`] and a [`Hello`]; from then on both sides speak yamux, and every
//! stream starts with one [`Request`] from outside. Messages are frames as `protocol` defines them:
//! a little-endian `u32` length of at most [`protocol::MAX_FRAME`], then one value in postcard form.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The name of the virtio-serial port that carries the stream.
pub const PORT: &str = "rig";

/// Stands before the agent's [`Hello`], so that whatever else wrote to the port is not taken for it.
pub const MAGIC: [u8; 8] = *b"\0rig-v1\n";

/// Streams that may be open at once in one rig.
pub const MAX_STREAMS: usize = 64;

/// The largest piece of an input or output in one message, in bytes.
pub const MAX_CHUNK: usize = 16 * 1024;

/// What the agent says when it is ready to serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// kernel release, as `uname -r` prints it
    pub release: String,
    /// CPUs online
    pub cpus: u32,
    /// milliseconds since the kernel started
    pub uptime_ms: u64,
}

/// How a stream starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Answered by [`Reply`]; after [`Reply::Done`] the stream is that socket.
    Connect {
        /// a unix socket inside
        path: PathBuf,
    },
    /// Answered by [`FromExec`] messages; takes [`ToExec`] messages. A client that goes away takes
    /// the process group with it.
    Exec(Exec),
    /// Followed by `len` bytes; answered by [`Reply`] when they are in place.
    Put {
        /// where; missing folders are made
        path: PathBuf,
        /// permission bits
        mode: u32,
        /// bytes that follow
        len: u64,
    },
    /// Answered by [`Reply::File`] and as many bytes as it says, or by [`Reply::Failed`].
    Get {
        /// a regular file
        path: PathBuf,
    },
    /// Powers the machine off; answered by [`Reply::Done`] when it is off.
    Stop,
}

/// A program to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// the program, looked for in `PATH`, and its arguments; no shell is involved
    pub argv: Vec<String>,
    /// added to the agent's environment
    pub env: Vec<(String, String)>,
    /// working folder, `/` when absent
    pub cwd: Option<PathBuf>,
    /// a terminal of this size instead of three pipes
    pub tty: Option<TerminalSize>,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// lines
    pub rows: u16,
    /// characters in a line
    pub columns: u16,
}

/// The answer to a request that is not [`Request::Exec`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// it was done
    Done,
    /// the file that was asked for; its bytes follow
    File {
        /// permission bits
        mode: u32,
        /// bytes that follow
        len: u64,
    },
    /// it was not done, and why
    Failed(String),
}

/// What the client tells a program that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToExec {
    /// for its standard input, at most [`MAX_CHUNK`] bytes
    Input(Vec<u8>),
    /// no more input
    EndOfInput,
    /// the terminal has another size
    Resize(TerminalSize),
    /// a signal for its process group
    Signal(i32),
}

/// What a program that runs tells the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromExec {
    /// from its standard output, or its terminal
    Output(Vec<u8>),
    /// from its standard error
    Error(Vec<u8>),
    /// it ended; nothing follows
    Ended(Status),
    /// it could not be started; nothing follows
    Failed(String),
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// with this code, 0 to 255
    Exited(i32),
    /// by this signal
    Signalled(i32),
}

impl Status {
    /// Whether it ended with code 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn checked_length(header: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(header) as usize;
    if length > protocol::MAX_FRAME {
        return Err(invalid(protocol::FrameError::TooLong(length)));
    }
    Ok(length)
}

fn decode<M: DeserializeOwned>(body: &[u8]) -> io::Result<M> {
    let (message, rest) = postcard::take_from_bytes(body)
        .map_err(|error| invalid(protocol::FrameError::Malformed(error)))?;
    match rest.len() {
        0 => Ok(message),
        extra => Err(invalid(protocol::FrameError::Trailing(extra))),
    }
}

/// Reads one message.
///
/// # Errors
///
/// `UnexpectedEof` where the stream ends, `InvalidData` where the bytes are no such message.
pub fn read<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<M> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let mut body = vec![0; checked_length(header)?];
    from.read_exact(&mut body)?;
    decode(&body)
}

/// Writes one message.
///
/// # Errors
///
/// Those of the stream, and `InvalidData` where the message is longer than a frame.
pub fn write<M: Serialize>(to: &mut impl Write, message: &M) -> io::Result<()> {
    to.write_all(&protocol::encode(message).map_err(invalid)?)?;
    to.flush()
}

/// As [`read`], without blocking.
///
/// # Errors
///
/// As [`read`].
pub async fn receive<M: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let mut header = [0; 4];
    from.read_exact(&mut header).await?;
    let mut body = vec![0; checked_length(header)?];
    from.read_exact(&mut body).await?;
    decode(&body)
}

/// As [`write`], without blocking.
///
/// # Errors
///
/// As [`write`].
pub async fn send<M: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &M) -> io::Result<()> {
    to.write_all(&protocol::encode(message).map_err(invalid)?).await?;
    to.flush().await
}

/// Streams that yamux may have open. It ends the whole connection when there are more, and streams
/// that are closing still count: so this is well above what the agent admits and the keeper opens.
const MULTIPLEXED: usize = 4 * MAX_STREAMS;

/// How yamux is set up on both sides.
pub fn multiplexer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MULTIPLEXED);
    // The least that yamux accepts is 256 KiB for each stream; the rest lets one stream run far ahead.
    config.set_max_connection_receive_window(Some(MULTIPLEXED * 256 * 1024 + (32 << 20)));
    config.set_split_send_size(64 * 1024);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back() {
        let request = Request::Exec(Exec { argv: vec!["uname".into()], ..Exec::default() });
        let mut bytes = Vec::new();
        write(&mut bytes, &request).unwrap();
        assert_eq!(read::<Request>(&mut &bytes[..]).unwrap(), request);
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_allocated() {
        let error = read::<Request>(&mut &u32::MAX.to_le_bytes()[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read::<Request>(&mut &bytes[..]);
            let _ = read::<FromExec>(&mut &bytes[..]);
        }
    }
}
