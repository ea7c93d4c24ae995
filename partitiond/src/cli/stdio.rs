//! Standard input, output and error of a session: they block, so each side has a thread.

use std::io::{self, Read, Write};
use std::sync::mpsc as blocking;
use std::thread;

use protocol::{MAX_CHUNK, Stream};
use tokio::sync::mpsc;

/// What comes from the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Bytes.
    Bytes(Vec<u8>),
    /// There is no more.
    End,
    /// The person leaves.
    Detach,
}

/// Ctrl-]
pub const DETACH: u8 = 0x1d;

/// No input at all.
pub fn no_input() -> mpsc::Receiver<Input> {
    // A closed channel means the end.
    mpsc::channel(1).1
}

/// Reads until the end, or until the byte `detach`. One piece waits at most.
pub fn read(mut from: impl Read + Send + 'static, detach: Option<u8>) -> mpsc::Receiver<Input> {
    let (to, input) = mpsc::channel(1);
    thread::spawn(move || {
        let mut buffer = vec![0; MAX_CHUNK];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(read) => buffer.get(..read).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // As a program sees a terminal that is gone.
                Err(_) => &[],
            };
            for input in pieces(read, detach) {
                let last = input == Input::End || input == Input::Detach;
                if to.blocking_send(input).is_err() || last {
                    return;
                }
            }
        }
    });
    input
}

fn pieces(read: &[u8], detach: Option<u8>) -> Vec<Input> {
    if read.is_empty() {
        return vec![Input::End];
    }
    match detach.and_then(|detach| read.iter().position(|byte| *byte == detach)) {
        Some(0) => vec![Input::Detach],
        Some(at) => vec![Input::Bytes(read.iter().take(at).copied().collect()), Input::Detach],
        None => vec![Input::Bytes(read.to_vec())],
    }
}

/// What became of output.
#[derive(Debug)]
pub enum Written {
    /// So many bytes were written.
    Bytes(u32),
    /// They could not be; no more will be.
    Failed(io::Error),
}

/// Writes output as fast as it is taken.
#[derive(Debug)]
pub struct Writer {
    to: Option<blocking::Sender<(Stream, Vec<u8>)>>,
    written: mpsc::UnboundedReceiver<Written>,
}

impl Writer {
    /// Writes to these two.
    pub fn start(
        mut stdout: impl Write + Send + 'static,
        mut stderr: impl Write + Send + 'static,
    ) -> Self {
        let (to, queue) = blocking::channel::<(Stream, Vec<u8>)>();
        let (tell, written) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for (stream, bytes) in queue {
                let result = match stream {
                    Stream::Stdout => stdout.write_all(&bytes).and_then(|()| stdout.flush()),
                    Stream::Stderr => stderr.write_all(&bytes).and_then(|()| stderr.flush()),
                };
                let told = tell.send(match result {
                    Ok(()) => Written::Bytes(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
                    Err(error) => Written::Failed(error),
                });
                if told.is_err() {
                    return;
                }
            }
        });
        Self { to: Some(to), written }
    }

    /// Takes bytes; how many are under way is the caller's to bound.
    pub fn write(&self, stream: Stream, bytes: Vec<u8>) {
        if let Some(to) = &self.to {
            // Fails after a failure that `written` has told.
            let _ = to.send((stream, bytes));
        }
    }

    /// No more comes.
    pub fn close(&mut self) {
        self.to = None;
    }

    /// What became of the next piece; `None` after the last one, once closed.
    pub async fn written(&mut self) -> Option<Written> {
        self.written.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_way_out_is_still_sent() {
        assert_eq!(pieces(b"", None), [Input::End]);
        assert_eq!(pieces(b"a\x1d", None), [Input::Bytes(b"a\x1d".to_vec())]);
        let expected = [Input::Bytes(b"ls\n".to_vec()), Input::Detach];
        assert_eq!(pieces(b"ls\n\x1dlater", Some(DETACH)), expected);
        assert_eq!(pieces(b"\x1d", Some(DETACH)), [Input::Detach]);
    }
}
