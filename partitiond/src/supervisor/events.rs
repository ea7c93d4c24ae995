//! What happened, kept on disk and told to whoever listens.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::api::Event;
use crate::keeper::now_ms;

/// The file is set aside as `.old` when it reaches this.
const MAX_FILE: u64 = 4 << 20;

/// The events of this machine.
pub struct Events {
    path: PathBuf,
    inner: Mutex<Inner>,
    listeners: broadcast::Sender<Event>,
}

struct Inner {
    file: Option<File>,
    next: u64,
}

impl Events {
    /// Opens the events at `path`; without a file that can be written they are still told.
    pub fn open(path: &Path) -> Self {
        // A file that was just set aside has left an empty one.
        let last = stored(path).pop().or_else(|| stored(&set_aside(path)).pop());
        let next = last.map_or(0, |event| event.sequence.wrapping_add(1));
        let inner = Mutex::new(Inner { file: append_to(path), next });
        Self { path: path.to_owned(), inner, listeners: broadcast::channel(256).0 }
    }

    /// Something happened to a partition, or to the machine.
    pub fn tell(&self, partition: Option<&str>, kind: &str, text: String, last_words: Vec<String>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Event {
            sequence: inner.next,
            time_ms: now_ms(),
            partition: partition.map(str::to_owned),
            kind: kind.to_owned(),
            text,
            last_words,
        };
        inner.next = inner.next.wrapping_add(1);
        if let (Some(file), Ok(mut line)) = (&mut inner.file, serde_json::to_vec(&event)) {
            line.push(b'\n');
            let _ = file.write_all(&line);
            if file.metadata().is_ok_and(|metadata| metadata.len() >= MAX_FILE) {
                let _ = fs::rename(&self.path, set_aside(&self.path));
                inner.file = append_to(&self.path);
            }
        }
        let _ = self.listeners.send(event);
    }

    /// What is on disk, oldest first, and what is told from now on.
    pub fn listen(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        // In this order an event may come twice, but none is missed; the number tells.
        let receiver = self.listeners.subscribe();
        (stored(&self.path), receiver)
    }
}

/// Where a file goes that has become too long.
fn set_aside(path: &Path) -> PathBuf {
    path.with_extension("jsonl.old")
}

/// The file, ready for a whole line.
fn append_to(path: &Path) -> Option<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).ok()?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last).ok()?;
    }
    // What a crash has cut short would spoil the next line too.
    if last != [b'\n'] {
        file.write_all(b"\n").ok()?;
    }
    Some(file)
}

/// The events in a file; a line that is cut short or spoilt by a crash is passed over.
fn stored(path: &Path) -> Vec<Event> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    BufReader::new(file)
        .split(b'\n')
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_slice(&line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_without_gaps_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        for round in 0..2 {
            let events = Events::open(&path);
            let (before, mut listener) = events.listen();
            assert_eq!(before.len(), round * 2);
            events.tell(Some("db"), "ready", "it is".to_owned(), Vec::new());
            events.tell(None, "warning", "that".to_owned(), Vec::new());
            assert_eq!(listener.try_recv().unwrap().sequence, round as u64 * 2);
        }
        let numbers: Vec<_> = stored(&path).iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }

    #[test]
    fn numbers_go_on_behind_a_crash_and_behind_a_file_that_was_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let tell = || Events::open(&path).tell(None, "warning", "that".to_owned(), Vec::new());
        let numbers = || stored(&path).iter().map(|event| event.sequence).collect::<Vec<_>>();
        tell();
        let cut = [fs::read(&path).unwrap(), b"\xff\xfe\n{\"sequence\": 1, \"ti".to_vec()].concat();
        fs::write(&path, cut).unwrap();
        tell();
        assert_eq!(numbers(), [0, 1]);
        fs::rename(&path, set_aside(&path)).unwrap();
        append_to(&path).unwrap();
        tell();
        assert_eq!(numbers(), [2]);
    }
}
