//! Debian's own packages become images. Fetches some 300 MB the first time, into the user's cache;
//! run it with `cargo test -p images --test real_packages -- --ignored`. Without a network and a
//! cache it fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use images::build::{BuildEnv, build};
use images::cpio::Meta;
use images::debian::PackageSource;
use images::definition::shipped;
use images::manifest::Digest;
use images::modules::CLOSURE;
use images::progress::Progress;
use images::store::Store;
use images::tree::Tree;

struct Print;

impl Progress for Print {
    fn step(&self, name: &str) {
        eprintln!("{name}");
    }
    fn advance(&self, _: u64, _: u64) {}
    fn note(&self, text: &str) {
        eprintln!("note: {text}");
    }
}

fn cache() -> PathBuf {
    Store::default_cache().expect("HOME is set")
}

/// busybox plays guest-init: any static program will do for building.
fn static_program(directory: &Path) -> PathBuf {
    let packages = PackageSource::new(cache().join("apt"));
    let suite = packages.system_suite().expect("the tests run on Debian");
    let fetched = packages.fetch("busybox-static", &suite, &Print).expect("busybox is fetched");
    let mut tree = Tree::new(None).unwrap();
    for package in &fetched {
        images::kernel::add_package(package, &mut tree, &|path| path.ends_with("/busybox"))
            .unwrap();
    }
    let busybox = tree.entries().map(|(path, _)| path.to_owned()).find(|p| p.ends_with("/busybox"));
    let program = tree.read(&busybox.unwrap(), 1 << 26).unwrap().unwrap();
    let path = directory.join("guest-init");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn make(store: &Store, guest_init: &Path, name: &str) -> Digest {
    let cache = cache();
    let env = BuildEnv { store, cache: &cache, guest_init, busybox: None, base: Path::new(".") };
    let definition = shipped(name).unwrap().unwrap();
    build(&definition, &env, &Print).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Checks what guest-init relies on: every module stands behind those that it needs.
fn check_closure(text: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let (name, rest) = line.split_once(": ").unwrap();
        let mut words = rest.split(' ');
        assert!(words.next().unwrap().ends_with(".ko"), "{line}");
        for need in words {
            assert!(seen.contains(need), "{line}");
        }
        assert!(seen.insert(name.to_owned()), "{line}");
    }
    seen
}

#[test]
#[ignore = "fetches packages"]
fn every_shipped_kernel_becomes_an_image() {
    let directory = tempfile::tempdir().unwrap();
    let guest_init = static_program(directory.path());
    let store = Store::open(directory.path().join("store")).unwrap();
    for (name, release, built_in) in [
        ("linux-5.10-cloud", "5.10.0-", "nvme"),
        ("linux-6.1-cloud", "6.1.0-", "ext4"),
        ("linux-6.12-cloud", "6.12.", "virtio_ring"),
        ("linux-6.12-rt", "6.12.", "virtio_console"),
        ("linux-7.2-cloud", "7.2.", "virtio_ring"),
    ] {
        let digest = make(&store, &guest_init, name);
        let image = store.image(&digest).unwrap();
        let kernel = &image.manifest.kernel;
        assert!(kernel.release.starts_with(release), "{name}: {}", kernel.release);
        assert_eq!(kernel.release.contains("-rt-"), name.ends_with("-rt"));
        assert!(kernel.selection.carried.contains(&"virtio_mmio".to_owned()), "{name}");
        assert!(kernel.selection.builtin.contains(&built_in.to_owned()), "{name}");
        let vmlinux = fs::read(store.blob_path(&kernel.vmlinux.digest)).unwrap();
        let elf = images::elf::kernel(&vmlinux).unwrap();
        assert!(elf.segments.len() >= 2, "{name}");
        let modules = fs::read(store.blob_path(&kernel.modules.digest)).unwrap();
        let text = String::from_utf8_lossy(&modules).into_owned();
        let start = text.find(&format!("{CLOSURE}\0")).unwrap();
        let text = text[start + CLOSURE.len()..].trim_start_matches('\0');
        // Padding or the next header ends it.
        let closure =
            check_closure(text.split(['\0']).next().unwrap().split("070701").next().unwrap());
        assert_eq!(closure, kernel.selection.carried.iter().cloned().collect(), "{name}");
        store.verify(&digest).unwrap();
    }
    let again = Store::open(directory.path().join("again")).unwrap();
    assert_eq!(
        make(&store, &guest_init, "linux-6.1-cloud"),
        make(&again, &guest_init, "linux-6.1-cloud"),
        "an image made a second time, in another store"
    );
}

#[test]
#[ignore = "fetches packages"]
fn a_program_comes_with_all_that_it_needs() {
    let packages = PackageSource::new(cache().join("apt"));
    let suite = packages.system_suite().unwrap();
    let closure = packages.fetch_closure(&["util-linux"], &suite, &Print).unwrap();
    let mut tree = Tree::new(None).unwrap();
    tree.directory("usr", Meta::root(0o755)).unwrap();
    for path in &closure {
        let file = fs::File::open(path).unwrap();
        let data = images::debian::deb::data(file).unwrap();
        images::archive::read(data, &mut tree, images::archive::Whiteouts::Plain, &|_| true)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    assert!(tree.lookup("lib64/ld-linux-x86-64.so.2").unwrap().is_some(), "the dynamic linker");
    let unknown = packages.fetch("linux-image-of-nobody", &suite, &Print).unwrap_err();
    assert!(unknown.to_string().contains("linux-image-"), "{unknown}");
}
