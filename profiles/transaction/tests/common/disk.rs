//! A disk that loses power: what was not synced may be gone, there, or there in part.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use transaction::journal::Storage;

/// Outlives the engine that writes to it.
#[derive(Debug, Clone, Default)]
pub struct Disk(Rc<RefCell<Inner>>);

#[derive(Debug, Clone, Default)]
struct Inner {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    /// How many syncs there were.
    syncs: u32,
}

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

/// What is left of what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// Nothing.
    Lost,
    /// All of it.
    Kept,
    /// Names, and the first half of what files had more.
    Torn,
    /// Names, and zeros instead of what files had more.
    Zeroed,
}

impl Disk {
    /// The disk after power was cut.
    pub fn cut(&self, cut: Cut) -> Self {
        let mut inner = self.0.borrow().clone();
        if matches!(cut, Cut::Lost) {
            inner.names = inner.synced_names.clone();
        }
        for file in &mut inner.files {
            let more = file.bytes.len().saturating_sub(file.synced.len());
            match cut {
                Cut::Lost => file.bytes = file.synced.clone(),
                Cut::Kept => {}
                Cut::Torn => file.bytes.truncate(file.synced.len() + more / 2),
                Cut::Zeroed => {
                    let length = file.bytes.len();
                    file.bytes[length - more..].fill(0);
                }
            }
            file.synced = file.bytes.clone();
        }
        inner.synced_names = inner.names.clone();
        Self(Rc::new(RefCell::new(inner)))
    }

    /// The disk as it is, which goes its own way from here.
    pub fn copy(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    /// How many syncs there were.
    pub fn syncs(&self) -> u32 {
        self.0.borrow().syncs
    }
}

fn missing() -> io::Error {
    ErrorKind::NotFound.into()
}

impl Inner {
    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let at = *self.names.get(name).ok_or_else(missing)?;
        self.files.get_mut(at).ok_or_else(missing)
    }
}

impl Storage for Disk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn read(&mut self, name: &str, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = self.0.borrow_mut().file(name)?.bytes.clone();
        if bytes.len() > limit { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.files.push(File { bytes: bytes.to_vec(), synced: Vec::new() });
        let at = inner.files.len() - 1;
        inner.names.insert(name.to_owned(), at);
        Ok(())
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let file = inner.file(name)?;
        file.bytes.truncate(usize::try_from(at).unwrap());
        file.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.syncs += 1;
        let file = inner.file(name)?;
        file.synced = file.bytes.clone();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let at = inner.names.remove(from).ok_or_else(missing)?;
        inner.names.insert(to.to_owned(), at);
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.syncs += 1;
        inner.synced_names = inner.names.clone();
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.borrow_mut().names.remove(name).map(|_| ()).ok_or_else(missing)
    }
}
