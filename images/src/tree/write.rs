//! A tree as an archive.

use std::collections::BTreeMap;
use std::io::Write;

use super::{FileId, Kind, Tree};
use crate::cpio::{self, CpioError};

impl Tree {
    /// Writes the tree as an initramfs archive, its contents counted to `advance` as they go.
    ///
    /// # Errors
    ///
    /// [`CpioError`].
    pub fn write_cpio<W: Write>(
        &self,
        output: W,
        advance: &mut dyn FnMut(u64),
    ) -> Result<(W, u64), CpioError> {
        let mut names: BTreeMap<FileId, Vec<&str>> = BTreeMap::new();
        for (path, entry) in self.entries() {
            if let Kind::File(file) = entry.kind {
                names.entry(file).or_default().push(path);
            }
        }
        // All names of a file stand behind its first: every directory must exist by then.
        let mut archive = cpio::Writer::new(output);
        for (path, entry) in self.entries().filter(|(_, entry)| entry.kind == Kind::Directory) {
            archive.directory(path, entry.meta)?;
        }
        let mut written = 0;
        for (path, entry) in self.entries() {
            match &entry.kind {
                Kind::Directory => {}
                Kind::Symlink(target) => archive.symlink(path, target, entry.meta)?,
                Kind::Special(kind) => archive.special(path, *kind, entry.meta)?,
                Kind::File(file) => {
                    if let Some(names) = names.remove(file) {
                        let mut reader = self.reader(*file).map_err(|error| {
                            CpioError::Unreadable(path.to_owned(), error.into())
                        })?;
                        archive.file(&names, entry.meta, self.size(*file), &mut reader)?;
                        written += self.size(*file);
                        advance(written);
                    }
                }
            }
        }
        archive.finish()
    }
}
