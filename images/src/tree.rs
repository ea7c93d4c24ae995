//! A file tree in memory, with the contents of its files in one temporary file.
//!
//! Packages, layers and archives are unpacked into a [`Tree`], never onto the host's file systems:
//! no name, link or device in them can reach anything but the tree. Links are followed inside the
//! tree only, `/` being its root.

mod spool;
mod write;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use crate::cpio::{self, CpioError, Meta, Special, TRAILER};
pub use spool::Content;
use spool::Spool;

/// The most entries in one tree.
pub const MAX_ENTRIES: usize = 4_000_000;

/// The most bytes of contents in one tree: an initramfs is memory.
pub const MAX_CONTENTS: u64 = 64 << 30;

/// How many symbolic links may lead to one place; as Linux counts.
const MAX_LINKS: usize = 40;

/// Why something cannot stand in a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A name that would end the archive that the tree becomes.
    #[error("{}", CpioError::Trailer)]
    Trailer,
    /// A name with `..` that leads out.
    #[error("{0:?} leads out of the root: refused")]
    Escapes(String),
    /// A name that is none.
    #[error("{0:?} cannot be a file's name: it must be UTF-8 without NUL and under 4096 bytes")]
    Name(String),
    /// Symbolic links that lead to each other.
    #[error("{0:?} is reached through symbolic links that lead in a circle")]
    Circle(String),
    /// Something else than a directory where one is needed.
    #[error("{0:?} lies in something that is not a directory")]
    NotADirectory(String),
    /// A hard link to nothing.
    #[error("{0:?} is a hard link to {1:?}, which does not exist (or is a directory)")]
    DanglingHardLink(String, String),
    /// Too much of everything.
    #[error("more than {MAX_ENTRIES} files or {} GiB of contents", MAX_CONTENTS >> 30)]
    TooLarge,
    /// Contents could not be kept or read again.
    #[error("cannot keep a file's contents: {0}")]
    Io(#[from] std::io::Error),
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file; entries with one number are one file under several names.
    File(FileId),
    /// A symbolic link with its target.
    Symlink(String),
    /// A device or a named pipe.
    Special(Special),
}

/// One of a tree's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(usize);

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub meta: Meta,
}

/// A file tree. Paths are relative to its root, without `.` and `..`.
#[derive(Debug)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
    files: Vec<Content>,
    spool: Spool,
}

impl Tree {
    /// A tree with nothing in it but its root.
    ///
    /// # Errors
    ///
    /// Where the temporary file cannot be made (in `directory`, else where the system keeps such).
    pub fn new(directory: Option<&std::path::Path>) -> Result<Self, TreeError> {
        let spool = Spool::new(directory)?;
        Ok(Self { entries: BTreeMap::new(), files: Vec::new(), spool })
    }

