use super::*;
use crate::manifest::Kernel;

fn manifest(writing: &Writing<'_>, kernel: &[u8], rootfs: &[u8]) -> Manifest {
    let put = |bytes: &[u8]| writing.put_blob(&mut &*bytes).unwrap();
    let modules = put(b"modules");
    Manifest {
        kernel: Kernel {
            release: "6.1.0".to_owned(),
            vmlinux: put(kernel),
            modules: modules.clone(),
            origin: "a test".to_owned(),
            selection: Default::default(),
        },
        initramfs: vec![modules, put(rootfs)],
        cmdline: String::new(),
        profile: None,
        modules: Vec::new(),
        workloads: Vec::new(),
    }
}

fn two_images() -> (tempfile::TempDir, Store, [Digest; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let writing = store.writing().unwrap();
    let digests = [b"first", b"other"]
        .map(|rootfs| writing.put_manifest(&manifest(&writing, b"kernel", rootfs)).unwrap());
    writing.tag(&digests[0], "first").unwrap();
    drop(writing);
    (directory, store, digests)
}

#[test]
fn images_are_found_by_name_and_by_the_beginning_of_their_digest() {
    let (_directory, store, [first, other]) = two_images();
    assert_eq!(store.resolve("first").unwrap().digest, first);
    assert_eq!(store.resolve(&other.as_str()[..12]).unwrap().digest, other);
    assert_eq!(store.resolve(other.as_str()).unwrap().names, Vec::<String>::new());
    for unknown in ["nothing", "", "../names/first", "ffff\0", "first/"] {
        assert!(matches!(store.resolve(unknown), Err(StoreError::Unknown(_))), "{unknown:?}");
    }
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn equal_contents_are_stored_once_and_go_with_the_last_image() {
    let (_directory, store, [first, other]) = two_images();
    // kernel, modules, two root file systems
    assert_eq!(store.size().unwrap(), 6 + 7 + 5 + 5);
    assert_eq!(store.remove(&first).unwrap(), 5);
    assert!(matches!(store.resolve("first"), Err(StoreError::Unknown(_))));
    store.verify(&other).unwrap();
    assert_eq!(store.remove(&other).unwrap(), 18);
    assert_eq!(store.size().unwrap(), 0);
}

#[test]
fn corruption_is_noticed() {
    let (_directory, store, [first, _]) = two_images();
    let image = store.resolve("first").unwrap();
    let kernel = &image.manifest.kernel.vmlinux;
    fs::write(store.blob_path(&kernel.digest), b"kerneL").unwrap();
    assert!(matches!(store.verify(&first), Err(StoreError::Corrupted { .. })));
    assert!(matches!(store.open_blob_verified(kernel), Err(StoreError::Corrupted { .. })));
    fs::write(store.blob_path(&kernel.digest), b"kern").unwrap();
    assert!(matches!(store.open_blob(kernel), Err(StoreError::Corrupted { .. })));
    fs::remove_file(store.blob_path(&kernel.digest)).unwrap();
    assert!(matches!(store.open_blob(kernel), Err(StoreError::Missing(_))));
    // Writing it again mends it.
    store.writing().unwrap().put_blob(&mut &b"kernel"[..]).unwrap();
    store.verify(&first).unwrap();
    let path = store.path("manifests", first.as_str());
    let text = fs::read_to_string(&path).unwrap().replace("6.1.0", "6.1.1");
    fs::write(&path, text).unwrap();
    assert!(matches!(store.image(&first), Err(StoreError::Manifest(..))));
    assert!(store.collect().is_err(), "what a damaged manifest refers to is not known");
}

#[test]
fn names_are_checked() {
    let (_directory, store, [first, other]) = two_images();
    let writing = store.writing().unwrap();
    for bad in ["", ".hidden", "a/b", "A", &"x".repeat(64), other.as_str()] {
        assert!(matches!(writing.tag(&first, bad), Err(StoreError::Name(_))), "{bad:?}");
    }
    writing.tag(&other, "first").unwrap();
    assert_eq!(store.resolve("first").unwrap().digest, other);
    store.untag("first").unwrap();
    assert!(matches!(store.untag("first"), Err(StoreError::Unknown(_))));
}

#[test]
fn nothing_is_removed_while_something_is_added() {
    let (_directory, store, _) = two_images();
    let writing = store.writing().unwrap();
    let blob = writing.put_blob(&mut &b"not yet referred to"[..]).unwrap();
    let collecting = std::thread::spawn({
        let store = store.clone();
        move || store.collect().unwrap()
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(store.has_blob(&blob.digest));
    drop(writing);
    assert_eq!(collecting.join().unwrap(), 19);
    assert!(!store.has_blob(&blob.digest));
}

#[test]
fn an_image_needs_its_blobs() {
    let (_directory, store, _) = two_images();
    let writing = store.writing().unwrap();
    let mut manifest = manifest(&writing, b"kernel", b"first");
    manifest.kernel.vmlinux.digest = Digest::of(b"never stored");
    assert!(matches!(writing.put_manifest(&manifest), Err(StoreError::Missing(_))));
}
