//! A client for QEMU's machine protocol (QEMU `docs/interop/qmp-spec`).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// The longest line that QEMU may send, in bytes.
const MAX_LINE: u64 = 16 << 20;

/// How long QEMU may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// the socket
    #[error("QEMU's monitor does not answer: {0}")]
    Io(#[from] io::Error),
    /// not what the protocol says
    #[error("QEMU's monitor sent something that is not its protocol: {0}")]
    Malformed(String),
    /// QEMU refused
    #[error("QEMU refuses `{command}`: {reason}")]
    Refused {
        /// the command
        command: String,
        /// in QEMU's words
        reason: String,
    },
}

/// A connection to QEMU's monitor. There can be one at a time; others wait.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects and leaves the negotiation behind.
    ///
    /// # Errors
    ///
    /// Where nobody answers within 30 s.
    pub fn connect(socket: &Path) -> Result<Self, QmpError> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut monitor = Self { reader: BufReader::new(stream) };
        let greeting = monitor.read()?;
        if greeting.get("QMP").is_none() {
            return Err(QmpError::Malformed(greeting.to_string()));
        }
        monitor.run("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Runs one command and gives what it returns.
    ///
    /// # Errors
    ///
    /// [`QmpError::Refused`] where QEMU does not do it.
    pub fn run(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.reader.get_mut().write_all(format!("{request}\n").as_bytes())?;
        loop {
            let mut answer = self.read()?;
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            if let Some(error) = answer.get("error") {
                let reason = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
                return Err(QmpError::Refused {
                    command: command.to_owned(),
                    reason: reason.to_owned(),
                });
            }
            // Anything else is an event.
        }
    }

    fn read(&mut self) -> Result<Value, QmpError> {
        let mut line = String::new();
        if (&mut self.reader).take(MAX_LINE).read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        serde_json::from_str(&line).map_err(|error| QmpError::Malformed(error.to_string()))
    }
}
