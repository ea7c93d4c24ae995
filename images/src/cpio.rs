//! The archive that Linux unpacks into its first root file system: cpio, format "newc".
//!
//! Described in the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`. What is
//! written here depends on what is put in alone: inodes are numbered as they come, times are 0.
//! Several archives may stand behind each other; each ends on a multiple of 4 bytes.

use std::io::{self, Read, Write};

/// The longest name or link target, in bytes: Linux takes no longer one (`PATH_MAX` with its NUL).
pub const MAX_NAME: usize = 4095;

/// The largest file, in bytes: sizes have eight hexadecimal digits.
pub const MAX_FILE: u64 = u32::MAX as u64;

/// The name of the entry that ends an archive.
pub(crate) const TRAILER: &str = "TRAILER!!!";

/// Who owns an entry and what may be done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meta {
    /// Permission bits with set-uid, set-gid and sticky: 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Meta {
    /// Root's, with these permission bits.
    pub const fn root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0 }
    }
}

/// What a special file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Special {
    /// A character device.
    Character {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// A name or link target is empty, too long, or has a NUL in it.
    #[error("{0:?} cannot stand in an initramfs: names have 1 to {MAX_NAME} bytes and no NUL")]
    Name(String),
    /// A name that ends an archive.
    #[error(
        "a file named {TRAILER} cannot stand at the top of an initramfs: Linux takes it for the archive's end; rename it"
    )]
    Trailer,
    /// A file is too large for the format.
    #[error("{0:?} has {1} bytes: an initramfs holds no file of 4 GiB or more; use a volume")]
    TooLarge(String, u64),
    /// A file's contents are shorter or longer than was said.
    #[error("{name:?} was to have {expected} bytes and has {found}: it changed while it was read")]
    Changed {
        /// The file.
        name: String,
        /// Bytes announced.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// A file's contents cannot be read.
    #[error("cannot read {0:?}: {1}")]
    Unreadable(String, Box<dyn std::error::Error + Send + Sync>),
    /// More than 2^32 entries.
    #[error("more files than an initramfs can number")]
    TooMany,
    /// Reading or writing failed.
    #[error("cannot write the initramfs: {0}")]
    Io(#[from] io::Error),
}

/// Writes one archive.
///
/// Names are relative and have no leading `/`. Directories come before what is in them: the kernel
/// creates none on its own.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    written: u64,
    inode: u32,
}

struct Header<'a> {
    inode: u32,
    mode: u32,
    meta: Meta,
    links: u32,
    size: u32,
    device: (u32, u32),
    name: &'a str,
}

const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

impl<W: Write> Writer<W> {
    /// An archive with nothing in it.
    pub fn new(output: W) -> Self {
        Self { output, written: 0, inode: 0 }
    }

    /// A directory.
    ///
    /// # Errors
    ///
    /// [`CpioError::Name`], or where the output cannot be written.
    pub fn directory(&mut self, name: &str, meta: Meta) -> Result<(), CpioError> {
        let inode = self.next_inode()?;
        let mode = S_IFDIR | meta.mode;
        self.header(Header { inode, mode, meta, links: 2, size: 0, device: (0, 0), name })
    }

    /// A file under one or more names, with `size` bytes of `contents`.
    ///
    /// # Errors
    ///
    /// [`CpioError::Changed`] where `contents` has another length than `size`;
    /// [`CpioError::TooLarge`] from 4 GiB.
    pub fn file(
        &mut self,
        names: &[&str],
        meta: Meta,
        size: u64,
        contents: &mut dyn Read,
    ) -> Result<(), CpioError> {
        let Some((first, others)) = names.split_first() else { return Ok(()) };
        let length =
            u32::try_from(size).map_err(|_| CpioError::TooLarge((*first).to_owned(), size))?;
        let links = u32::try_from(names.len()).map_err(|_| CpioError::TooMany)?;
        let inode = self.next_inode()?;
        let mode = S_IFREG | meta.mode;
        self.header(Header {
            inode,
            mode,
            meta,
            links,
            size: length,
            device: (0, 0),
            name: first,
        })?;
        // One byte more than announced would be read, so that a file that grew is noticed.
        let copied = io::copy(&mut contents.take(size.saturating_add(1)), &mut self.output)?;
        if copied != size {
            return Err(CpioError::Changed {
                name: (*first).to_owned(),
                expected: size,
                found: copied,
            });
        }
        self.written += copied;
        self.pad()?;
        // The kernel links further names to the first by inode number; the contents stand there.
        for name in others {
            self.header(Header { inode, mode, meta, links, size: 0, device: (0, 0), name })?;
        }
        Ok(())
    }

    /// A file whose contents are in memory.
    ///
    /// # Errors
    ///
    /// As [`Writer::file`].
    pub fn bytes(&mut self, name: &str, meta: Meta, contents: &[u8]) -> Result<(), CpioError> {
        self.file(&[name], meta, contents.len() as u64, &mut &*contents)
    }

    /// A symbolic link to `target`, which need not exist.
    ///
    /// # Errors
    ///
    /// [`CpioError::Name`] also for the target.
    pub fn symlink(&mut self, name: &str, target: &str, meta: Meta) -> Result<(), CpioError> {
        check(target)?;
        let inode = self.next_inode()?;
        self.header(Header {
            inode,
            mode: S_IFLNK | 0o777,
            meta,
            links: 1,
            size: target.len() as u32,
            device: (0, 0),
            name,
        })?;
        self.write(target.as_bytes())?;
        self.pad()
    }

