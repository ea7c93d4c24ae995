//! What a good file means.

use std::time::Duration;

use boot::units::{Bytes, NodeId};
use images::definition::{KernelSource, RootfsSource};

use super::*;

#[test]
fn a_full_file_reads() {
    let cluster = parse_text(
        r#"// everything a file can say
Cluster(
    host: (cpus: "0-1", memory: "4GiB"),
    trust: Mutual,
    backend: Auto,
    accept: [HostIpiBroadcast, XApicRegisters, HostIpiBroadcast],
    images: {
        "general": (kernel: Host, rootfs: Minimal),
        "rt": (kernel: Debian("linux-image-6.12-rt-amd64")),
        "old": (kernel: Debian(package: "linux-image-amd64", suite: "bullseye"), modules: ["virtio_net"]),
        "pg": (kernel: File("boot/vmlinuz"), rootfs: Oci("oci/postgres"), cmdline: "quiet", profile: Some("oltp.ks")),
    },
    partitions: {
        "db": (
            image: "pg", cpus: Count(4), memory: "16GiB", numa: Local, profile: "oltp.ks",
            memory_source: Hugetlb(page: "1GiB"), restart: OnFailure(max: 5, within: "10min"),
            workloads: [(
                name: "postgres", argv: ["postgres", "-D", "/var/lib/pg"],
                env: {"LANG": "C"}, cwd: "/srv", user: "postgres", restart: OnFailure(max: 3),
            )],
        ),
        "trading": (image: "rt", cpus: Set("6-7"), memory: "4GiB", backend: Bare, numa: Nodes([1])),
        "small": (image: "stored", numa: None),
    },
)
"#,
    )
    .unwrap();
    assert_eq!(cluster.host.memory, Some(Bytes::gib(4)));
    assert_eq!(cluster.trust, Trust::Mutual);
    assert_eq!(cluster.accept, Risk::ALL);
    assert_eq!(
        cluster.images["old"].kernel,
        KernelSource::Debian {
            package: "linux-image-amd64".to_owned(),
            suite: Some("bullseye".to_owned())
        }
    );
    assert_eq!(cluster.images["pg"].rootfs, RootfsSource::Oci("oci/postgres".into()));
    let db = &cluster.partitions["db"];
    assert_eq!(db.cpus, Cpus::Count(4));
    assert_eq!(db.memory_source, MemorySource::Hugetlb { page: HugePage::OneGiB });
    let within = Interval(Duration::from_secs(600));
    assert_eq!(db.restart, Restart::OnFailure { max: 5, within });
    assert_eq!(db.workloads[0].env, [("LANG".to_owned(), "C".to_owned())]);
    assert_eq!(db.workloads[0].restart, protocol::Restart::OnFailure { max: 3 });
    let trading = &cluster.partitions["trading"];
    assert_eq!(trading.cpus, Cpus::Set("6-7".parse().unwrap()));
    assert_eq!(trading.numa, Some(Numa::Nodes(vec![NodeId(1)])));
    assert_eq!(cluster.backend_of(trading), Backend::Bare);
}

#[test]
fn what_a_partition_does_not_say_has_a_default() {
    let cluster = parse_text(r#"(partitions: {"a": (image: "stored")})"#).unwrap();
    let expected = Partition {
        image: "stored".to_owned(),
        cpus: Cpus::Cores(1),
        memory: Bytes::mib(512),
        numa: None,
        memory_source: MemorySource::Hugetlb { page: HugePage::TwoMiB },
        backend: None,
        profile: None,
        cmdline: String::new(),
        workloads: Vec::new(),
        restart: Restart::Never,
        hang_after: Interval(Duration::from_secs(30)),
        disks: Vec::new(),
        taps: Vec::new(),
        snapshot: None,
    };
    assert_eq!(cluster.partitions["a"], expected);
    assert_eq!(cluster.trust, Trust::Isolated);
}

#[test]
fn a_cluster_without_partitions_is_one() {
    assert!(parse_text("(partitions: {})").unwrap().partitions.is_empty());
}

#[test]
fn the_example_of_the_book_reads() {
    let book = include_str!("../../../../docs/cluster-file.md");
    let example = book.split("```ron\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let cluster = parse_text(example).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(cluster.partitions.len(), 3);
}

/// The book's schema lists every field.
#[test]
fn the_book_lists_every_field() {
    let book = include_str!("../../../../docs/cluster-file.md");
    for fields in [
        super::super::root::FIELDS,
        super::super::partition::FIELDS,
        images::definition::decode::FIELDS,
        images::definition::workload::FIELDS,
    ] {
        for field in fields {
            assert!(book.contains(&format!("`{field}`")), "the book does not know `{field}`");
        }
    }
}
