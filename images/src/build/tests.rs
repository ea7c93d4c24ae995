use std::fs;

use super::*;
use crate::elf::tests::small_kernel;

fn definition(text: &str) -> Definition {
    let source = notation::Source::new("image.ron", text);
    Definition::parse(source).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A directory with everything that a build needs.
struct Bench {
    directory: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("vmlinux"), small_kernel(b"Linux version 6.1.0-test (x)")).unwrap();
        fs::write(path.join("guest-init"), small_kernel(b"guest-init")).unwrap();
        fs::write(path.join("busybox"), small_kernel(b"busybox")).unwrap();
        fs::create_dir_all(path.join("modules/kernel")).unwrap();
        fs::write(path.join("modules/modules.builtin"), "kernel/fs/ext4.ko\n").unwrap();
        fs::create_dir_all(path.join("root/usr/lib")).unwrap();
        fs::write(path.join("root/usr/lib/file"), "contents").unwrap();
        fs::hard_link(path.join("root/usr/lib/file"), path.join("root/usr/lib/same")).unwrap();
        std::os::unix::fs::symlink("usr/lib", path.join("root/lib")).unwrap();
        let store = Store::open(path.join("store")).unwrap();
        Self { directory, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn build(&self, text: &str) -> Result<Digest, BuildError> {
        self.build_in(&self.store, text, &())
    }

    fn build_in(
        &self,
        store: &Store,
        text: &str,
        progress: &dyn Progress,
    ) -> Result<Digest, BuildError> {
        let (guest_init, busybox) = (self.path("guest-init"), self.path("busybox"));
        let env = BuildEnv {
            store,
            cache: &self.path("cache"),
            guest_init: &guest_init,
            busybox: Some(&busybox),
            base: self.directory.path(),
        };
        build(&definition(text), &env, progress)
    }

    /// The names in an image's archives.
    fn names(&self, digest: &Digest) -> Vec<String> {
        self.files(digest).into_iter().map(|(name, _)| name).collect()
    }

    /// One file out of an image's archives.
    fn file(&self, digest: &Digest, name: &str) -> Vec<u8> {
        let mut files = self.files(digest).into_iter();
        files.find(|(other, _)| other == name).expect("the file is there").1
    }

    fn files(&self, digest: &Digest) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for blob in self.store.image(digest).unwrap().manifest.initramfs {
            let bytes = fs::read(self.store.blob_path(&blob.digest)).unwrap();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let field = |index: usize| {
                    let text = std::str::from_utf8(&rest[6 + index * 8..14 + index * 8]).unwrap();
                    usize::from_str_radix(text, 16).unwrap()
                };
                let (size, name) = (field(6), field(11));
                let text = std::str::from_utf8(&rest[110..110 + name - 1]).unwrap();
                let contents = (110 + name).next_multiple_of(4);
                files.push((text.to_owned(), rest[contents..contents + size].to_owned()));
                rest = &rest[(contents + size).next_multiple_of(4)..];
            }
        }
        files
    }
}

const MINIMAL: &str = r#"(kernel: File(path: "vmlinux", modules: "modules"), rootfs: Minimal,
    workloads: [(name: "web", argv: ["/bin/httpd"])])"#;
const DIRECTORY: &str =
    r#"(kernel: File(path: "vmlinux", modules: "modules"), rootfs: Directory("root"))"#;

/// Tells whether a build was skipped.
#[derive(Default)]
struct Steps(std::sync::Mutex<Vec<String>>);

