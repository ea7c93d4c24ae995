mod laws;
mod refusals;

use std::collections::BTreeMap;

use boot::units::{Bytes, NodeId};

use super::*;
use crate::cluster::{Cluster, Cpus, HugePage, Numa, Partition};
use crate::inventory::{Machine, Pool, PoolKind, Shape};

pub fn partition(cpus: Cpus, memory: Bytes) -> Partition {
    Partition {
        image: "general".to_owned(),
        cpus,
        memory,
        numa: None,
        memory_source: MemorySource::default(),
        backend: None,
        profile: None,
        cmdline: String::new(),
        workloads: Vec::new(),
        restart: Default::default(),
        hang_after: crate::cluster::default_hang_after(),
        disks: Vec::new(),
        taps: Vec::new(),
        snapshot: None,
    }
}

pub fn count(cpus: u32) -> Partition {
    partition(Cpus::Count(cpus), Bytes::mib(512))
}

pub fn set(cpus: &str) -> Partition {
    partition(Cpus::Set(cpus.parse().unwrap()), Bytes::mib(512))
}

pub fn cluster<const N: usize>(partitions: [(&str, Partition); N]) -> Cluster {
    let partitions = partitions.map(|(name, partition)| (name.to_owned(), partition));
    Cluster { partitions: partitions.into(), ..Cluster::default() }
}

fn cpus(placement: &Placement) -> BTreeMap<&str, String> {
    let text = |placed: &Placed| placed.assignment.cpus.to_string();
    placement.partitions.iter().map(|(name, placed)| (name.as_str(), text(placed))).collect()
}

fn placed(machine: &Machine, cluster: &Cluster, current: &Assignments) -> Placement {
    place(machine, cluster, current).unwrap_or_else(|refusals| panic!("{refusals:#?}"))
}

fn new(machine: &Machine, cluster: &Cluster) -> Placement {
    placed(machine, cluster, &Assignments::new())
}

#[test]
fn a_small_machine_is_divided_from_its_first_cpu_after_the_hosts() {
    let mut cluster = cluster([("db", count(1)), ("trading", count(1))]);
    cluster.host.cpus = Some("0-1".parse().unwrap());
    let placement = new(&Machine::synthetic(Shape::default()), &cluster);
    assert_eq!(cpus(&placement), [("db", "2".into()), ("trading", "3".into())].into());
    assert_eq!(placement.host.cpus.to_string(), "0-1");
    assert_eq!(placement.host.memory, Bytes::gib(3));
}

#[test]
fn cores_are_given_whole_and_caches_filled_tightly() {
    // Four sockets, CPU n and n + 256 are one core, eight cores share a cache.
    let machine = Machine::four_sockets();
    let placement = new(&machine, &cluster([("a", count(4)), ("b", count(16)), ("c", count(32))]));
    let by_name = cpus(&placement);
    // The tightest cache is the one that the boot CPU's core leaves incomplete.
    assert_eq!(by_name["a"], "1-2,257-258");
    // More than any cache has, and placed first as the largest: two whole caches of the tightest
    // node, which is the one with the boot CPU's core.
    assert_eq!(by_name["c"], "8-23,264-279");
    assert_eq!(by_name["b"], "24-31,280-287");
}

#[test]
fn spread_is_even() {
    let machine = Machine::four_sockets();
    let wide = |numa, cpus| Partition { numa: Some(numa), ..count(cpus) };
    let placement = new(
        &machine,
        &cluster([
            ("all", wide(Numa::Spread, 32)),
            ("two", wide(Numa::Nodes(vec![NodeId(6), NodeId(7)]), 12)),
        ]),
    );
    let all = &placement.partitions["all"];
    let CpuReason::Spread(nodes) = &all.cpus_because else { panic!("{:?}", all.cpus_because) };
    assert_eq!(nodes.values().copied().collect::<Vec<_>>(), [4; 8]);
    assert_eq!(all.assignment.memory.values().copied().collect::<Vec<_>>(), [Bytes::mib(64); 8]);
    let two = &placement.partitions["two"].assignment;
    assert_eq!(two.memory, [(NodeId(6), Bytes::mib(256)), (NodeId(7), Bytes::mib(256))].into());
}

