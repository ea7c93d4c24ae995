//! Bad input: a clear message, the documented exit status, and nothing changed, while a good
//! partition runs on.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a scenario ends where something does not work"
)]

use std::path::Path;
use std::sync::Mutex;

use boot::units::Bytes;
use rig::{Topology, provide};
use scenarios::tar::entry;
use scenarios::{HostState, Server, Setup, programs, scenario};

/// The partition that runs throughout, and one that cannot be.
const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    partitions: {
        "db": (image: "linux-6.1-cloud", cpus: Set("2")),
        BAD
    },
)
"#;

/// `partitiond`'s documented exit statuses.
const FAILED: i32 = 1;
const NOT_FOUND: i32 = 3;
const REFUSED: i32 = 4;
const INVALID: i32 = 5;

/// Partitions that cannot be: what they say, the exit status, and what the message has to say.
const PARTITIONS: &[(&str, i32, &[&str])] = &[
    // What contradicts something else.
    (
        r#""bad": (image: "linux-6.12-rt", cpus: Set("2-3")),"#,
        INVALID,
        &[r#"CPU 2 asked for by both "bad" and "db""#, "^^^^", "give one of them other CPUs"],
    ),
    (
        r#""bad": (image: "linux-6.12-rt"), "bad": (image: "linux-6.12-rt"),"#,
        INVALID,
        &[r#""bad""#, "^^^^", "twice"],
    ),
    // What the machine does not have, or does not give away.
    (
        r#""bad": (image: "linux-6.12-rt", memory: "64GiB"),"#,
        INVALID,
        &[r#""bad" asks for 64GiB"#, "left to give away", "^^^^", "ask for less"],
    ),
    (
        r#""bad": (image: "linux-6.12-rt", cpus: Set("0")),"#,
        INVALID,
        &[r#""bad" asks for CPU 0, on which the host's kernel booted"#, "^^^^", "ask for others"],
    ),
    (
        r#""bad": (image: "linux-6.12-rt", cpus: Set("3,9")),"#,
        INVALID,
        &["CPU 9, which the machine does not have", "^^^^", "its CPUs go up to 3"],
    ),
    (
        r#""bad": (image: "linux-6.12-rt", cpus: Count(4)),"#,
        INVALID,
        &[r#""bad""#, "4 CPUs", "^^^^"],
    ),
    (
        r#""bad": (image: "linux-6.12-rt", numa: Nodes([3])),"#,
        INVALID,
        &["node 3, which is not there", "^^^^", "the nodes of this machine are 0"],
    ),
    (
        r#""bad": (image: "linux-6.12-rt", memory_source: SoftReserved),"#,
        INVALID,
        &["which this machine does not have", "^^^^", "or take `Hugetlb`"],
    ),
    (
        r#""bad": (image: "linux-6.12-rt", backend: Kvm),"#,
        REFUSED,
        &[
            "cannot run kvm partitions",
            "/dev/kvm cannot be opened",
            "load `kvm_intel` or `kvm_amd`",
        ],
    ),
    (
        r#""bad": (image: "linux-6.12-rt", disks: [(name: "x", path: "/x")]),"#,
        INVALID,
        &["a bare partition has no virtual disks", "^^^^", "take `backend: Kvm`"],
    ),
    // What is misspelt, or of the wrong kind.
    (
        r#""bad": (image: "linux-6.12-rt", cpu: Count(1)),"#,
        INVALID,
        &["`cpu`", "^^^", "did you mean `cpus`"],
    ),
    (
        r#""bad": (image: "linux-6.12-tr"),"#,
        INVALID,
        &[r#"there is no image "linux-6.12-tr""#, "did you mean", "linux-6.12-rt", "image ls"],
    ),
    (r#""bad": (image: "linux-6.12-rt", memory: "lots"),"#, INVALID, &["lots", "^^^^", "512MiB"]),
    (
        r#""bad": (image: "linux-6.12-rt", memory: "513MiB"),"#,
        INVALID,
        &["513MiB is not a whole number of pages of 2MiB", "expected 512MiB or 514MiB"],
    ),
    (r#""bad": (image: "linux-6.12-rt", cpus: Set("3-1")),"#, INVALID, &["3-1", "^^^^"]),
    (
        r#""bad": (image: "linux-6.12-rt", profile: "nothing.ks"),"#,
        INVALID,
        &["nothing.ks", "^^^^", "expected a KernelScript file"],
    ),
    (
        r#""bad": (image: "linux-6.12-rt", networks: ["lan"]),"#,
        INVALID,
        &["no networks yet", "remove this field"],
    ),
    (r#""bad": (image: "linux-6.12-rt""#, INVALID, &["^", "error"]),
    // Words that keep the partition's kernel out of the host's way are not for the file to say.
    (
        r#""bad": (image: "linux-6.12-rt", cmdline: "quiet pci=realloc"),"#,
        INVALID,
        &["`pci=realloc`", "is set by partitiond itself", "leave it out", "^^^^", r#"of "bad""#],
    ),
    // Every mistake of a file is told at once.
    (
        r#""bad": (image: "linux-6.12-rt", cpu: 1, memory: "1KiB", restart: Sometimes),"#,
        INVALID,
        &["`cpu`", "1KiB is too little", "Sometimes", "/bad.ron: 3 errors"],
    ),
];

/// What lies at the path instead of a cluster file: how it comes there, and what is said.
const FILES: &[(&str, &[&str])] = &[
    ("truncate -s 4G /bad.ron", &["/bad.ron is too large", "it has 4 GiB", "at most 1 MiB"]),
    (
        "{ printf 'Cluster(trust: \"'; head -c 2000000 /dev/zero | tr '\\0' x; printf '\")'; } >/bad.ron",
        &["/bad.ron is too large", "at most 1 MiB"],
    ),
    (
        "{ printf 'Cluster(trust: \"'; head -c 1000000 /dev/zero | tr '\\0' x; printf '\")'; } >/bad.ron",
        &["expected a trust (Mutual, Isolated)"],
    ),
    ("head -c 900000 /dev/zero | tr '\\0' '(' >/bad.ron", &["/bad.ron: ", "error"]),
    ("mkdir /bad.ron", &["/bad.ron is a directory", "name the file itself"]),
    ("mkfifo /bad.ron", &["/bad.ron is a device, pipe or socket", "name the file itself"]),
    ("true", &["cannot read /bad.ron", "Check the path"]),
    ("printf 'Cluster(\\n\\0)' >/bad.ron", &["/bad.ron:2: a NUL byte"]),
    ("printf 'Cluster(\\n\\377)' >/bad.ron", &["/bad.ron:2: byte 9 is not UTF-8"]),
    ("printf '\\377\\376C\\0' >/bad.ron", &["byte order mark (UTF-16)", "save it as UTF-8"]),
    (": >/bad.ron", &["/bad.ron: 1 error", "expected a value, found the end of the file"]),
];

/// What must not change.
#[derive(Debug, PartialEq)]
struct Witness {
    host: HostState,
    ledger: String,
    store: String,
    partitions: String,
    boot_id: String,
}

fn witness(server: &Server) -> Witness {
    Witness {
        host: server.state(),
        ledger: server.sh("sha256sum /var/lib/partitiond/ledger.ron"),
        store: server.sh("cd /var/lib/partitiond/images; find . -type f | sort"),
        partitions: server.sh("partitiond ps | awk '{ print $1, $2, $3, $4 }'"),
        boot_id: server.sh("timeout 20 partitiond exec db -- cat /proc/sys/kernel/random/boot_id"),
    }
}

/// The command must be refused with this status, say all of this, and change nothing.
fn refused(server: &Server, before: &Witness, line: &str, status: i32, says: &[&str]) {
    let (code, complaint) = server.refused(line);
    println!("--- `{line}` ends with {code} and says:\n{complaint}");
    let mut wrong = Vec::new();
    for part in says.iter().filter(|part| !complaint.contains(**part)) {
        wrong.push(format!("it does not say `{part}`"));
    }
    if code != status {
        wrong.push(format!("its exit status is {code}, not {status}"));
    }
    if complaint.len() > 8_192 {
        wrong.push(format!("it says {} bytes", complaint.len()));
    }
    let after = witness(server);
    if &after != before {
        wrong.push(format!("it changed {before:#?}\nto {after:#?}"));
    }
    if !wrong.is_empty() {
        let end = (0..=400).rev().find(|end| complaint.is_char_boundary(*end)).unwrap_or(0);
        let start = complaint.get(..end).unwrap_or(&complaint);
        FAULTS.lock().unwrap().push(format!("`{line}`: {}\n{start}", wrong.join("; ")));
    }
}

/// What was found wrong in any case: one run shows all of it.
static FAULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn cluster(bad: &str) -> String {
    CLUSTER.replace("BAD", bad)
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    scenario(|| {
        let server = Server::start(&Setup::default());
        server.up(&cluster(""));
        let before = witness(&server);
        // Those of a run that QEMU broke off say nothing about this one.
        FAULTS.lock().unwrap().clear();

        for (bad, status, says) in PARTITIONS {
            server.write("/bad.ron", &cluster(bad));
            refused(&server, &before, "partitiond up /bad.ron", *status, says);
        }
        for (make, says) in FILES {
            server.sh(&format!("rm -rf /bad.ron; {make}"));
            refused(&server, &before, "timeout 20 partitiond up /bad.ron", INVALID, says);
        }
        no_permission(&server, &before);
        an_edit_beside_what_cannot_be(&server, &before);
        corrupted_image(&server, &before);
        images_that_cannot_be_built(&server, &before);
        a_host_that_broadcasts(&server, &before);
        // Locked down for good: the last thing that this server does.
        lockdown(&server, &before);
        let faults = std::mem::take(&mut *FAULTS.lock().unwrap());
        assert!(faults.is_empty(), "{} cases are wrong:\n{}", faults.len(), faults.join("\n\n"));
    });
}

/// Root reads everything: somebody else asks.
fn no_permission(server: &Server, before: &Witness) {
    server.write("/bad.ron", &cluster(""));
    server.sh("chmod 000 /bad.ron; mkdir -m 777 /home; echo nobody:x:65534:65534::/home:/bin/sh >>/etc/passwd");
    let says = ["cannot read /bad.ron", "Permission denied", "chmod u+r"];
    let line = "su nobody -c 'HOME=/home partitiond up /bad.ron'";
    refused(server, before, line, INVALID, &says);
    server.sh("rm /bad.ron");
}

/// A good edit of one partition is not carried out beside a bad one of another.
fn an_edit_beside_what_cannot_be(server: &Server, before: &Witness) {
    let bad = r#""bad": (image: "linux-6.12-rt", cmdline: "noapic"),"#;
    let edited = cluster(bad).replace(r#"Set("2")"#, r#"Set("2"), restart: Always"#);
    server.write("/bad.ron", &edited);
    refused(server, before, "partitiond up /bad.ron", INVALID, &["`noapic`", "leave it out"]);
}

/// A byte of a kernel has changed since it was stored.
fn corrupted_image(server: &Server, before: &Witness) {
    let shown = server.sh("partitiond --format json image show linux-6.12-rt");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let digest = shown["manifest"]["kernel"]["vmlinux"]["digest"].as_str().unwrap();
    let blob = format!("/var/lib/partitiond/images/blobs/{digest}");
    let at = "bs=1 seek=5000000 conv=notrunc";
    server.sh(&format!("cp {blob} /whole; printf partitiond | dd of={blob} {at}"));
    server.write("/bad.ron", &cluster(r#""bad": (image: "linux-6.12-rt"),"#));
    let says = [digest, "is corrupted: it has digest", "build it again"];
    refused(server, before, "partitiond up /bad.ron", REFUSED, &says);
    // So is a part of it.
    server.sh(&format!("head -c 5000000 /whole >{blob}"));
    refused(server, before, "partitiond up /bad.ron", REFUSED, &says[..1]);
    server.sh(&format!("mv /whole {blob}"));
}

/// Kernels and root file systems that must not become images.
fn images_that_cannot_be_built(server: &Server, before: &Witness) {
    let put = |from: &Path, to: &str| server.rig().put(from, Path::new(to)).unwrap();
    put(&programs().guest_init, "/usr/lib/partitiond/guest-init");
    let cache = provide::cache_dir().unwrap();
    let package = "linux-image-6.12-cloud-amd64";
    let kernel = provide::kernel(package, "bookworm-backports", &cache, &()).unwrap();
    put(&kernel.image, "/build/vmlinuz");
    server.sh("mkdir -p /build/root/bin; cp /bin/busybox /build/root/bin/");

    let kernels: [(&str, &[&str]); 4] = [
        // Without XLF_KERNEL_64 (boot protocol, offset 0x236).
        (
            "cp vmlinuz bad; printf '\\0' | dd of=bad bs=1 seek=566 conv=notrunc",
            &["without a 64-bit entry point", "built for amd64"],
        ),
        ("head -c 1000000 vmlinuz >bad", &["truncated kernel", "fetch it again"]),
        ("head -c 530 vmlinuz >bad", &["kernel"]),
        ("cp root/bin/busybox bad", &["kernel"]),
    ];
    let definition = r#"(kernel: File("bad"), rootfs: Directory("root"))"#;
    server.write("/build/image.ron", definition);
    for (make, says) in kernels {
        server.sh(&format!("cd /build; {make}"));
        refused(server, before, "partitiond image build /build/image.ron", FAILED, says);
    }

    let tars: [(&str, &[&str]); 4] = [
        // A path through two links that lead to each other.
        ("/tar/circle.tar", &["lead in a circle"]),
        ("/tar/up.tar", &["../../etc/shadow", "leads out of the root"]),
        ("/tar/hard.tar", &["hard link", "does not exist"]),
        ("/tar/cut.tar", &["damaged tar archive"]),
    ];
    make_tars(server);
    for (tar, says) in tars {
        let definition = r#"(kernel: File("vmlinuz"), rootfs: Tar("TAR"))"#.replace("TAR", tar);
        server.write("/build/image.ron", &definition);
        refused(server, before, "partitiond image build /build/image.ron", FAILED, says);
    }
    for (line, says) in [
        ("partitiond image build linux-6.12-clout", "no definition `linux-6.12-clout`"),
        ("partitiond image show nothing", "no image"),
        ("partitiond image rm nothing", "no image"),
    ] {
        refused(server, before, line, NOT_FOUND, &[says]);
    }
    server.sh("rm -r /build /tar");
}

/// Archives as no `tar` makes them.
fn make_tars(server: &Server) {
    let folder = std::env::temp_dir().join(format!("tars-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let whole = [entry("etc/passwd", b'0', "", &[b'x'; 4_096])].concat();
    for (name, entries) in [
        (
            "circle.tar",
            vec![
                entry("a", b'2', "b", b""),
                entry("b", b'2', "a", b""),
                entry("a/file", b'0', "", b"text"),
            ],
        ),
        ("up.tar", vec![entry("../../etc/shadow", b'0', "", b"text")]),
        ("hard.tar", vec![entry("file", b'1', "nothing", b"")]),
        ("cut.tar", vec![whole[..2_048].to_vec()]),
    ] {
        let end = if name == "cut.tar" { Vec::new() } else { vec![0; 1_024] };
        std::fs::write(folder.join(name), [entries.concat(), end].concat()).unwrap();
        let guest = Path::new("/tar").join(name);
        server.rig().put(&folder.join(name), &guest).unwrap();
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The obstacles in `doctor`'s words.
fn doctor(server: &Server, name: &str) -> [String; 2] {
    let said = server.try_sh("partitiond --format json doctor").text();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let obstacles = said["bare"].as_array().unwrap();
    let found = obstacles.iter().find(|obstacle| obstacle["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {obstacles:?}"));
    ["found", "remedy"].map(|field| found[field].as_str().unwrap().to_owned())
}

/// The host's own IPIs to everybody would reach the partitions.
fn a_host_that_broadcasts(server: &Server, before: &Witness) {
    server.write("/bad.ron", &cluster(r#""bad": (image: "linux-6.12-rt"),"#));
    for words in ["quiet", "no_ipi_broadcast=1 quiet no_ipi_broadcast=0"] {
        // Another command line than it was booted with, for whoever reads it.
        server.write("/words", words);
        server.sh("mount --bind /words /proc/cmdline");
        let [found, remedy] = doctor(server, "host-ipi-broadcast");
        refused(server, before, "partitiond up /bad.ron", REFUSED, &[&found, &remedy]);
        server.sh("umount /proc/cmdline");
    }
}

/// Physical memory and model-specific registers are closed.
fn lockdown(server: &Server, before: &Witness) {
    server.sh("mount -t securityfs none /sys/kernel/security; echo integrity >/sys/kernel/security/lockdown");
    let [found, remedy] = doctor(server, "lockdown");
    refused(server, before, "partitiond up /bad.ron", REFUSED, &["lockdown", &found, &remedy]);
}

/// Two threads share a core, and a partition gets whole cores.
#[test]
fn half_a_core_is_refused() {
    scenario(|| {
        let server = Server::start(&Setup {
            images: &["linux-6.1-cloud"],
            topology: Topology { cpus: 4, sockets: 1, threads: 2, nodes: 1 },
            memory: Bytes::gib(2),
            ..Setup::default()
        });
        let before = server.state();
        for (set, says) in [
            ("2", [r#""bad" asks for half a core: CPU 3"#, r#"ask for Set("2-3")"#]),
            ("1", ["CPU 1, which shares a core with the boot CPU 0", "ask for others"]),
        ] {
            let bad = format!(r#""bad": (image: "linux-6.1-cloud", cpus: Set("{set}")),"#);
            server.write("/bad.ron", &format!("Cluster(trust: Mutual, partitions: {{ {bad} }})"));
            let (code, complaint) = server.refused("partitiond up /bad.ron");
            println!("--- {code}\n{complaint}");
            assert_eq!(code, INVALID, "{complaint}");
            assert!(says.iter().all(|part| complaint.contains(part)), "{complaint}");
            assert_eq!(server.state(), before);
            assert_eq!(server.sh("partitiond --format json ps"), "[]");
        }
    });
}