    /// All entries, each directory before what is in it.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (&**path, entry))
    }

    /// The entry at `path`, links on the way and at its end followed.
    ///
    /// # Errors
    ///
    /// [`TreeError::Circle`], [`TreeError::Escapes`] and [`TreeError::Name`].
    pub fn lookup(&self, path: &str) -> Result<Option<(String, &Entry)>, TreeError> {
        let path = self.resolve(&normalise(path)?, true)?;
        Ok(self.entries.get(&path).map(|entry| (path, entry)))
    }

    /// A reader of the contents of the file at `path`, `None` where no file is there.
    ///
    /// # Errors
    ///
    /// As [`Tree::lookup`], and where the contents cannot be read.
    pub fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>, TreeError> {
        match self.lookup(path)? {
            Some((_, Entry { kind: Kind::File(file), .. })) => Ok(Some(self.reader(*file)?)),
            _ => Ok(None),
        }
    }

    /// The contents of the file at `path`, `None` where no file of at most `limit` bytes is there.
    ///
    /// # Errors
    ///
    /// As [`Tree::open`].
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, TreeError> {
        let Some((_, Entry { kind: Kind::File(file), .. })) = self.lookup(path)? else {
            return Ok(None);
        };
        if self.size(*file) > limit {
            return Ok(None);
        }
        let mut contents = Vec::new();
        self.reader(*file)?.take(limit).read_to_end(&mut contents)?;
        Ok(Some(contents))
    }

    /// Bytes in a file.
    pub fn size(&self, file: FileId) -> u64 {
        self.files.get(file.0).map_or(0, Content::size)
    }

    /// Bytes in all files, counted once under however many names.
    pub fn total_size(&self) -> u64 {
        let files: std::collections::BTreeSet<FileId> = self
            .entries
            .values()
            .filter_map(|entry| match entry.kind {
                Kind::File(file) => Some(file),
                _ => None,
            })
            .collect();
        files.into_iter().map(|file| self.size(file)).sum()
    }

    fn reader(&self, file: FileId) -> Result<Box<dyn Read + '_>, TreeError> {
        match self.files.get(file.0) {
            Some(content) => Ok(self.spool.reader(content)?),
            None => Ok(Box::new(std::io::empty())),
        }
    }

    /// Puts a file whose contents come from `reader`; gives its size in bytes.
    ///
    /// # Errors
    ///
    /// Every variant of [`TreeError`] but those of hard links.
    pub fn file(
        &mut self,
        path: &str,
        meta: Meta,
        reader: &mut dyn Read,
    ) -> Result<u64, TreeError> {
        let content = self.spool.keep(reader)?;
        let size = content.size();
        self.content(path, meta, content)?;
        Ok(size)
    }

    /// Puts a file that stays where it is on the host until the tree is written.
    ///
    /// # Errors
    ///
    /// As [`Tree::file`].
    pub fn host_file(
        &mut self,
        path: &str,
        meta: Meta,
        file: PathBuf,
        size: u64,
    ) -> Result<(), TreeError> {
        self.content(path, meta, Content::Host { path: file, size })
    }

    /// Puts a file with these contents.
    ///
    /// # Errors
    ///
    /// As [`Tree::file`].
    pub fn bytes(&mut self, path: &str, meta: Meta, bytes: &[u8]) -> Result<(), TreeError> {
        self.content(path, meta, Content::Bytes(bytes.into()))
    }

    fn content(&mut self, path: &str, meta: Meta, content: Content) -> Result<(), TreeError> {
        let file = FileId(self.files.len());
        self.files.push(content);
        self.put(path, Entry { kind: Kind::File(file), meta })
    }

    /// Puts a directory; one that is there keeps what is in it.
    ///
    /// # Errors
    ///
    /// Every variant of [`TreeError`] but those of hard links and contents.
    pub fn directory(&mut self, path: &str, meta: Meta) -> Result<(), TreeError> {
        self.put(path, Entry { kind: Kind::Directory, meta })
    }

    /// Puts a symbolic link.
    ///
    /// # Errors
    ///
    /// As [`Tree::directory`].
    pub fn symlink(&mut self, path: &str, target: &str, meta: Meta) -> Result<(), TreeError> {
        check_name(target)?;
        self.put(path, Entry { kind: Kind::Symlink(target.to_owned()), meta })
    }

    /// Puts a device or a named pipe.
    ///
    /// # Errors
    ///
    /// As [`Tree::directory`].
    pub fn special(&mut self, path: &str, kind: Special, meta: Meta) -> Result<(), TreeError> {
        self.put(path, Entry { kind: Kind::Special(kind), meta })
    }

    /// Gives what is at `target` a further name.
    ///
    /// # Errors
    ///
    /// [`TreeError::DanglingHardLink`], and as [`Tree::directory`].
    pub fn hard_link(&mut self, path: &str, target: &str) -> Result<(), TreeError> {
        let found = self.resolve(&normalise(target)?, false)?;
        match self.entries.get(&found) {
            Some(entry) if entry.kind != Kind::Directory => {
                let entry = entry.clone();
                if self.resolve(&normalise(path)?, false)? == found {
                    return Ok(());
                }
                self.put(path, entry)
            }
            _ => Err(TreeError::DanglingHardLink(path.to_owned(), target.to_owned())),
        }
    }

    /// Removes what is at `path`, a directory with all in it. The last name is not followed.
    ///
    /// # Errors
    ///
    /// As [`Tree::lookup`].
    pub fn remove(&mut self, path: &str) -> Result<(), TreeError> {
        let path = self.resolve(&normalise(path)?, false)?;
        self.entries.remove(&path);
        self.clear(&path)
    }

    /// What is in the directory at `path`, all the way down; links in `path` are not followed.
    pub fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Entry)> {
        // '0' is the byte behind '/': everything in between begins with `path/`.
        let range = match path {
            "" => self.entries.range::<String, _>(..),
            path => self.entries.range(format!("{path}/")..format!("{path}0")),
        };
        range.map(|(path, entry)| (&**path, entry))
    }

    /// Removes what is in the directory at `path`.
    fn clear(&mut self, path: &str) -> Result<(), TreeError> {
        if path.is_empty() {
            self.entries.clear();
            return Ok(());
        }
        // One by one: splitting the map would cost as much as all that is in it.
        let inside: Vec<String> = self.below(path).map(|(path, _)| path.to_owned()).collect();
        for path in inside {
            self.entries.remove(&path);
        }
        Ok(())
    }

    fn put(&mut self, path: &str, entry: Entry) -> Result<(), TreeError> {
        let path = self.resolve(&normalise(path)?, false)?;
        if path.is_empty() {
            // The root itself: its owner and mode are the kernel's.
            let root = entry.kind == Kind::Directory;
            return if root { Ok(()) } else { Err(TreeError::NotADirectory("/".to_owned())) };
        }
        if path == TRAILER {
            return Err(TreeError::Trailer);
        }
        if self.entries.len() >= MAX_ENTRIES || self.spool.kept() > MAX_CONTENTS {
            return Err(TreeError::TooLarge);
        }
        for (at, _) in path.match_indices('/') {
            let parent = path.get(..at).unwrap_or_default();
            match self.entries.get(parent).map(|entry| &entry.kind) {
                Some(Kind::Directory) => {}
                Some(_) => return Err(TreeError::NotADirectory(path)),
                None => {
                    let parent_entry = Entry { kind: Kind::Directory, meta: Meta::root(0o755) };
                    self.entries.insert(parent.to_owned(), parent_entry);
                }
            }
        }
        let was = self.entries.get(&path).map(|entry| &entry.kind);
        if was == Some(&Kind::Directory) && entry.kind != Kind::Directory {
            self.clear(&path)?;
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// Follows the links in a normalised path, in its last name only where `last` says so. What does
    /// not exist is taken as it is; `..` in a link's target stops at the root, as in Linux.
    fn resolve(&self, path: &str, last: bool) -> Result<String, TreeError> {
        let mut waiting: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(name) = waiting.pop() {
            match &*name {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let before = done.len();
            if !done.is_empty() {
                done.push('/');
            }
            done.push_str(&name);
            if done.len() > cpio::MAX_NAME {
                return Err(TreeError::Name(path.chars().take(200).collect()));
            }
            if waiting.is_empty() && !last {
                break;
            }
            if let Some(Entry { kind: Kind::Symlink(target), .. }) = self.entries.get(&done) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(TreeError::Circle(path.to_owned()));
                }
                done.truncate(if target.starts_with('/') { 0 } else { before });
                waiting.extend(target.rsplit('/').map(str::to_owned));
            }
        }
        Ok(done)
    }
}

/// A path without leading `/`, empty names, `.` and `..`.
///
/// # Errors
///
/// [`TreeError::Escapes`] where `..` leads out of the root; [`TreeError::Name`].
pub fn normalise(path: &str) -> Result<String, TreeError> {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop().ok_or_else(|| TreeError::Escapes(path.chars().take(200).collect()))?;
            }
            name => names.push(name),
        }
    }
    let path = names.join("/");
    if !path.is_empty() {
        check_name(&path)?;
    }
    Ok(path)
}

fn check_name(name: &str) -> Result<(), TreeError> {
    if name.is_empty() || name.len() > cpio::MAX_NAME || name.contains('\0') {
        return Err(TreeError::Name(name.chars().take(200).collect()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
