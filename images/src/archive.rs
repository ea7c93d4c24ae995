//! Reading tar archives into a tree.
//!
//! ustar, GNU and pax names; contents of every size; owners and modes. Long names and pax records
//! are bounded in size, sparse files and pax's own file sizes beyond the header's are refused.

mod extensions;

use std::collections::BTreeSet;
use std::io::Read;

use tar::EntryType;

use self::extensions::{Extensions, Header};
use crate::cpio::Special;
use crate::tree::{Tree, TreeError};

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Damage, or an archive that ends early.
    #[error("damaged tar archive: {0}")]
    Damaged(#[from] std::io::Error),
    /// Something that is not supported.
    #[error("{0:?} in a tar archive: {1} is not supported")]
    Unsupported(String, &'static str),
    /// An extension header that is too long.
    #[error("damaged tar archive: a name or record of {0} bytes")]
    LongExtension(u64),
    /// Something that cannot stand in a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What is done with the entries of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteouts {
    /// `.wh.` in a name means nothing.
    Plain,
    /// The archive is a layer of an OCI image: `.wh.NAME` removes `NAME`, `.wh..wh..opq` all that
    /// lower layers have in a directory.
    Layer,
}

/// Reads an archive into `tree`: the entries for which `wanted` says yes, by their path in it.
///
/// # Errors
///
/// Every variant of [`ArchiveError`]. The tree then holds what came before.
pub fn read(
    archive: impl Read,
    tree: &mut Tree,
    whiteouts: Whiteouts,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(), ArchiveError> {
    read_layer(archive, tree, whiteouts, wanted).map(drop)
}

/// As [`read`]; gives what is known of the layer then.
fn read_layer(
    archive: impl Read,
    tree: &mut Tree,
    whiteouts: Whiteouts,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Layer, ArchiveError> {
    let mut archive = tar::Archive::new(archive);
    let mut extensions = Extensions::default();
    let mut layer = Layer::default();
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        if extensions.take(&mut entry)? {
            continue;
        }
        let header = std::mem::take(&mut extensions).apply(&entry)?;
        let path = crate::tree::normalise(&header.path)?;
        if !wanted(&path) {
            continue;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        if let (Whiteouts::Layer, Some(hidden)) = (whiteouts, name.strip_prefix(".wh.")) {
            let parent = path.strip_suffix(name).unwrap_or_default().trim_end_matches('/');
            if hidden == ".wh..opq" {
                layer.hide_lower(tree, parent)?;
            } else if !hidden.is_empty() && hidden != "." && hidden != ".." {
                tree.remove(&format!("{parent}/{hidden}"))?;
            }
            continue;
        }
        if whiteouts == Whiteouts::Layer {
            layer.own.insert(path.clone());
        }
        put(tree, &path, &header, &mut entry)?;
    }
    Ok(layer)
}

/// A layer that is being read.
#[derive(Debug, Default)]
struct Layer {
    /// What it brings itself: that is not removed by its own opaque directories.
    own: BTreeSet<String>,
    /// Directories of which nothing but `own` is left: there is nothing to look for a second time.
    hidden: BTreeSet<String>,
    /// Entries looked at for opaque directories. Each is looked at once for every directory that it
    /// lies in at the most, however often a layer says that these are opaque.
    looked: usize,
}

impl Layer {
    /// Removes what lower layers have in a directory.
    fn hide_lower(&mut self, tree: &mut Tree, directory: &str) -> Result<(), TreeError> {
        let Some((resolved, _)) = tree.lookup(directory)? else {
            // The root has no entry of its own.
            return if directory.is_empty() { self.hide_in(tree, "") } else { Ok(()) };
        };
        self.hide_in(tree, &resolved)
    }

    fn hide_in(&mut self, tree: &mut Tree, directory: &str) -> Result<(), TreeError> {
        let ends = directory.match_indices('/').map(|(at, _)| at).chain([directory.len()]);
        let above = ends.filter_map(|at| directory.get(..at));
        if self.hidden.contains("") || above.into_iter().any(|above| self.hidden.contains(above)) {
            return Ok(());
        }
        let mut lower = Vec::new();
        for (path, _) in tree.below(directory) {
            self.looked += 1;
            let below = format!("{path}/");
            let brought = self.own.contains(path)
                || self
                    .own
                    .range(below.clone()..)
                    .next()
                    .is_some_and(|own| own.starts_with(&below));
            if !brought {
                lower.push(path.to_owned());
            }
        }
        for path in lower.iter().rev() {
            tree.remove(path)?;
        }
        self.hidden.insert(directory.to_owned());
        Ok(())
    }
}

fn put(
    tree: &mut Tree,
    path: &str,
    header: &Header,
    contents: &mut dyn Read,
) -> Result<(), ArchiveError> {
    let meta = header.meta;
    let (major, minor) = header.device;
    match header.kind {
        EntryType::Regular | EntryType::Continuous => {
            // Old archives mark directories by a slash at the end alone.
            if header.path.ends_with('/') {
                tree.directory(path, meta)?;
            } else {
                tree.file(path, meta, contents)?;
            }
        }
        EntryType::Directory => tree.directory(path, meta)?,
        EntryType::Symlink => tree.symlink(path, &header.link, meta)?,
        EntryType::Link => tree.hard_link(path, &header.link)?,
        EntryType::Char => tree.special(path, Special::Character { major, minor }, meta)?,
        EntryType::Block => tree.special(path, Special::Block { major, minor }, meta)?,
        EntryType::Fifo => tree.special(path, Special::Fifo, meta)?,
        EntryType::GNUSparse => {
            return Err(ArchiveError::Unsupported(path.to_owned(), "a sparse file"));
        }
        _ => return Err(ArchiveError::Unsupported(path.to_owned(), "this kind of entry")),
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cpio::Meta;
    use crate::tree::Kind;

    /// A tar archive of `(kind, path, link or contents)`.
    pub(crate) fn tar(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (kind, path, more) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_uid(3);
            header.set_gid(4);
            header.set_mtime(5);
            let contents = if *kind == EntryType::Regular { more.as_bytes() } else { b"" };
            header.set_size(contents.len() as u64);
            // The fields are set directly: names that lead out are what is tested.
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            if *kind != EntryType::Regular {
                let link = &mut header.as_old_mut().linkname;
                link[..more.len()].copy_from_slice(more.as_bytes());
            }
            header.set_cksum();
            builder.append(&header, contents).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn read_all(bytes: &[u8]) -> Result<Tree, ArchiveError> {
        let mut tree = Tree::new(None).unwrap();
        read(bytes, &mut tree, Whiteouts::Plain, &|_| true).map(|()| tree)
    }

    #[test]
    fn a_name_that_would_end_the_initramfs_is_refused() {
        let error = read_all(&tar(&[(EntryType::Regular, "./TRAILER!!!", "")])).err().unwrap();
        assert!(error.to_string().contains("rename it"), "{error}");
        assert!(read_all(&tar(&[(EntryType::Regular, "a/TRAILER!!!", "")])).is_ok());
    }

    #[test]
    fn entries_of_all_kinds_are_read() {
        let tree = read_all(&tar(&[
            (EntryType::Directory, "./", ""),
            (EntryType::Directory, "./etc/", ""),
            (EntryType::Regular, "./etc/hosts", "localhost"),
            (EntryType::Link, "./hosts", "./etc/hosts"),
            (EntryType::Symlink, "link", "/etc"),
            (EntryType::Fifo, "fifo", ""),
        ]))
        .unwrap();
        assert_eq!(tree.read("link/hosts", 100).unwrap().unwrap(), b"localhost");
        let (_, hosts) = tree.lookup("hosts").unwrap().unwrap();
        let (_, same) = tree.lookup("etc/hosts").unwrap().unwrap();
        assert_eq!(hosts, same);
        assert_eq!(hosts.meta, Meta { mode: 0o644, uid: 3, gid: 4 });
        let (_, fifo) = tree.lookup("fifo").unwrap().unwrap();
        assert_eq!(fifo.kind, Kind::Special(Special::Fifo));
    }

    #[test]
    fn long_names_of_both_formats_are_read() {
        let long = "d/".repeat(100) + "file";
        let mut gnu = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        gnu.append_data(&mut header, &long, &b"g"[..]).unwrap();
        gnu.append_pax_extensions([("path", &*"p/".repeat(100).into_bytes())]).unwrap();
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        header.set_cksum();
        gnu.append(&header, &b""[..]).unwrap();
        let tree = read_all(&gnu.into_inner().unwrap()).unwrap();
        assert_eq!(tree.read(&long, 10).unwrap().unwrap(), b"g");
        assert!(tree.lookup(&"p/".repeat(100)).unwrap().is_some());
    }

    #[test]
    fn what_leads_out_or_in_a_circle_is_refused() {
        let bad: [&[(EntryType, &str, &str)]; 5] = [
            &[(EntryType::Regular, "../x", "")],
            &[(EntryType::Regular, "a/../../x", "")],
            &[(EntryType::Link, "x", "../../etc/shadow")],
            &[(EntryType::Link, "a", "b"), (EntryType::Link, "b", "a")],
            &[
                (EntryType::Symlink, "a", "b"),
                (EntryType::Symlink, "b", "a"),
                (EntryType::Regular, "a/x", ""),
            ],
        ];
        for entries in bad {
            assert!(matches!(read_all(&tar(entries)), Err(ArchiveError::Tree(_))), "{entries:?}");
        }
        // A link that points out is a link inside the partition; nothing is written through it.
        let mut entries = vec![(EntryType::Symlink, "out", "../../../../tmp")];
        entries.push((EntryType::Regular, "out/escaped-by-a-link", "x"));
        let tree = read_all(&tar(&entries)).unwrap();
        assert!(tree.lookup("tmp/escaped-by-a-link").unwrap().is_some());
    }

    #[test]
    fn a_truncated_archive_is_an_error() {
        let whole = tar(&[(EntryType::Regular, "a", &"x".repeat(5000))]);
        assert!(matches!(read_all(&whole[..2000]), Err(ArchiveError::Damaged(_))));
        assert!(matches!(read_all(&whole[..300]), Err(ArchiveError::Damaged(_))));
    }

    #[test]
    fn whiteouts_remove_what_lower_layers_have_and_nothing_else() {
        let mut tree = Tree::new(None).unwrap();
        let lower = tar(&[
            (EntryType::Regular, "gone", ""),
            (EntryType::Regular, "d/old", ""),
            (EntryType::Regular, "d/deep/old", ""),
            (EntryType::Regular, "dd", ""),
        ]);
        read(&lower[..], &mut tree, Whiteouts::Layer, &|_| true).unwrap();
        let upper = tar(&[
            (EntryType::Regular, ".wh.gone", ""),
            (EntryType::Regular, "d/new", ""),
            (EntryType::Regular, "d/deep/new", ""),
            (EntryType::Regular, "d/.wh..wh..opq", ""),
        ]);
        read(&upper[..], &mut tree, Whiteouts::Layer, &|_| true).unwrap();
        let names: Vec<_> = tree.entries().map(|(path, _)| path).collect();
        assert_eq!(names, ["d", "d/deep", "d/deep/new", "d/new", "dd"]);
    }

    #[test]
    fn opaque_directories_cost_no_more_than_what_is_in_them() {
        const COUNT: usize = 100_000;
        let mut tree = Tree::new(None).unwrap();
        for at in 0..COUNT {
            let name = format!("d{}/f{at}", at % 1000);
            tree.bytes(&name, Meta::root(0o644), b"").unwrap();
        }
        // Every directory is opaque, again and again, beside something of its own; then all is.
        let mut layer = Layer::default();
        for at in 0..COUNT {
            let directory = format!("d{}", at % 1000);
            layer.own.insert(format!("{directory}/f{}", at % 1000));
            layer.hide_lower(&mut tree, &directory).unwrap();
        }
        assert_eq!(tree.entries().count(), 2 * 1000);
        layer.hide_lower(&mut tree, "").unwrap();
        layer.hide_lower(&mut tree, "").unwrap();
        assert!(layer.looked <= COUNT + 2 * 1000, "{} entries looked at", layer.looked);
    }

    #[test]
    fn an_opaque_root_leaves_what_its_layer_brings() {
        let mut tree = Tree::new(None).unwrap();
        let lower = tar(&[(EntryType::Regular, "old", ""), (EntryType::Regular, "d/old", "")]);
        read(&lower[..], &mut tree, Whiteouts::Layer, &|_| true).unwrap();
        let upper = tar(&[
            (EntryType::Regular, "d/new", ""),
            (EntryType::Regular, ".wh..wh..opq", ""),
            (EntryType::Regular, "behind", ""),
        ]);
        let layer = read_layer(&upper[..], &mut tree, Whiteouts::Layer, &|_| true).unwrap();
        let names: Vec<_> = tree.entries().map(|(path, _)| path).collect();
        assert_eq!(names, ["behind", "d", "d/new"]);
        assert_eq!(layer.looked, 4, "d, d/new, d/old and old");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at: proptest::sample::Index) {
            let mut whole = tar(&[
                (EntryType::GNULongName, "a", ""),
                (EntryType::XHeader, "a", ""),
                (EntryType::Regular, "./etc/hosts", "localhost"),
                (EntryType::Char, "./null", ""),
            ]);
            let at = at.index(whole.len());
            for (to, from) in whole.iter_mut().skip(at).zip(&bytes) {
                *to = *from;
            }
            let _ = read_all(&whole);
            let _ = read_all(&bytes);
        }
    }
}
