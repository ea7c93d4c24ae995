//! Every error shows its place. The snapshots are what people see.

use super::*;

fn errors(text: &str) -> String {
    match parse_text(text) {
        Ok(cluster) => panic!("accepted: {cluster:?}"),
        Err(errors) => errors.render(false),
    }
}

#[test]
fn all_errors_come_at_once() {
    insta::assert_snapshot!(errors(
        r#"Cluster(
    host: (cpus: "0-x", memroy: "4GiB"),
    trust: Mutal,
    images: {
        "general": (kernel: Host, rootfs: Minimal),
        "rt": (kernel: Debian(linux)),
        "Broken": (rootfs: Zip("a")),
    },
    partitions: {
        "db": (image: "genral", cpus: Count(0), memory: 512, profile: "absent.ks"),
        "trading": (imagee: "rt", cpus: "2-3", memory: "512MB", numa: Nodes([])),
        "_odd": (image: "rt", memory: "513MiB", restart: OnFailure(max: 5, within: "10")),
        "big": (image: "rt", memory: "64MiB", memory_source: Hugetlb(page: "4MiB"), backend: Qemu),
    },
)
"#
    ));
}

#[test]
fn overlapping_sets_show_both_culprits() {
    insta::assert_snapshot!(errors(
        r#"(
    host: (cpus: "0-1"),
    partitions: {
        "db": (image: "stored", cpus: Set("2-5")),
        "trading": (image: "stored", cpus: Set("4-7")),
        "batch": (image: "stored", cpus: Set("1,8")),
    },
)
"#
    ));
}

#[test]
fn bare_without_trust() {
    insta::assert_snapshot!(errors(
        r#"(trust: Isolated, backend: Bare, partitions: {
    "db": (image: "stored", backend: Bare),
})"#
    ));
}

#[test]
fn what_this_version_lacks_is_refused() {
    insta::assert_snapshot!(errors(
        r#"(
    partitions: {
        "db": (image: "stored", volumes: [(name: "pgdata", size: "1GiB")], networks: ["lan"]),
    },
    networks: {"lan": (subnet: "10.77.0.0/24")},
)"#
    ));
}

#[test]
fn disks() {
    insta::assert_snapshot!(errors(
        r#"(partitions: {"a": (image: "stored", disks: [
    (name: "data", path: "/srv/data.img"),
    (name: "data", path: "/srv/other.img", read_only: true, direct: false),
    (name: "-x", path: "srv/data.img"),
    (name: "a-name-of-more-than-twenty", path: "", direct: 1),
    (path: "/x", size: "1GiB"),
])})"#
    ));
}

#[test]
fn taps() {
    insta::assert_snapshot!(errors(
        r#"(partitions: {"a": (image: "stored", taps: [
    (name: "tap0", mac: "02:00:00:00:00:01"),
    (name: "tap0"),
    (name: "tap%d", mac: "03:00:00:00:00:01"),
    (name: "sixteen-bytes-xx", mac: 7),
    (mac: "00:00:00:00:00:00", bridge: "br0"),
])})"#
    ));
}

#[test]
fn duplicates() {
    insta::assert_snapshot!(errors(
        r#"(
    trust: Mutual,
    trust: Isolated,
    partitions: {
        "db": (image: "stored", image: "stored"),
        "db": (image: "stored"),
    },
)"#
    ));
}

#[test]
fn syntax() {
    let cases = [
        ("missing comma", "(\n    trust: Mutual\n    partitions: {},\n)"),
        (
            "missing quote",
            "(partitions: {\n  \"a\": (image: \"stored, memory: \"1GiB\"),\n  \"b\": (image: \"x\"),\n})",
        ),
        ("never closed", "(partitions: {\n    \"a\": (image: \"stored\"),\n"),
        ("wrong bracket", "(partitions: {\n    \"a\": (image: \"stored\"},\n})"),
        ("two values", "(partitions: {})\n)"),
        ("names without quotes", "(partitions: { db: (image: stored) })"),
        ("single quotes", "(partitions: { 'db': (image: \"stored\") })"),
        ("equals", "(partitions = {})"),
        ("float", "(partitions: {\"a\": (image: \"stored\", cpus: Count(1.5), memory: 512MiB)})"),
        ("escape", "(partitions: {\"a\": (image: \"C:\\store\")})"),
        ("open text", "(partitions: {\"a\": (image: \"stored)})"),
        ("open comment", "(partitions: {} /* )"),
        ("extension", "#![enable(implicit_some)]\n(partitions: {})"),
        ("hash comment", "# my cluster\n(partitions: {})"),
        ("empty", ""),
        ("a list", "[1, 2]"),
        ("json", "{\"partitions\": {}}"),
    ];
    let mut out = String::new();
    for (what, text) in cases {
        out += &format!("--- {what}\n{}\n", errors(text));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn workloads() {
    insta::assert_snapshot!(errors(
        r#"(partitions: {"a": (image: "stored", workloads: [
    (name: "one", argv: ["true"]),
    (name: "one", argv: "sleep 10"),
    (name: "one", argv: ["sleep", 10]),
    (name: "two", argv: []),
    (name: "Three", argv: ["x\0"], cwd: "srv", env: {"A=": "b"}, restart: Sometimes),
    (argv: ["true"]),
    (name: "one", argv: ["true"]),
])})"#
    ));
}

#[test]
fn color_is_only_where_told() {
    let errors = parse_text("(partitions: 1)").unwrap_err();
    assert!(!errors.render(false).contains('\u{1b}'));
    assert!(errors.render(true).contains('\u{1b}'));
    assert_eq!(errors.position(&errors.list()[0]), (1, 14));
}

#[test]
fn nothing_of_the_file_reaches_the_terminal_raw() {
    let hostile = "(partitions: {\"\u{1b}[2J\u{7}\": (image: \"\u{1b}]0;x\", memory: \"\u{1b}[2J\", \u{9b}\u{202e}x: 1)})";
    let shown = errors(hostile);
    let raw = shown.chars().find(|char| char.is_control() && *char != '\n');
    assert_eq!(raw, None, "{shown}");
    assert!(!shown.contains('\u{202e}'), "{shown}");
}
