//! Where sources are read from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::error::Problem;
use super::remark::Place;
use crate::diagnostic::MAX_SCRIPT;

/// More names in one folder are not looked at.
const MOST_NAMES: usize = 4096;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// `/dev/null`, by which sysctl.d files are switched off.
    Null,
    /// A device, a socket, a FIFO.
    Other,
}

/// A file system, as far as importing needs one.
pub trait Files {
    /// What is there, if anything is.
    fn kind(&self, path: &Path) -> Option<FileKind>;

    /// The text of a file.
    ///
    /// # Errors
    /// A file that is no plain text of at most 1 MiB.
    fn read(&self, path: &Path) -> Result<String, Problem>;

    /// The names in a folder, sorted by their bytes.
    ///
    /// # Errors
    /// A folder that cannot be read, or has too many names.
    fn names(&self, folder: &Path) -> Result<Vec<String>, Problem>;
}

/// The machine's own files, or those of a tree that lies somewhere else.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    root: Option<PathBuf>,
}

impl Disk {
    /// Absolute paths are meant below this folder, as in the unpacked contents of a package.
    pub fn below(root: &Path) -> Self {
        Self { root: Some(root.to_owned()) }
    }

    fn real(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => {
                // Nothing leads out: not the root's, not a parent's.
                let inside = path.components().filter(|part| matches!(part, Component::Normal(_)));
                root.join(inside.collect::<PathBuf>())
            }
            None => path.to_owned(),
        }
    }
}

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let real = self.real(path);
        let metadata = std::fs::metadata(&real).ok()?;
        Some(if metadata.is_file() {
            FileKind::File
        } else if metadata.is_dir() {
            FileKind::Directory
        } else if real.canonicalize().is_ok_and(|target| target == Path::new("/dev/null")) {
            FileKind::Null
        } else {
            FileKind::Other
        })
    }

    fn read(&self, path: &Path) -> Result<String, Problem> {
        let real = self.real(path);
        let unreadable = |cause| Problem::Unreadable { path: path.to_owned(), cause };
        // Asked before opening: opening a FIFO would wait for a writer.
        let metadata = std::fs::metadata(&real).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Problem::NotAFile(path.to_owned()));
        }
        let too_large = |size| Problem::TooLarge { path: path.to_owned(), size };
        if metadata.len() > MAX_SCRIPT as u64 {
            return Err(too_large(format!("{} KiB", metadata.len() >> 10)));
        }
        if metadata.len() == 0 {
            // Files of /proc have no length, and reading some of them waits for ever.
            return Ok(String::new());
        }
        let mut bytes = Vec::new();
        let limit = MAX_SCRIPT as u64 + 1;
        let file = File::open(&real).map_err(unreadable)?;
        file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
        text(path, bytes)
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>, Problem> {
        let unreadable = |cause| Problem::Unreadable { path: folder.to_owned(), cause };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.real(folder)).map_err(unreadable)? {
            // A name that is not UTF-8 does not end in .conf as anybody would type it.
            names.extend(entry.map_err(unreadable)?.file_name().into_string().ok());
            if names.len() > MOST_NAMES {
                return Err(Problem::TooMany(folder.to_owned(), MOST_NAMES));
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The text of a file's bytes.
fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.len() > MAX_SCRIPT {
        let size = "more than 1 MiB".to_owned();
        return Err(Problem::TooLarge { path: path.to_owned(), size });
    }
    let at = |before: &[u8]| {
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        Place {
            file: path.into(),
            line: u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1),
        }
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Problem::NotUtf8 { at: at(error.as_bytes().get(..offset).unwrap_or_default()), offset }
    })?;
    let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
    // Characters for private use stand for something else while variables are put in.
    let odd = |char: &char| match char {
        '\n' | '\r' | '\t' => false,
        char => char.is_control() || ('\u{f0000}'..='\u{10ffff}').contains(char),
    };
    if let Some((offset, char)) = text.char_indices().find(|(_, char)| odd(char)) {
        let name = match char {
            '\0' => "NUL".to_owned(),
            char => format!("U+{:04X}", u32::from(char)),
        };
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        return Err(Problem::Character { at: at(before), name });
    }
    Ok(text)
}

/// Files that are in memory already: for tests, and for what came over a network.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Memory {
    /// Files by their absolute paths.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let owned = |(path, text): &(&str, &str)| (PathBuf::from(path), text.as_bytes().to_vec());
        Self { files: files.iter().map(owned).collect() }
    }

    /// Adds one, of any bytes.
    pub fn insert(&mut self, path: &str, bytes: &[u8]) {
        self.files.insert(PathBuf::from(path), bytes.to_vec());
    }
}

impl Files for Memory {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        if self.files.contains_key(path) {
            return Some(FileKind::File);
        }
        let inside = |file: &PathBuf| file.starts_with(path);
        self.files.keys().any(inside).then_some(FileKind::Directory)
    }

    fn read(&self, path: &Path) -> Result<String, Problem> {
        match self.files.get(path) {
            Some(bytes) => text(path, bytes.clone()),
            None => {
                let cause = std::io::ErrorKind::NotFound.into();
                Err(Problem::Unreadable { path: path.to_owned(), cause })
            }
        }
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>, Problem> {
        let inside = self.files.keys().filter(|file| file.parent() == Some(folder));
        let names = inside.filter_map(|file| file.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }
}