impl Progress for Steps {
    fn step(&self, name: &str) {
        self.0.lock().unwrap().push(name.to_owned());
    }
    fn advance(&self, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
}

#[test]
fn an_image_holds_guest_init_its_configuration_and_the_modules() {
    let bench = Bench::new();
    let digest = bench.build(MINIMAL).unwrap();
    let image = bench.store.image(&digest).unwrap();
    assert_eq!(image.manifest.kernel.release, "6.1.0-test");
    assert_eq!(image.manifest.workloads[0].name, "web");
    assert!(image.manifest.kernel.selection.builtin.contains(&"ext4".to_owned()));
    assert!(image.manifest.kernel.selection.absent.contains(&"virtio".to_owned()));
    let names = bench.names(&digest);
    for name in [
        ".partition/init",
        ".partition/image.json",
        "bin/sh",
        "init",
        "lib/modules/6.1.0-test/modules.order-closure",
    ] {
        assert!(names.iter().any(|one| one == name), "{name}");
    }
    bench.store.verify(&digest).unwrap();
}

/// The builder writes what guest-init reads.
#[test]
fn guest_init_loads_the_modules_that_a_definition_names() {
    let bench = Bench::new();
    for (name, info) in
        [("tun", "depends="), ("net_failover", "depends="), ("veth", "depends=net-failover")]
    {
        let module = crate::modules::tests::module(info);
        fs::write(bench.path(&format!("modules/kernel/{name}.ko")), module).unwrap();
    }
    let text = |modules: &str| {
        format!(
            r#"(kernel: File(path: "vmlinux", modules: "modules"), modules: [{modules}],
                workloads: [(name: "web", argv: ["/bin/httpd"])])"#
        )
    };
    let digest = bench.build(&text(r#""veth", "ext4", "tun", "net-failover""#)).unwrap();
    let json = bench.file(&digest, ".partition/image.json");
    let image = guest_init::configuration::image::parse(&json).unwrap();
    assert_eq!(image.modules, ["veth", "tun", "net_failover"], "ext4 is built in");
    assert_eq!(image.workloads[0].name, "web");
    let list = bench.file(&digest, "lib/modules/6.1.0-test/modules.order-closure");
    let list = String::from_utf8(list).unwrap();
    let list = guest_init::configuration::modules::ModuleList::parse(&list).unwrap();
    let (paths, missing) = list.order(&image.modules);
    assert_eq!(paths, ["kernel/net_failover.ko", "kernel/veth.ko", "kernel/tun.ko"]);
    assert!(missing.is_empty());
    assert_eq!(bench.store.image(&digest).unwrap().manifest.modules, image.modules);

    let error = bench.build(&text(r#""tun", "tunn""#)).unwrap_err().to_string();
    assert!(error.contains("kernel 6.1.0-test has no module tunn"), "{error}");
    let error = bench.build(r#"(kernel: File("vmlinux"), modules: ["tun"])"#).unwrap_err();
    assert!(error.to_string().contains("not where they are"), "{error}");
}

#[test]
fn modules_go_where_lib_leads() {
    let bench = Bench::new();
    let digest = bench.build(DIRECTORY).unwrap();
    let names = bench.names(&digest);
    let modules = "usr/lib/modules/6.1.0-test/modules.order-closure";
    assert!(names.iter().any(|name| name == modules));
    assert!(names.iter().any(|name| name == "lib"));
    assert!(!names.iter().any(|name| name.starts_with("lib/")));
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (bench, other) = (Bench::new(), Bench::new());
    let second = Store::open(bench.path("second")).unwrap();
    assert_eq!(
        bench.build(MINIMAL).unwrap(),
        bench.build_in(&second, MINIMAL, &()).unwrap(),
        "in another store"
    );
    assert_eq!(
        bench.build(DIRECTORY).unwrap(),
        other.build(DIRECTORY).unwrap(),
        "from another directory"
    );
}

#[test]
fn only_changed_inputs_are_built_again() {
    let bench = Bench::new();
    let run = |text: &str| {
        let steps = Steps::default();
        let digest = bench.build_in(&bench.store, text, &steps).unwrap();
        let skipped =
            steps.0.lock().unwrap().iter().any(|step| step.starts_with("nothing changed"));
        (digest, skipped)
    };
    let (first, skipped) = run(DIRECTORY);
    assert!(!skipped);
    assert_eq!(run(DIRECTORY), (first.clone(), true));
    fs::write(bench.path("root/usr/lib/file"), "CONTENTS").unwrap();
    let (second, skipped) = run(DIRECTORY);
    assert!(!skipped && second != first);
    fs::write(bench.path("guest-init"), small_kernel(b"guest-next")).unwrap();
    let (third, skipped) = run(DIRECTORY);
    assert!(!skipped && third != second);
    // A blob that is gone is built again.
    let image = bench.store.image(&third).unwrap();
    fs::remove_file(bench.store.blob_path(&image.manifest.initramfs[1].digest)).unwrap();
    assert_eq!(run(DIRECTORY), (third, false));
}

#[test]
fn bad_definitions_make_no_image() {
    let bench = Bench::new();
    fs::write(bench.path("text"), "no kernel").unwrap();
    let bad = [
        r#"(kernel: File("missing"), rootfs: Minimal)"#,
        r#"(kernel: File("text"), rootfs: Minimal)"#,
        r#"(kernel: File(path: "vmlinux", modules: "root"), rootfs: Minimal)"#,
        r#"(kernel: File("vmlinux"), rootfs: Directory("text"))"#,
        r#"(kernel: File("vmlinux"), rootfs: Tar("text"))"#,
        r#"(kernel: File("vmlinux"), rootfs: Oci("root"))"#,
    ];
    for text in bad {
        let error = bench.build(text).unwrap_err();
        assert!(!error.to_string().is_empty(), "{text}");
    }
    assert!(bench.store.list().unwrap().is_empty());
}

#[test]
fn a_tar_archive_becomes_a_root_file_system() {
    let bench = Bench::new();
    let entries = [(tar::EntryType::Regular, "etc/motd", "welcome")];
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &crate::archive::tests::tar(&entries)).unwrap();
    fs::write(bench.path("root.tar.gz"), packed.finish().unwrap()).unwrap();
    let digest = bench.build(r#"(kernel: File("vmlinux"), rootfs: Tar("root.tar.gz"))"#).unwrap();
    let names = bench.names(&digest);
    assert!(names.iter().any(|name| name == "etc/motd"));
    assert!(names.iter().any(|name| name == ".partition/init"));
}
