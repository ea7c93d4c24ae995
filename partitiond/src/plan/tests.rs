use super::*;
use crate::cluster::{Cpus, HugePage, Interval};
use crate::inventory::{Machine, Pool, PoolKind, Shape};
use crate::placement::place;

fn partition(image: &str, cpus: u32, memory: Bytes) -> Partition {
    Partition {
        image: image.to_owned(),
        cpus: Cpus::Count(cpus),
        memory,
        numa: None,
        memory_source: MemorySource::default(),
        backend: None,
        profile: None,
        cmdline: String::new(),
        workloads: Vec::new(),
        restart: Restart::Never,
        hang_after: default_hang_after(),
        disks: Vec::new(),
        taps: Vec::new(),
        snapshot: None,
    }
}

fn sketch() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.host.cpus = Some("0-1".parse().unwrap());
    cluster.partitions.insert("db".to_owned(), partition("pg", 1, Bytes::mib(512)));
    cluster.partitions.insert("trading".to_owned(), partition("rt", 1, Bytes::mib(512)));
    cluster
}

fn resolve(_: &str, partition: &Partition) -> Resolved {
    let digest =
        format!("{:0<64}", partition.image.replace(|char: char| !char.is_ascii_hexdigit(), "7"));
    Resolved { backend: Backend::Bare, digest: Some(digest) }
}

/// What is wanted by `cluster` where `actual` is there.
fn wanted(machine: &Machine, cluster: &Cluster, actual: &Actual) -> Desired {
    let placement = place(machine, cluster, &actual.assignments()).unwrap();
    desired(cluster, &placement, &resolve)
}

fn running(desired: Desired) -> Actual {
    let ready = |(name, spec)| (name, Existing { spec, state: State::Ready });
    Actual { partitions: desired.into_iter().map(ready).collect() }
}

#[test]
fn a_first_plan_starts_everything() {
    let machine = Machine::synthetic(Shape::default());
    let desired = wanted(&machine, &sketch(), &Actual::default());
    let plan = plan(&desired, &Actual::default());
    insta::assert_snapshot!(plan.render(Look::default()), @r"
    + db       start    CPU 2, 512MiB on node 0, image pg (77000000), bare
    + trading  start    CPU 3, 512MiB on node 0, image rt (77000000), bare

    host gives CPUs 2-3; reserves 512 pages of 2MiB on node 0; lends 128KiB below 1 MiB
    2 to start
    ");
}

#[test]
fn a_second_plan_does_nothing() {
    let machine = Machine::synthetic(Shape::default());
    let actual = running(wanted(&machine, &sketch(), &Actual::default()));
    let plan = plan(&wanted(&machine, &sketch(), &actual), &actual);
    assert!(plan.is_empty());
    assert_eq!(plan.host, HostChange::default());
    insta::assert_snapshot!(plan.render(Look::default()), @r"
      db       keep     as the file says
      trading  keep     as the file says

    Nothing to do: 2 partitions run as the file says.
    ");
}

#[test]
fn nothing_asked_and_nothing_there() {
    let plan = plan(&Desired::new(), &Actual::default());
    insta::assert_snapshot!(plan.render(Look::default()), @"Nothing to do: no partitions are asked for, and none are there.");
}

fn edited() -> (Desired, Actual) {
    let machine =
        Machine::synthetic(Shape { cores: 16, memory: Bytes::gib(32), ..Shape::default() });
    let mut cluster = sketch();
    for name in ["batch", "cache", "dead", "old", "policy", "stopped", "gone"] {
        cluster.partitions.insert(name.to_owned(), partition("pg", 1, Bytes::mib(512)));
    }
    let mut actual = running(wanted(&machine, &cluster, &Actual::default()));
    actual.partitions.get_mut("dead").unwrap().state = State::Failed;
    actual.partitions.get_mut("stopped").unwrap().state = State::Stopped;
    actual.partitions.get_mut("gone").unwrap().state = State::Stopped;
    cluster.partitions.remove("gone");
    // Renamed: one stops, the other starts.
    let old = cluster.partitions.remove("old").unwrap();
    cluster.partitions.insert("new".to_owned(), old);
    cluster.partitions.get_mut("db").unwrap().image = "pg-17".to_owned();
    let cache = cluster.partitions.get_mut("cache").unwrap();
    cache.memory = Bytes::gib(2);
    cache.memory_source = MemorySource::Hugetlb { page: HugePage::OneGiB };
    cache.profile = Some("cache.ks".to_owned());
    let trading = cluster.partitions.get_mut("trading").unwrap();
    trading.cpus = Cpus::Count(2);
    trading.cmdline = "nohz_full=1".to_owned();
    let policy = cluster.partitions.get_mut("policy").unwrap();
    let within = Interval(std::time::Duration::from_secs(600));
    policy.restart = Restart::OnFailure { max: 5, within };
    (wanted(&machine, &cluster, &actual), actual)
}

#[test]
fn an_edit_changes_only_what_changed() {
    let (desired, actual) = edited();
    let plan = plan(&desired, &actual);
    let action =
        |name: &str| plan.steps.iter().find(|step| step.partition == name).map(|step| step.action);
    assert_eq!(action("batch"), Some(Action::Keep));
    assert_eq!((action("old"), action("new")), (Some(Action::Stop), Some(Action::Start)));
    assert_eq!(action("policy"), Some(Action::Update));
    assert_eq!(action("gone"), None);
    insta::assert_snapshot!(plan.render(Look { width: 100, ..Look::default() }));
    insta::assert_snapshot!("ascii", plan.render(Look { ascii: true, ..Look::default() }));
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&plan).unwrap());
}

