//! The text of a file, read with care: what people write is a small regular file in UTF-8, and whatever
//! else a path leads to is refused before it can fill memory or block.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tree::Span;

/// The largest file that is read, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// Why a file could not be read as text.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// the file system says no
    #[error("cannot read {path}: {cause}{hint}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
        /// What to do about it.
        hint: &'static str,
    },
    /// not a regular file
    #[error("{path} is {what}, not a file: name the file itself")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// beyond [`MAX_FILE`]
    #[error(
        "{path} is too large: it has {size}, and at most 1 MiB is read. What people write has a few KiB; is this the right file?"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size, for people.
        size: String,
    },
    /// bytes that are not text
    #[error("{path}:{line}: byte {offset} is not UTF-8: save the file as UTF-8 text")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Bytes from the start of the file.
        offset: usize,
    },
    /// a byte order mark
    #[error("{path} begins with a byte order mark ({kind}): save it as UTF-8 without one")]
    ByteOrderMark {
        /// The file.
        path: PathBuf,
        /// Which.
        kind: &'static str,
    },
    /// a NUL byte
    #[error("{path}:{line}: a NUL byte: this is not a text file, or it was damaged")]
    Nul {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
}

/// A size beyond [`MAX_FILE`] in whole units.
fn rough_size(bytes: u64) -> String {
    match bytes >> 30 {
        0 => format!("{} MiB", bytes >> 20),
        gib => format!("{gib} GiB"),
    }
}

/// A text and the name it goes by in messages.
#[derive(Clone, Debug)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

/// Some whole lines of a source.
pub(crate) struct Excerpt<'a> {
    pub text: &'a str,
    pub start: usize,
    pub first_line: usize,
}

impl Excerpt<'_> {
    /// An offset of the source as an offset of the excerpt.
    pub fn clip(&self, at: usize) -> usize {
        at.saturating_sub(self.start).min(self.text.len())
    }
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SourceError`] where it is not a regular file, cannot be read, has more than [`MAX_FILE`]
    /// bytes (found out before reading them), or is not UTF-8 text without NUL.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let open = |cause: io::Error| {
            let hint = match cause.kind() {
                io::ErrorKind::PermissionDenied => {
                    ". Give yourself the right to read it (chmod u+r), or run as its owner"
                }
                io::ErrorKind::NotFound => ". Check the path",
                _ => "",
            };
            SourceError::Open { path: path.to_owned(), cause, hint }
        };
        // Asked before opening: opening a FIFO would wait for a writer.
        let metadata = std::fs::metadata(path).map_err(open)?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "a directory" } else { "a device, pipe or socket" };
            return Err(SourceError::NotAFile { path: path.to_owned(), what });
        }
        let too_large = |size: String| SourceError::TooLarge { path: path.to_owned(), size };
        if metadata.len() > MAX_FILE {
            return Err(too_large(rough_size(metadata.len())));
        }
        let mut bytes = Vec::new();
        File::open(path).map_err(open)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(open)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(too_large("more than 1 MiB".to_owned()));
        }
        Self::from_bytes(path, bytes)
    }

    fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, SourceError> {
        let path = path.to_owned();
        for (mark, kind) in [
            (&[0xef, 0xbb, 0xbf][..], "UTF-8"),
            (&[0xff, 0xfe][..], "UTF-16"),
            (&[0xfe, 0xff][..], "UTF-16"),
        ] {
            if bytes.starts_with(mark) {
                return Err(SourceError::ByteOrderMark { path, kind });
            }
        }
        let line_of = |at: usize| 1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(SourceError::Nul { path, line: line_of(at) });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(&path.to_string_lossy(), &text)),
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let valid = error.as_bytes().iter().take(offset);
                let line = 1 + valid.filter(|byte| **byte == b'\n').count();
                Err(SourceError::NotUtf8 { path, line, offset })
            }
        }
    }

    /// A text that is already in memory.
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// What messages call it: its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column (in characters) of a byte offset, both from 1.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        let column = 1 + before.chars().rev().take_while(|char| *char != '\n').count();
        (line, column)
    }

    /// The whole lines that hold `span`.
    pub(crate) fn lines(&self, span: Span) -> Excerpt<'_> {
        let text: &str = &self.text;
        let head = text.get(..span.start).unwrap_or(text);
        let start = head.rfind('\n').map_or(0, |newline| newline + 1);
        let end = text
            .get(span.end..)
            .and_then(|tail| tail.find('\n'))
            .map_or(text.len(), |newline| span.end + newline);
        Excerpt {
            text: text.get(start..end).unwrap_or(text),
            start,
            first_line: 1 + head.bytes().filter(|byte| *byte == b'\n').count(),
        }
    }
}