    /// A device or a named pipe.
    ///
    /// # Errors
    ///
    /// [`CpioError::Name`], or where the output cannot be written.
    pub fn special(&mut self, name: &str, kind: Special, meta: Meta) -> Result<(), CpioError> {
        let inode = self.next_inode()?;
        let (kind, device) = match kind {
            Special::Character { major, minor } => (S_IFCHR, (major, minor)),
            Special::Block { major, minor } => (S_IFBLK, (major, minor)),
            Special::Fifo => (S_IFIFO, (0, 0)),
        };
        self.header(Header { inode, mode: kind | meta.mode, meta, links: 1, size: 0, device, name })
    }

    /// Ends the archive and gives the output back, with the archive's length in bytes.
    ///
    /// # Errors
    ///
    /// Where the output cannot be written.
    pub fn finish(mut self) -> Result<(W, u64), CpioError> {
        self.header(Header {
            inode: 0,
            mode: 0,
            meta: Meta::default(),
            links: 1,
            size: 0,
            device: (0, 0),
            name: TRAILER,
        })?;
        self.output.flush()?;
        Ok((self.output, self.written))
    }

    fn next_inode(&mut self) -> Result<u32, CpioError> {
        self.inode = self.inode.checked_add(1).ok_or(CpioError::TooMany)?;
        Ok(self.inode)
    }

    fn header(&mut self, header: Header<'_>) -> Result<(), CpioError> {
        check(header.name)?;
        // Only the archive's own end has this number.
        if header.name == TRAILER && header.inode != 0 {
            return Err(CpioError::Trailer);
        }
        let Header { inode, mode, meta, links, size, device, name } = header;
        let name_size = name.len() as u32 + 1;
        let fields = [
            inode, mode, meta.uid, meta.gid, links, 0, size, 0, 0, device.0, device.1, name_size, 0,
        ];
        let mut text = String::with_capacity(110 + name.len());
        text.push_str("070701");
        for field in fields {
            text.push_str(&format!("{field:08X}"));
        }
        text.push_str(name);
        text.push('\0');
        self.write(text.as_bytes())?;
        self.pad()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CpioError> {
        self.output.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self) -> Result<(), CpioError> {
        let padding = (4 - self.written % 4) % 4;
        self.write([0_u8; 4].get(..padding as usize).unwrap_or_default())
    }
}

fn check(name: &str) -> Result<(), CpioError> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        let shown: String = name.chars().take(200).collect();
        return Err(CpioError::Name(shown));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(build: impl FnOnce(&mut Writer<Vec<u8>>)) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        build(&mut writer);
        let (bytes, length) = writer.finish().unwrap();
        assert_eq!(bytes.len() as u64, length);
        assert_eq!(length % 4, 0);
        bytes
    }

    #[test]
    fn fields_are_where_the_format_has_them() {
        let bytes = archive(|cpio| {
            cpio.directory("etc", Meta::root(0o755)).unwrap();
            cpio.bytes("etc/hosts", Meta::root(0o644), b"127.0.0.1 localhost\n").unwrap();
            cpio.symlink("init", "etc/hosts", Meta::root(0o777)).unwrap();
            cpio.file(&["a", "b"], Meta { mode: 0o4755, uid: 7, gid: 8 }, 3, &mut &b"abc"[..])
                .unwrap();
            cpio.special("null", Special::Character { major: 1, minor: 3 }, Meta::root(0o666))
                .unwrap();
        });
        let expected = [
            ("etc", 0o040_755, 0, 2),
            ("etc/hosts", 0o100_644, 20, 1),
            ("init", 0o120_777, 9, 1),
            ("a", 0o104_755, 3, 2),
            ("b", 0o104_755, 0, 2),
            ("null", 0o020_666, 0, 1),
            (TRAILER, 0, 0, 1),
        ];
        let mut rest = &bytes[..];
        for (name, mode, size, links) in expected {
            let field = |index: usize| {
                let text = std::str::from_utf8(&rest[6 + index * 8..14 + index * 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap() as usize
            };
            assert_eq!(&rest[..6], b"070701");
            assert_eq!((field(1), field(6), field(4)), (mode, size, links), "{name}");
            let name_size = field(11);
            assert_eq!(&rest[110..110 + name_size - 1], name.as_bytes());
            let body = (110 + name_size).next_multiple_of(4);
            rest = &rest[(body + size).next_multiple_of(4)..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_an_error() {
        let mut cpio = Writer::new(Vec::new());
        let longer = cpio.file(&["a"], Meta::root(0o644), 2, &mut &b"abc"[..]);
        assert!(matches!(longer, Err(CpioError::Changed { expected: 2, found: 3, .. })));
        let mut cpio = Writer::new(Vec::new());
        let shorter = cpio.file(&["a"], Meta::root(0o644), 4, &mut &b"abc"[..]);
        assert!(matches!(shorter, Err(CpioError::Changed { expected: 4, found: 3, .. })));
    }

    #[test]
    fn names_and_sizes_that_the_format_cannot_hold_are_refused() {
        let mut cpio = Writer::new(Vec::new());
        assert!(matches!(cpio.directory("", Meta::root(0o755)), Err(CpioError::Name(_))));
        assert!(matches!(cpio.bytes(TRAILER, Meta::root(0o644), b""), Err(CpioError::Trailer)));
        assert!(cpio.directory("a", Meta::root(0o755)).is_ok());
        assert!(cpio.bytes("a/TRAILER!!!", Meta::root(0o644), b"").is_ok());
        let long = "x".repeat(MAX_NAME + 1);
        assert!(matches!(cpio.directory(&long, Meta::root(0o755)), Err(CpioError::Name(_))));
        let large = cpio.file(&["a"], Meta::root(0o644), 1 << 32, &mut io::repeat(0));
        assert!(matches!(large, Err(CpioError::TooLarge(..))));
    }
}
