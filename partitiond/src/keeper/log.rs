//! A partition's log: its kernel's lines, its workloads' lines and the keeper's notes in one file.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use boot::kernel_log::Record;

use super::report::now_ms;
use crate::api::LogEntry;

/// A log file is set aside as `.old` when it reaches this, and the `.old` before it is gone.
const MAX_FILE: u64 = 8 << 20;

/// A longer line is cut.
const MAX_LINE: usize = 8 << 10;

/// The log of one partition.
pub struct Log {
    path: PathBuf,
    file: RefCell<(File, u64)>,
}

impl Log {
    /// Opens the log at `path`, behind what is there.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { path: path.to_owned(), file: RefCell::new(open(path)?) })
    }

    /// Says something about the partition.
    pub fn note(&self, text: &str) {
        self.write("keeper", 5, text.as_bytes());
    }

    /// A record of the kernel's log. Its text may have several lines.
    pub fn kernel(&self, record: &Record) {
        for line in kernel_lines(record) {
            self.write("kernel", record.level, &line);
        }
    }

    /// A line of a workload.
    pub fn workload(&self, name: &str, stream: protocol::Stream, line: &[u8]) {
        let level = match stream {
            protocol::Stream::Stdout => 6,
            protocol::Stream::Stderr => 3,
        };
        self.write(&format!("workload:{name}"), level, line);
    }

    /// Nothing is done about a log that cannot be written: the partition matters more.
    fn write(&self, source: &str, level: u8, text: &[u8]) {
        let text = text.get(..MAX_LINE).unwrap_or(text);
        let entry = LogEntry {
            time_ms: now_ms(),
            source: source.to_owned(),
            level,
            text: String::from_utf8_lossy(text).into_owned(),
        };
        let Ok(mut line) = serde_json::to_vec(&entry) else { return };
        line.push(b'\n');
        let mut file = self.file.borrow_mut();
        if file.1 >= MAX_FILE {
            let _ = fs::rename(&self.path, self.path.with_extension("jsonl.old"));
            if let Ok(fresh) = open(&self.path) {
                *file = fresh;
            }
        }
        if file.0.write_all(&line).is_ok() {
            file.1 += line.len() as u64;
        }
    }
}

/// A record as dmesg(1) shows it, each line with the time.
pub fn kernel_lines(record: &Record) -> impl Iterator<Item = Vec<u8>> {
    let seconds = record.nanoseconds / 1_000_000_000;
    let micros = record.nanoseconds / 1000 % 1_000_000;
    let stamp = format!("[{seconds:>5}.{micros:06}] ");
    record.text.split(|byte| *byte == b'\n').map(move |line| [stamp.as_bytes(), line].concat())
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}
