//! What a journal needs of a file system, and no more, so that a test can lose power at any point.

use std::io;

/// One directory of small files.
pub trait Storage {
    /// The names of all files.
    ///
    /// # Errors
    ///
    /// What the file system says, as for all of these.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// A file's contents; an error where there are more than `limit` bytes.
    ///
    /// # Errors
    ///
    /// See [`Storage::list`].
    fn read(&mut self, name: &str, limit: usize) -> io::Result<Vec<u8>>;

    /// Writes a new file, over one of that name. It may be lost with power until it is
    /// [synced](Storage::sync) and so is [its name](Storage::sync_directory).
    ///
    /// # Errors
    ///
    /// See [`Storage::list`].
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file at `at` bytes and adds these there.
    ///
    /// # Errors
    ///
    /// See [`Storage::list`].
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Brings a file's contents to disk.
    ///
    /// # Errors
    ///
    /// See [`Storage::list`].
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, taking that from a file that has it.
    ///
    /// # Errors
    ///
    /// See [`Storage::list`].
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Brings all names to disk.
    ///
    /// # Errors
    ///
    /// See [`Storage::list`].
    fn sync_directory(&mut self) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// See [`Storage::list`].
    fn remove(&mut self, name: &str) -> io::Result<()>;
}