#[test]
fn memory_lies_beside_its_cpus_and_overflows_where_it_may() {
    let mut machine =
        Machine::synthetic(Shape { nodes: 2, memory: Bytes::gib(8), ..Shape::default() });
    let big = partition(Cpus::Set("4-6".parse().unwrap()), Bytes::gib(3));
    let placement = new(&machine, &cluster([("big", big)]));
    let placed = &placement.partitions["big"];
    assert_eq!(placed.assignment.memory, [(NodeId(1), Bytes::gib(3))].into());
    assert_eq!(placed.memory_because, MemoryReason::BesideCpus);

    let uneven = partition(Cpus::Set("1,4-6".parse().unwrap()), Bytes::gib(5));
    let placement = new(&machine, &cluster([("uneven", uneven)]));
    let placed = &placement.partitions["uneven"];
    assert_eq!(placed.assignment.memory[&NodeId(0)], Bytes::mib(1280));
    assert_eq!(placed.memory_because, MemoryReason::BesideCpus);

    machine.nodes[1].memory = Bytes::gib(2);
    let uneven = partition(Cpus::Set("1,4-6".parse().unwrap()), Bytes::gib(4));
    let placement = new(&machine, &cluster([("uneven", uneven)]));
    let placed = &placement.partitions["uneven"];
    assert_eq!(placed.assignment.memory_total(), Bytes::gib(4));
    assert_eq!(placed.memory_because, MemoryReason::Uneven);

    // A node of CPUs alone takes its memory from the nearest that has some.
    machine.nodes[1].memory = Bytes(0);
    let placement = new(&machine, &cluster([("b", set("4"))]));
    assert_eq!(placement.partitions["b"].assignment.memory, [(NodeId(0), Bytes::mib(512))].into());
}

#[test]
fn pools_are_counted_apart_from_the_kernels_memory() {
    let mut machine = Machine::synthetic(Shape::default());
    machine.pools.push(Pool {
        kind: PoolKind::SoftReserved,
        start: boot::units::PhysAddr(1 << 32),
        size: Bytes::gib(2),
        node: Some(NodeId(0)),
        unusable: None,
    });
    let pooled = Partition {
        memory_source: MemorySource::SoftReserved,
        ..partition(Cpus::Count(1), Bytes::gib(2))
    };
    let placement =
        new(&machine, &cluster([("a", pooled), ("b", partition(Cpus::Count(1), Bytes::gib(3)))]));
    assert_eq!(placement.host.memory, Bytes::gib(1));
}

#[test]
fn what_runs_stays_when_the_file_changes_a_little() {
    let machine = Machine::four_sockets();
    let mut file = cluster([("b", count(4)), ("d", count(8)), ("f", count(4))]);
    let first = new(&machine, &file);
    // A new one that comes first by name and by size.
    file.partitions.insert("a".to_owned(), count(16));
    let second = placed(&machine, &file, &first.assignments());
    for name in ["b", "d", "f"] {
        let (old, new) = (&first.partitions[name].assignment, &second.partitions[name].assignment);
        assert_eq!(old, new);
        assert_eq!(second.partitions[name].cpus_because, CpuReason::Kept);
    }
    // One grows: it keeps what it has.
    file.partitions.insert("b".to_owned(), count(6));
    let third = placed(&machine, &file, &second.assignments());
    let before = &second.partitions["b"].assignment.cpus;
    assert_eq!(third.partitions["b"].cpus_because, CpuReason::Resized(before.clone()));
    assert_eq!(before.difference(&third.partitions["b"].assignment.cpus), CpuSet::new());
    // One shrinks: it gives back some.
    file.partitions.insert("d".to_owned(), count(2));
    let fourth = placed(&machine, &file, &third.assignments());
    let after = &fourth.partitions["d"].assignment.cpus;
    assert_eq!(after.difference(&third.partitions["d"].assignment.cpus), CpuSet::new());
    // Its memory changes: its CPUs stay.
    file.partitions.insert("f".to_owned(), partition(Cpus::Count(4), Bytes::gib(2)));
    let fifth = placed(&machine, &file, &fourth.assignments());
    assert_eq!(fifth.partitions["f"].assignment.cpus, fourth.partitions["f"].assignment.cpus);
    assert_eq!(fifth.partitions["f"].assignment.memory_total(), Bytes::gib(2));
}

