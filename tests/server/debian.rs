//! Programs of Debian as an initramfs archive, for servers that have more than busybox.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use images::archive::{Whiteouts, read};
use images::cpio::Meta;
use images::debian::{PackageSource, deb};
use images::manifest::Digest;
use images::tree::Tree;

use super::in_cache;

/// The release whose packages they are.
const SUITE: &str = "bookworm";
/// Accounts that packages make when they are installed, which nobody does here.
const USERS: &str =
    "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/bin/false\n";
const GROUPS: &str = "root:x:0:\nmessagebus:x:100:\n";

/// An archive with these packages and all that they need, unpacked as if by `dpkg`, but that their scripts do
/// not run.
pub fn archive(packages: &[&str], cache: &Path) -> PathBuf {
    let source = PackageSource::new(cache.join("apt"));
    let closure = source.fetch_closure(packages, SUITE, &()).expect("packages of Debian");
    let names: Vec<String> =
        closure.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let key = format!("{USERS}{GROUPS}{}", names.join("\n"));
    let path = in_cache(cache, &format!("debian-{}.cpio", Digest::of(key.as_bytes()).short()));
    if !path.exists() {
        let mut tree = Tree::new(None).expect("room for a tree");
        for package in closure {
            let file = File::open(&package).expect("a package");
            let data = deb::data(file).expect("its files");
            read(data, &mut tree, Whiteouts::Plain, &is_wanted).expect("its files");
        }
        tree.bytes("etc/passwd", Meta::root(0o644), USERS.as_bytes()).expect("a file");
        tree.bytes("etc/group", Meta::root(0o644), GROUPS.as_bytes()).expect("a file");
        let fresh = path.with_extension(format!("{}.new", std::process::id()));
        let file = BufWriter::new(File::create(&fresh).expect("an archive"));
        tree.write_cpio(file, &mut |_| ()).expect("the archive is written");
        fs::rename(&fresh, &path).expect("the archive is moved");
    }
    path
}

/// All but what nobody reads in a server without people.
fn is_wanted(path: &str) -> bool {
    !["usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}
