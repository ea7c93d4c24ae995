//! The machine's first serial port: a log, its last lines, and the signs of a panic.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

/// Lines kept for a report.
pub const TAIL: usize = 200;

/// The longest line kept, in bytes.
const MAX_LINE: usize = 1024;

/// The log starts anew when it has this many bytes.
const MAX_LOG: u64 = 64 << 20;

/// What the kernel prints last (`kernel/panic.c`).
const PANIC: &str = "Kernel panic - not syncing";

/// Cuts console output into lines without control characters.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Adds output, giving each line that it completes to `each`.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        for byte in bytes {
            match byte {
                b'\n' => each(self.take()),
                0..=31 => {}
                _ if self.line.len() < MAX_LINE => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn take(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned()
    }
}

/// The last lines.
#[derive(Debug, Default)]
pub struct Tail(VecDeque<String>);

impl Tail {
    /// Adds a line and forgets the oldest where there are too many.
    pub fn push(&mut self, line: String) {
        if self.0.len() == TAIL {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    /// All of them, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

/// Whether this line says that the kernel has given up.
pub fn is_panic(line: &str) -> bool {
    line.contains(PANIC)
}

/// Copies the console into its log until QEMU closes it, and each line to `lines` for as long as
/// somebody takes them.
pub async fn log(mut console: pipe::Receiver, path: &Path, lines: mpsc::Sender<String>) {
    if let Err(error) = copy(&mut console, path, lines).await {
        // The machine must not block on a console that nobody reads: read on, keep nothing.
        eprintln!("the console is not logged any more: {error}");
        let mut nowhere = tokio::io::sink();
        let _ = tokio::io::copy(&mut console, &mut nowhere).await;
    }
}

async fn copy(
    console: &mut pipe::Receiver,
    path: &Path,
    lines: mpsc::Sender<String>,
) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).open(path)?;
    let mut written = 0;
    let mut splitter = Lines::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = console.read(&mut buffer).await?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        if written > MAX_LOG {
            file.set_len(0)?;
            file.write_all(b"[the log grew beyond 64 MiB and starts anew here]\n")?;
            written = 0;
        }
        file.write_all(bytes)?;
        written += bytes.len() as u64;
        let mut complete = Vec::new();
        splitter.push(bytes, |line| complete.push(line));
        for line in complete {
            // Once the machine is up nobody takes lines; the log has them.
            let _ = lines.send(line).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_bounded() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        lines.push(b"a\r\nbb", |line| seen.push(line));
        lines.push(b"b\n", |line| seen.push(line));
        lines.push(&[b'x'; 5000], |line| seen.push(line));
        lines.push(b"\n", |line| seen.push(line));
        assert_eq!(seen[..2], ["a", "bbb"]);
        assert_eq!(seen[2].len(), MAX_LINE);
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let mut tail = Tail::default();
        for number in 0..TAIL + 5 {
            tail.push(number.to_string());
        }
        assert_eq!(tail.lines().len(), TAIL);
        assert_eq!(tail.lines()[0], "5");
    }
}