#[test]
fn numbers_asked_for_drive_others_away() {
    let machine = Machine::synthetic(Shape::default());
    let first = new(&machine, &cluster([("a", count(1))]));
    assert_eq!(cpus(&first)["a"], "1");
    let second =
        placed(&machine, &cluster([("a", count(1)), ("z", set("1"))]), &first.assignments());
    assert_eq!(cpus(&second), [("a", "2".into()), ("z", "1".into())].into());
    let moved = CpuReason::Moved("1".parse().unwrap());
    assert_eq!(second.partitions["a"].cpus_because, moved);
}

#[test]
fn what_could_only_be_spread_badly_stays_when_others_leave() {
    let machine = Machine::synthetic(Shape { nodes: 2, ..Shape::default() });
    let wide = Partition { numa: Some(Numa::Spread), ..count(2) };
    // The large one fills node 1, so that there is nothing left to spread over.
    let full = cluster([("large", set("4-7")), ("wide", wide.clone())]);
    let first = new(&machine, &full);
    assert_eq!(cpus(&first)["wide"], "1-2");
    let second = placed(&machine, &cluster([("wide", wide)]), &first.assignments());
    assert_eq!(cpus(&second)["wide"], "1-2");
    // But a new wish is fulfilled.
    let current = new(&machine, &cluster([("a", count(2))])).assignments();
    assert_eq!(current["a"].cpus.to_string(), "1-2");
    let now = Partition { numa: Some(Numa::Spread), ..count(2) };
    let third = placed(&machine, &cluster([("a", now)]), &current);
    assert_eq!(third.partitions["a"].assignment.memory.len(), 2);
}

#[test]
fn cpus_of_running_partitions_are_offline_and_still_theirs() {
    let mut machine = Machine::synthetic(Shape::default());
    let first = new(&machine, &cluster([("a", count(2)), ("b", set("3"))]));
    for cpu in &mut machine.cpus[1..] {
        cpu.online = false;
    }
    let second =
        placed(&machine, &cluster([("a", count(2)), ("c", count(1))]), &first.assignments());
    assert_eq!(cpus(&second), [("a", "1-2".into()), ("c", "3".into())].into());
    assert_eq!(second.host.cpus.to_string(), "0");
}

#[test]
fn the_reasons_are_told() {
    let machine = Machine::four_sockets();
    let spread = Partition { numa: Some(Numa::Spread), ..count(32) };
    let file = cluster([
        ("a", count(4)),
        ("large", count(32)),
        ("set", set("8,264")),
        ("wide", spread),
        (
            "pages",
            Partition {
                memory_source: MemorySource::Hugetlb { page: HugePage::OneGiB },
                ..partition(Cpus::Count(2), Bytes::gib(2))
            },
        ),
    ]);
    let first = new(&machine, &file);
    let mut text = String::new();
    for name in first.partitions.keys() {
        let lines = explain(&machine, &first, name).unwrap();
        text += &format!("{name}\n  {}\n", lines.join("\n  "));
    }
    let mut edited = cluster([("a", count(6)), ("large", count(32)), ("set", set("1,257"))]);
    edited.partitions.insert("pages".to_owned(), count(2));
    let second = placed(&machine, &edited, &first.assignments());
    text += "--- after an edit\n";
    for name in second.partitions.keys() {
        let lines = explain(&machine, &second, name).unwrap();
        text += &format!("{name}\n  {}\n", lines.join("\n  "));
    }
    assert_eq!(explain(&machine, &second, "absent"), None);
    insta::assert_snapshot!(text);
}
