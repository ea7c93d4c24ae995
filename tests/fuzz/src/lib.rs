//! What the fuzz targets share.

use std::path::Path;

use images::tree::{Kind, Tree, normalise};

/// Parts of the supervisor, compiled on their own: all of `partitiond`, with its servers and
/// clients, would take longer to build here than to fuzz.
#[path = "../../../partitiond/src"]
mod partitiond {
    #[allow(dead_code)]
    pub mod cluster;
}

pub use partitiond::cluster;

/// Where temporary files go: into memory where there is such a directory.
pub fn scratch() -> Option<&'static Path> {
    let memory = Path::new("/dev/shm");
    memory.is_dir().then_some(memory)
}

/// A tree for one run.
pub fn empty_tree() -> Tree {
    Tree::new(scratch()).expect("a temporary file can be made")
}

/// Checks what every tree must be, whatever it was unpacked from.
///
/// # Panics
///
/// Where a name leads out, an entry lies in none, or the tree cannot be written as an initramfs.
pub fn check_tree(tree: &Tree) {
    let directories: std::collections::BTreeSet<&str> = tree
        .entries()
        .filter(|(_, entry)| entry.kind == Kind::Directory)
        .map(|(path, _)| path)
        .collect();
    for (path, entry) in tree.entries() {
        assert!(!path.is_empty(), "an entry without a name");
        assert_eq!(normalise(path).ok().as_deref(), Some(path), "a name that leads elsewhere");
        if let Some((parent, _)) = path.rsplit_once('/') {
            assert!(directories.contains(parent), "{path:?} lies in no directory");
        }
        assert_eq!(entry.meta.mode & !0o7777, 0, "more than permission bits");
    }
    let (archive, written) =
        tree.write_cpio(Vec::new(), &mut |_| ()).expect("whatever was unpacked can be packed");
    assert_eq!(archive.len() as u64, written);
    assert!(archive.len().is_multiple_of(4));
}

/// Takes small numbers off the front of an input.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next `N` bytes, zeros behind the end.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let (front, rest) = self.0.split_at(self.0.len().min(N));
        bytes[..front.len()].copy_from_slice(front);
        self.0 = rest;
        bytes
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// The next bytes, as many of `count` as there are.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(self.0.len().min(count));
        self.0 = rest;
        front
    }
}
