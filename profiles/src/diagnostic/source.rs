//! Scripts as text: read with care, and known by a small number in every place of every diagnostic.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rowan::TextRange;

/// The largest script, in bytes: 20,000 lines. Refused before it is read.
pub const MAX_SCRIPT: usize = 1 << 20;

/// Which file of [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A place: bytes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

impl Span {
    /// The place of a part of the tree.
    pub fn new(file: FileId, range: TextRange) -> Self {
        Self { file, start: range.start().into(), end: range.end().into() }
    }

    /// Its bytes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A place as people and editors count: from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters (Unicode scalar values), from 1.
    pub column: u32,
}

/// Why a script could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// the file system says no
    #[error("cannot read {path}: {cause}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// not a regular file
    #[error("{path} is not a file: name the script itself")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// beyond [`MAX_SCRIPT`]
    #[error(
        "{path} is too large: it has {size}, and a script has at most 1 MiB. Is this the right file?"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size, for people.
        size: String,
    },
    /// bytes that are not text
    #[error("{path}:{line}: byte {offset} is not UTF-8: save the script as UTF-8 text")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Bytes from the start of the file.
        offset: usize,
    },
}

/// A script's text, and the name it goes by in messages.
#[derive(Clone, Debug)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Where each line begins, in bytes.
    lines: Arc<[u32]>,
}

impl Source {
    /// A text that is already in memory. (Whether it is too large, [`crate::syntax::parse`] says.)
    pub fn new(name: &str, text: &str) -> Self {
        // Only what can be parsed is shown, so only of that the lines matter.
        let starts = text.bytes().take(MAX_SCRIPT).zip(1u32..);
        let starts = starts.filter(|(byte, _)| *byte == b'\n').map(|(_, next)| next);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { name: name.into(), text: text.into(), lines }
    }

    /// Reads a script.
    ///
    /// # Errors
    /// [`ReadError`] where it is not a regular file, cannot be read, has more than [`MAX_SCRIPT`]
    /// bytes (found out before reading them), or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let open = |cause| ReadError::Open { path: path.to_owned(), cause };
        // Asked before opening: opening a FIFO would wait for a writer.
        let metadata = std::fs::metadata(path).map_err(open)?;
        if !metadata.is_file() {
            return Err(ReadError::NotAFile { path: path.to_owned() });
        }
        let too_large = |size: String| ReadError::TooLarge { path: path.to_owned(), size };
        if metadata.len() > MAX_SCRIPT as u64 {
            return Err(too_large(format!("{} KiB", metadata.len() >> 10)));
        }
        let mut bytes = Vec::new();
        let limit = MAX_SCRIPT as u64 + 1;
        File::open(path).map_err(open)?.take(limit).read_to_end(&mut bytes).map_err(open)?;
        if bytes.len() > MAX_SCRIPT {
            return Err(too_large("more than 1 MiB".to_owned()));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(&path.to_string_lossy(), &text)),
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let valid = error.as_bytes().iter().take(offset);
                let line = 1 + valid.filter(|byte| **byte == b'\n').count();
                Err(ReadError::NotUtf8 { path: path.to_owned(), line, offset })
            }
        }
    }

    /// What messages call it: its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a line begins that holds a byte, and its number from 0.
    fn line_of(&self, at: u32) -> (usize, u32) {
        let index = self.lines.partition_point(|start| *start <= at).saturating_sub(1);
        (index, self.lines.get(index).copied().unwrap_or(0))
    }

    /// Line and column of a byte offset.
    pub fn position(&self, at: u32) -> Position {
        let (index, start) = self.line_of(at);
        let before = self.text.get(start as usize..at as usize).unwrap_or("");
        let count = |number: usize| u32::try_from(number + 1).unwrap_or(u32::MAX);
        Position { line: count(index), column: count(before.chars().count()) }
    }

    /// The whole lines that hold a range: their bytes, and the first one's number from 1.
    pub(super) fn lines_of(&self, range: Range<usize>) -> (Range<usize>, usize) {
        let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let (index, start) = self.line_of(at(range.start));
        let (last, _) = self.line_of(at(range.end));
        let end = match self.lines.get(last + 1) {
            Some(next) => (*next as usize).saturating_sub(1),
            None => self.text.len().min(MAX_SCRIPT),
        };
        (start as usize..end.max(start as usize), index + 1)
    }
}

/// All scripts of one run.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// No file yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a script.
    pub fn add(&mut self, source: Source) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(source);
        id
    }

    /// The script, unless the number is of another collection.
    pub fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }

    /// Every script, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Source)> {
        (0u32..).map(FileId).zip(&self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("a.ks", "é = 1\r\nx\n");
        let at = |offset| {
            let Position { line, column } = source.position(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 3));
        assert_eq!(at(8), (2, 1));
        assert_eq!(at(10), (3, 1));
        assert_eq!(source.lines_of(8..9), (8..9, 2));
        assert_eq!(source.lines_of(0..10), (0..10, 1));
    }

    #[test]
    fn what_is_no_script_is_refused_before_it_is_read() {
        let directory = std::env::temp_dir().join(format!("scripts-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("large.ks");
        File::create(&path).unwrap().set_len(100 << 20).unwrap();
        let told = |path: &Path| Source::read(path).unwrap_err().to_string();
        assert!(told(&path).contains("102400 KiB"), "{}", told(&path));
        assert!(matches!(Source::read(&directory), Err(ReadError::NotAFile { .. })));
        std::fs::write(&path, b"a\n\xff").unwrap();
        assert!(told(&path).contains(":2: byte 2 is not UTF-8"), "{}", told(&path));
        std::fs::write(&path, "\u{feff}policy {}\r\n").unwrap();
        assert_eq!(Source::read(&path).unwrap().text(), "\u{feff}policy {}\r\n");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
