//! Every rule has a refusal, in words that say what to do.

use super::*;
use crate::cluster::{Source, Surroundings, parse};

struct Anything;

impl Surroundings for Anything {
    fn stored_images(&self) -> Vec<String> {
        vec!["general".to_owned()]
    }

    fn check_profile(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

fn refusals(machine: &Machine, cluster: &Cluster) -> Vec<Refusal> {
    place(machine, cluster, &Assignments::new()).expect_err("was not refused")
}

#[test]
fn every_rule_refuses_in_words() {
    let machine = Machine::synthetic(Shape {
        nodes: 2,
        threads: 2,
        memory: Bytes::gib(8),
        ..Shape::default()
    });
    let with = |partition: Partition, numa: Numa| Partition { numa: Some(numa), ..partition };
    let sourced = |source| Partition { memory_source: source, ..count(2) };
    let cases = [
        (Rule::BootCpu, cluster([("a", set("0,8"))])),
        (Rule::HalfCore, cluster([("a", set("8"))])),
        (Rule::HalfCore, cluster([("a", set("1-2,9"))])),
        (Rule::HalfCore, cluster([("a", count(3))])),
        (Rule::HalfCore, cluster([("a", count(1))])),
        (Rule::UnknownCpu, cluster([("a", set("15-17"))])),
        (Rule::OneOwner, cluster([("a", set("1,9")), ("b", set("1-2,9-10"))])),
        (Rule::FreeCpus, cluster([("a", count(16)), ("b", with(count(6), Numa::Spread))])),
        (Rule::OneNode, cluster([("a", count(10))])),
        (Rule::OneNode, cluster([("a", partition(Cpus::Count(2), Bytes::gib(6)))])),
        (Rule::UnknownNode, cluster([("a", with(count(2), Numa::Nodes(vec![NodeId(5)])))])),
        (Rule::NodesOfSet, cluster([("a", with(set("3-4,11-12"), Numa::Local))])),
        (Rule::NodesOfSet, cluster([("a", with(set("1,9"), Numa::Nodes(vec![NodeId(1)])))])),
        (Rule::MemoryAmount, cluster([("a", partition(Cpus::Count(2), Bytes::mib(64)))])),
        (Rule::MemoryAmount, cluster([("a", partition(Cpus::Count(2), Bytes::mib(513)))])),
        (Rule::FreeMemory, cluster([("a", partition(Cpus::Count(2), Bytes::gib(64)))])),
        (
            Rule::FreeMemory,
            cluster([("a", partition(Cpus::Set("1,9".parse().unwrap()), Bytes::gib(5)))]),
        ),
        (Rule::MemorySource, cluster([("a", sourced(MemorySource::SoftReserved))])),
    ];
    let mut text = String::new();
    for (rule, cluster) in cases {
        let refusals = refusals(&machine, &cluster);
        assert!(refusals.iter().any(|refusal| refusal.rule == rule), "{rule:?}: {refusals:#?}");
        for refusal in refusals {
            text += &format!(
                "{:?} {:?}: {}\n    {}\n",
                refusal.rule, refusal.partitions, refusal.message, refusal.hint
            );
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_the_machine_cannot_do_is_refused() {
    let rule = |machine: &Machine, cluster: &Cluster| refusals(machine, cluster)[0].rule;
    let mut machine = Machine::synthetic(Shape::default());
    machine.cpus[2].online = false;
    machine.cpus[3].removable = false;
    assert_eq!(rule(&machine, &cluster([("a", set("2"))])), Rule::OfflineCpu);
    assert_eq!(rule(&machine, &cluster([("a", set("3"))])), Rule::FixedCpu);
    assert_eq!(rule(&machine, &cluster([("a", count(2))])), Rule::FreeCpus);
    machine.hugepage_sizes = vec![Bytes::mib(2)];
    let source = MemorySource::Hugetlb { page: HugePage::OneGiB };
    let huge = Partition { memory_source: source, ..partition(Cpus::Count(1), Bytes::gib(1)) };
    assert_eq!(rule(&machine, &cluster([("a", huge)])), Rule::MemorySource);
    let pooled = Partition {
        memory_source: MemorySource::Memmap,
        ..partition(Cpus::Count(1), Bytes::mib(512))
    };
    machine.pools.push(Pool {
        kind: PoolKind::Memmap,
        start: boot::units::PhysAddr(1 << 32),
        size: Bytes::gib(1),
        node: None,
        unusable: Some("the host runs in it".to_owned()),
    });
    let refusal = &refusals(&machine, &cluster([("a", pooled)]))[0];
    assert_eq!(refusal.rule, Rule::MemorySource);
    let why = "of 1GiB at 0x100000000: the host runs in it";
    assert!(refusal.message.contains(why), "{refusal}");
    let mut host = cluster([("a", set("1"))]);
    host.host.cpus = Some("1".parse().unwrap());
    assert_eq!(rule(&machine, &host), Rule::HostShare);
    host.host.cpus = Some("77".parse().unwrap());
    assert_eq!(rule(&machine, &host), Rule::UnknownCpu);
    host.host.cpus = None;
    host.host.memory = Some(Bytes::gib(5));
    assert_eq!(rule(&machine, &host), Rule::HostShare);
}

#[test]
fn every_partition_that_does_not_fit_is_named_at_once() {
    let machine = Machine::synthetic(Shape::default());
    let refusals =
        refusals(&machine, &cluster([("a", count(7)), ("b", set("0")), ("c", count(9))]));
    let mut names: Vec<_> = refusals.iter().flat_map(|refusal| &refusal.partitions).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn refusals_show_their_place_in_the_file() {
    let text = r#"Cluster(
    host: (cpus: "40-99", memory: "64GiB"),
    partitions: {
        "db": (image: "general", memory: "16GiB"),
        "trading": (image: "general", cpus: Set("0-1")),
        "half": (image: "general", cpus: Count(1)),
    },
)
"#;
    let file = parse(Source::new("cluster.ron", text), &Anything).unwrap();
    let machine = Machine::synthetic(Shape { threads: 2, ..Shape::default() });
    let refusals = refusals(&machine, &file.cluster);
    insta::assert_snapshot!(diagnose(&file, &refusals).unwrap().render(false));
}

/// What a cluster file that is silent about CPUs asks for is there on every machine.
#[test]
fn a_partition_that_says_nothing_gets_a_whole_core() {
    for threads in [1, 2, 4] {
        let machine = Machine::synthetic(Shape { threads, ..Shape::default() });
        let silent = partition(Cpus::default(), Bytes::mib(512));
        let placement = place(&machine, &cluster([("a", silent)]), &Assignments::new()).unwrap();
        assert_eq!(placement.partitions["a"].assignment.cpus.len(), threads as usize);
        let current = placement.assignments();
        let two = partition(Cpus::Cores(2), Bytes::mib(512));
        let placement = place(&machine, &cluster([("a", two)]), &current).unwrap();
        assert_eq!(placement.partitions["a"].assignment.cpus.len(), 2 * threads as usize);
    }
}