#[test]
fn an_image_that_is_not_built_yet_says_so() {
    let machine = Machine::synthetic(Shape::default());
    let actual = running(wanted(&machine, &sketch(), &Actual::default()));
    let mut desired = wanted(&machine, &sketch(), &actual);
    desired.get_mut("db").unwrap().image.digest = None;
    let plan = plan(&desired, &actual);
    assert_eq!(plan.steps[0].action, Action::Restart);
    assert_eq!(plan.steps[0].changes[0].to, "pg (to be built)");
}

#[test]
fn colors_only_where_told() {
    let (desired, actual) = edited();
    let plan = plan(&desired, &actual);
    assert!(!plan.render(Look::default()).contains('\u{1b}'));
    assert!(plan.render(Look { color: true, ..Look::default() }).contains("\u{1b}["));
    let ascii = plan.render(Look { ascii: true, ..Look::default() });
    assert!(ascii.is_ascii(), "{ascii}");
}

#[test]
fn the_map_of_the_sketch() {
    let machine = Machine::synthetic(Shape::default());
    let placement = place(&machine, &sketch(), &Assignments::new()).unwrap();
    let owned = placement.assignments();
    insta::assert_snapshot!(map(&machine, &owned, Look::default()), @r"
    CPU   0 host   1 host   2 db   3 trading
    MEM   ▕███████████ host 3.0G ████████████▏▕██ db 512M ███▏▕██ trading 512M ███▏
    ");
    insta::assert_snapshot!(map(&machine, &owned, Look { ascii: true, width: 64, ..Look::default() }), @r"
    CPU   0 host   1 host   2 db   3 trading
    MEM   [##### host 3.0G ######][# db 512M ##][# trading 512M ##]
    ");
    let colored = map(&machine, &owned, Look { color: true, ..Look::default() });
    assert!(colored.contains("\u{1b}["));
}

#[test]
fn memory_that_was_never_the_hosts_is_told_apart() {
    let mut machine = Machine::synthetic(Shape::default());
    machine.pools.push(Pool {
        kind: PoolKind::Memmap,
        start: boot::units::PhysAddr(5 << 30),
        size: Bytes::gib(1),
        node: Some(NodeId(0)),
        unusable: None,
    });
    let mut cluster = sketch();
    cluster.partitions.get_mut("db").unwrap().memory_source = MemorySource::Memmap;
    let actual = Actual::default();
    let plan = plan(&wanted(&machine, &cluster, &actual), &actual);
    insta::assert_snapshot!(plan.render(Look::default()), @r"
    + db       start    CPU 2, 512MiB on node 0 (memmap), image pg (77000000), bare
    + trading  start    CPU 3, 512MiB on node 0, image rt (77000000), bare

    host gives CPUs 2-3; reserves 256 pages of 2MiB on node 0; lends 128KiB below 1 MiB
    2 to start
    ");
    let owned = place(&machine, &cluster, &Assignments::new()).unwrap().assignments();
    insta::assert_snapshot!(map(&machine, &owned, Look::default()), @r"
    CPU   0 host   1 host   2 db   3 trading
    MEM   ▕█████████ host 3.5G █████████▏▕██ db 512M memmap ██▏▕██ trading 512M ██▏
    ");
}

#[test]
fn the_map_of_a_large_machine() {
    let machine = Machine::four_sockets();
    let mut cluster = Cluster::default();
    for at in 0..40 {
        let name = format!("tenant-{at:02}");
        let memory = Bytes::gib(4 + at);
        cluster.partitions.insert(name, partition("pg", 4 + 2 * (at as u32 % 5), memory));
    }
    let placement = place(&machine, &cluster, &Assignments::new()).unwrap();
    let text = map(&machine, &placement.assignments(), Look::default());
    // Every line fits.
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn maps_fit_where_they_can() {
    for (width, cores) in [(20, 4), (40, 4), (80, 64), (200, 64), (0, 1)] {
        let machine = Machine::synthetic(Shape { cores, ..Shape::default() });
        let cluster = Cluster::default();
        let placement = place(&machine, &cluster, &Assignments::new()).unwrap();
        let text = map(&machine, &placement.assignments(), Look { width, ..Look::default() });
        assert!(text.starts_with("CPU   0"), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= width.max(22), "{width}: {text}");
    }
}
