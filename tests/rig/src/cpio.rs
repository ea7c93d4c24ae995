//! Initramfs archives in the "newc" form (kernel `Documentation/driver-api/early-userspace/
//! buffer-format.rst`).

use std::io::{self, Read, Write};
use std::path::{Component, Path};

/// File type bits of the mode field (`stat.h`).
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// The kernel reads concatenated archives if each starts at a multiple of four bytes.
const ALIGNMENT: u64 = 4;

/// Writes one archive. Everything in it belongs to root and has time 0.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    written: u64,
    inode: u32,
}

impl<W: Write> Writer<W> {
    /// An empty archive.
    pub fn new(to: W) -> Self {
        Self { to, written: 0, inode: 0 }
    }

    /// A folder; it must come before what is in it.
    ///
    /// # Errors
    ///
    /// Those of the writer, and `InvalidInput` for a path that is not plain.
    pub fn directory(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.header(path, DIRECTORY | mode & 0o7777, 0)
    }

    /// A symbolic link.
    ///
    /// # Errors
    ///
    /// As [`Writer::directory`].
    pub fn symlink(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        let target = target.as_os_str().as_encoded_bytes();
        self.header(path, SYMLINK | 0o777, target.len() as u64)?;
        self.put(target)?;
        self.pad()
    }

    /// A regular file of exactly `len` bytes.
    ///
    /// # Errors
    ///
    /// As [`Writer::directory`]; also where `contents` ends early or `len` is 4 GiB or more.
    pub fn file(
        &mut self,
        path: &Path,
        mode: u32,
        len: u64,
        contents: impl Read,
    ) -> io::Result<()> {
        self.header(path, REGULAR | mode & 0o7777, len)?;
        let copied = io::copy(&mut contents.take(len), &mut self.to)?;
        if copied != len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{} became shorter while it was read", path.display()),
            ));
        }
        self.written += len;
        self.pad()
    }

    /// Ends the archive and gives the writer back.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry(b"TRAILER!!!", 0, 0)?;
        Ok(self.to)
    }

    fn header(&mut self, path: &Path, mode: u32, len: u64) -> io::Result<()> {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || path.as_os_str().is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{}` is not a relative path without dots", path.display()),
            ));
        }
        self.inode += 1;
        self.entry(path.as_os_str().as_encoded_bytes(), mode, len)
    }

    fn entry(&mut self, name: &[u8], mode: u32, len: u64) -> io::Result<()> {
        let len = u32::try_from(len)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a file of 4 GiB or more"))?;
        // magic, ino, mode, uid, gid, nlink, mtime, filesize, major, minor, rmajor, rminor,
        // namesize with its NUL, check
        let header = format!(
            "070701{:08x}{mode:08x}{zero:08x}{zero:08x}{:08x}{zero:08x}{len:08x}{zero:08x}{zero:08x}\
             {zero:08x}{zero:08x}{:08x}{zero:08x}",
            self.inode,
            1,
            name.len() + 1,
            zero = 0,
        );
        self.put(header.as_bytes())?;
        self.put(name)?;
        self.put(b"\0")?;
        self.pad()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        while !self.written.is_multiple_of(ALIGNMENT) {
            self.put(b"\0")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_laid_out_as_the_kernel_reads_them() {
        let mut writer = Writer::new(Vec::new());
        writer.directory(Path::new("etc"), 0o755).unwrap();
        writer.file(Path::new("etc/a"), 0o644, 3, &b"abc"[..]).unwrap();
        let bytes = writer.finish().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.len() % 4, 0);
        assert!(text.starts_with("07070100000001000041ed"));
        let file = &text[text.find("etc/a").unwrap() - 110..];
        assert!(file.starts_with("07070100000002000081a4"));
        assert_eq!(&file[54..62], "00000003");
        assert_eq!(&file[94..102], "00000006");
        assert_eq!(&file[110..120], "etc/a\0abc\0");
    }

    #[test]
    fn a_path_out_of_the_root_is_refused() {
        let mut writer = Writer::new(Vec::new());
        assert!(writer.directory(Path::new("../etc"), 0o755).is_err());
        assert!(writer.directory(Path::new("/etc"), 0o755).is_err());
        assert!(writer.directory(Path::new(""), 0o755).is_err());
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let mut writer = Writer::new(Vec::new());
        assert!(writer.file(Path::new("a"), 0o644, 4, &b"abc"[..]).is_err());
    }
}
