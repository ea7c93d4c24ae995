//! A store of images as an initramfs archive, so that a server has it from the start.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use images::build::{BuildEnv, build};
use images::cpio::{Meta, Writer};
use images::manifest::Digest;
use images::store::Store;
use rig::provide;

use super::{definition, in_cache, kernel_package};
use crate::programs::programs;

/// Where a supervisor keeps its images.
const STORE: &str = "var/lib/partitiond/images";

/// The files behind an image, for whoever boots it without `partitiond`.
#[derive(Clone, Debug)]
pub struct ImageFiles {
    /// The kernel as its package has it, compressed.
    pub vmlinuz: PathBuf,
    /// The kernel as the image has it, an ELF file.
    pub vmlinux: PathBuf,
    /// The parts of the initramfs, in order.
    pub initramfs: Vec<PathBuf>,
}

/// The files of the image of a shipped definition, built where it is not in the store yet.
pub fn image_files(name: &str) -> ImageFiles {
    let cache = provide::cache_dir().expect("a place for the cache");
    let store = Store::open(in_cache(&cache, "images")).expect("a store");
    let digest = image(name, &store, &cache);
    let manifest = store.image(&digest).expect("the image").manifest;
    let (package, suite) = kernel_package(name);
    ImageFiles {
        vmlinuz: provide::kernel(&package, &suite, &cache, &()).expect("its package").image,
        vmlinux: store.blob_path(&manifest.kernel.vmlinux.digest),
        initramfs: manifest.initramfs.iter().map(|part| store.blob_path(&part.digest)).collect(),
    }
}

/// An archive with the images of these definitions, each under the definition's name.
pub fn archive(names: &[&str], cache: &Path) -> PathBuf {
    let store = Store::open(in_cache(cache, "images")).expect("a store");
    let digests: Vec<(&str, Digest)> =
        names.iter().map(|name| (*name, image(name, &store, cache))).collect();
    let key: String = digests
        .iter()
        .map(|(name, digest)| format!("{name}={}", digest.as_str()))
        .collect::<Vec<_>>()
        .join("\n");
    let path = in_cache(cache, &format!("store-{}.cpio", Digest::of(key.as_bytes()).short()));
    if !path.exists() {
        let fresh = path.with_extension(format!("{}.new", std::process::id()));
        let mut writer = Writer::new(BufWriter::new(File::create(&fresh).expect("an archive")));
        write(&mut writer, &store, &digests);
        writer.finish().expect("the archive is written");
        fs::rename(&fresh, &path).expect("the archive is moved");
    }
    path
}

fn image(name: &str, store: &Store, cache: &Path) -> Digest {
    let environment = BuildEnv {
        store,
        cache,
        guest_init: &programs().guest_init,
        busybox: None,
        base: Path::new("/"),
    };
    build(&definition(name), &environment, &()).expect("the image is built")
}

fn write(writer: &mut Writer<BufWriter<File>>, store: &Store, digests: &[(&str, Digest)]) {
    let mut folder = String::new();
    for part in STORE.split('/').chain(["blobs"]) {
        folder = if folder.is_empty() { part.to_owned() } else { format!("{folder}/{part}") };
        writer.directory(&folder, Meta::root(0o755)).expect("a folder");
    }
    for name in ["manifests", "names"] {
        writer.directory(&format!("{STORE}/{name}"), Meta::root(0o755)).expect("a folder");
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut file = |path: &Path, name: String| {
        if !seen.insert(name.clone()) {
            return;
        }
        let contents = File::open(path).expect("a file of the store");
        let size = contents.metadata().expect("its size").len();
        let mut reader = BufReader::new(contents);
        writer
            .file(&[&format!("{STORE}/{name}")], Meta::root(0o600), size, &mut reader)
            .expect("a file");
    };
    for (name, digest) in digests {
        let image = store.image(digest).expect("the image");
        for blob in image.blobs() {
            file(&store.blob_path(&blob.digest), format!("blobs/{}", blob.digest));
        }
        let manifest = format!("manifests/{digest}");
        file(&store.root().join(&manifest), manifest.clone());
        let tagged = store.root().join("names").join(name);
        store.writing().and_then(|writing| writing.tag(digest, name)).expect("a name");
        file(&tagged, format!("names/{name}"));
    }
}
