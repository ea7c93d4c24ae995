//! Where a tree keeps its files' contents.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::MAX_CONTENTS;

/// Files up to this size stay in memory, in bytes.
const SMALL: u64 = 256;

/// A file's contents.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Bytes(Box<[u8]>),
    /// In the temporary file.
    Spooled {
        /// Where they begin, in bytes.
        offset: u64,
        /// Bytes.
        size: u64,
    },
    /// In a file of the host, read when the tree is written.
    Host {
        /// The file.
        path: PathBuf,
        /// Bytes when it was found.
        size: u64,
    },
}

impl Content {
    /// Bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Spooled { size, .. } | Content::Host { size, .. } => *size,
        }
    }
}

/// A temporary file without a name: it goes when the process does.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    end: u64,
}

impl Spool {
    pub(super) fn new(directory: Option<&Path>) -> io::Result<Self> {
        let file = match directory {
            Some(directory) => tempfile::tempfile_in(directory)?,
            None => tempfile::tempfile()?,
        };
        Ok(Self { file, end: 0 })
    }

    /// Bytes kept so far.
    pub(super) fn kept(&self) -> u64 {
        self.end
    }

    /// Keeps all that a reader gives, small contents in memory.
    pub(super) fn keep(&mut self, reader: &mut dyn Read) -> io::Result<Content> {
        let mut start = Vec::new();
        (&mut *reader).take(SMALL + 1).read_to_end(&mut start)?;
        if start.len() as u64 <= SMALL {
            return Ok(Content::Bytes(start.into()));
        }
        let offset = self.end;
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(&start)?;
        let room = MAX_CONTENTS.saturating_sub(self.end) + 1;
        let size = start.len() as u64 + io::copy(&mut reader.take(room), &mut self.file)?;
        self.end = offset.saturating_add(size);
        Ok(Content::Spooled { offset, size })
    }

    pub(super) fn reader<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match content {
            Content::Bytes(bytes) => Box::new(&**bytes),
            Content::Spooled { offset, size } => {
                let span =
                    Span { file: &self.file, at: *offset, end: offset.saturating_add(*size) };
                Box::new(io::BufReader::with_capacity(64 << 10, span))
            }
            Content::Host { path, .. } => {
                let mut options = File::options();
                // A file that has become a link since it was found is not followed.
                options.read(true).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
                Box::new(options.open(path)?)
            }
        })
    }
}

/// A part of the temporary file; several can be read at once.
struct Span<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Span<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..length) else { return Ok(0) };
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
