//! Messages as they go over the wire: headers, an empty line, and JSON (JSON-RPC 2.0, as the Language Server
//! Protocol frames it).
//!
//! What an editor sends is bounded, and what makes no sense costs its message and no more, as long as it can be
//! told where the next one begins.

use std::io::{self, BufRead, Read, Write};

use serde_json::Value;

/// The longest message that is read, in bytes: a script of 1 MiB with every byte escaped fits.
const MOST_BYTES: u64 = 16 << 20;
/// The longest line of headers, in bytes.
const LONGEST_HEADER: u64 = 4096;
/// How many headers a message can have.
const MOST_HEADERS: usize = 32;

/// Why no more messages can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// a pipe
    #[error("the connection to the editor failed: {0}")]
    Io(#[from] io::Error),
    /// what is sent is no message
    #[error(
        "the editor does not speak the Language Server Protocol: {0}. Start the server from an editor's \
         configuration; it has nothing to say to a terminal"
    )]
    Headers(&'static str),
    /// more than is read
    #[error("the editor sent a message of {0} bytes, and at most {MOST_BYTES} are read")]
    TooLong(u64),
}

/// What was read.
#[derive(Debug)]
pub enum Frame {
    /// A message.
    Message(Value),
    /// Bytes that are no JSON, and why. The next message can be read.
    Malformed(serde_json::Error),
}

/// Reads a message; none where the editor is gone.
pub fn read(from: &mut impl BufRead) -> Result<Option<Frame>, FrameError> {
    let mut length: Option<u64> = None;
    for at in 0..=MOST_HEADERS {
        let mut line = Vec::new();
        from.by_ref().take(LONGEST_HEADER).read_until(b'\n', &mut line)?;
        if line.is_empty() && at == 0 {
            return Ok(None);
        }
        if line.pop() != Some(b'\n') {
            return Err(FrameError::Headers("a header that does not end"));
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            let length = length.ok_or(FrameError::Headers("a message without Content-Length"))?;
            return content(from, length).map(Some);
        }
        let (name, value) =
            line.split_once(':').ok_or(FrameError::Headers("a line that is no header"))?;
        if name.trim().eq_ignore_ascii_case("content-length") {
            let number = value.trim().parse();
            length = Some(number.map_err(|_| FrameError::Headers("a length that is no number"))?);
        }
    }
    Err(FrameError::Headers("too many headers"))
}

fn content(from: &mut impl BufRead, length: u64) -> Result<Frame, FrameError> {
    if length > MOST_BYTES {
        return Err(FrameError::TooLong(length));
    }
    let mut bytes = Vec::new();
    // Grows with what comes, not with what is promised.
    let read = from.by_ref().take(length).read_to_end(&mut bytes)?;
    if read as u64 != length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(serde_json::from_slice(&bytes).map_or_else(Frame::Malformed, Frame::Message))
}

/// Writes a message, which is JSON.
pub fn write(to: &mut impl Write, text: &str) -> Result<(), FrameError> {
    // In one write: the reader wakes once.
    to.write_all(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes())?;
    to.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn all(mut bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Vec::new();
        while let Some(frame) = read(&mut bytes)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = Vec::new();
        let messages = [json!({ "method": "é𝄞" }), json!(null), json!([1, "\r\n\r\n"])];
        for message in &messages {
            write(&mut bytes, &message.to_string()).unwrap();
        }
        let read = all(&bytes).unwrap();
        for (frame, message) in read.iter().zip(&messages) {
            assert!(matches!(frame, Frame::Message(read) if read == message));
        }
        assert_eq!(read.len(), messages.len());
    }

    #[test]
    fn malformed_json_costs_its_message_only() {
        let read = all(b"Content-Length: 3\r\n\r\n{a}content-length: 2\n\n{}").unwrap();
        assert!(matches!(read.as_slice(), [Frame::Malformed(_), Frame::Message(_)]));
    }

    #[test]
    fn what_is_no_message_is_refused_before_it_takes_memory() {
        let refused = |bytes: &[u8]| all(bytes).unwrap_err().to_string();
        assert!(refused(b"hello\n").contains("no header"));
        assert!(refused(b"\r\n").contains("without Content-Length"));
        assert!(refused(b"Content-Length: x\r\n\r\n").contains("no number"));
        assert!(refused(b"Content-Length: 99999999999999\r\n\r\n").contains("at most"));
        assert!(refused(b"Content-Length: 5\r\n\r\n{}").contains("connection"));
        assert!(refused(&vec![b'a'; 10_000]).contains("does not end"));
        assert!(refused("a: b\n".repeat(100).as_bytes()).contains("too many"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), length in 0..30_u8) {
            let _ = all(&bytes);
            let mut framed = format!("Content-Length: {length}\r\n\r\n").into_bytes();
            framed.extend(bytes);
            let _ = all(&framed);
        }
    }
}
