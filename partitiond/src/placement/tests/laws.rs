//! Laws that hold for every machine and every file.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::cluster::MIN_MEMORY;

fn machine() -> impl Strategy<Value = Machine> {
    (1u32..4, 1u32..3, 1u32..9, 1u32..3, 1u32..5, 2u64..33, any::<u64>()).prop_map(
        |(sockets, nodes, cores, threads, llc_cores, gib, offline)| {
            let nodes = nodes * sockets;
            let memory = Bytes::gib(gib);
            let shape = Shape { sockets, nodes, cores, threads, llc_cores, memory };
            let mut machine = Machine::synthetic(shape);
            // Some CPUs are offline, a few of them without a known place.
            for (at, cpu) in machine.cpus.iter_mut().enumerate().skip(1) {
                if offline.rotate_right(at as u32) & 0xf == 0xf {
                    cpu.online = false;
                    if offline & 1 == 1 {
                        cpu.place = None;
                    }
                }
            }
            machine
        },
    )
}

fn any_partition() -> impl Strategy<Value = Partition> {
    let cpus = prop_oneof![
        5 => (1u32..9).prop_map(Cpus::Count),
        2 => (1u32..5).prop_map(Cpus::Cores),
        1 => (1u32..5).prop_map(Cpus::Shared),
        1 => proptest::collection::btree_set(0u32..24, 1..4).prop_map(|cpus| Cpus::Set(
            cpus.into_iter().map(boot::units::CpuId).collect()
        )),
    ];
    let numa = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Numa::Local)),
        1 => Just(Some(Numa::Spread)),
        1 => proptest::collection::btree_set(0u32..3, 1..3)
            .prop_map(|nodes| Some(Numa::Nodes(nodes.into_iter().map(NodeId).collect()))),
    ];
    (cpus, 64u64..600, numa).prop_map(|(cpus, pages, numa)| Partition {
        numa,
        ..partition(cpus, Bytes::mib(pages * 2))
    })
}

fn any_cluster() -> impl Strategy<Value = Cluster> {
    let partitions = proptest::collection::btree_map("[a-f]{1,2}", any_partition(), 0..6);
    let host = proptest::option::of(proptest::collection::btree_set(0u32..4, 0..3));
    let memory = proptest::option::of((0u64..4).prop_map(Bytes::gib));
    (partitions, host, memory).prop_map(|(partitions, cpus, memory)| {
        let cpus = cpus.map(|cpus| cpus.into_iter().map(boot::units::CpuId).collect());
        let host = crate::cluster::Host { cpus, memory };
        Cluster { partitions, host, ..Cluster::default() }
    })
}

/// What holds for every division.
fn check(machine: &Machine, cluster: &Cluster, current: &Assignments, placement: &Placement) {
    assert_eq!(
        placement.partitions.keys().collect::<Vec<_>>(),
        cluster.partitions.keys().collect::<Vec<_>>(),
        "every partition is placed"
    );
    let mut seen = CpuSet::new();
    let mut on_node = BTreeMap::<NodeId, u64>::new();
    let owned: CpuSet = current.values().flat_map(|own| own.cpus.iter()).collect();
    for (name, placed) in &placement.partitions {
        let request = &cluster.partitions[name];
        let assignment = &placed.assignment;
        match &request.cpus {
            Cpus::Count(count) => assert_eq!(assignment.cpus.len(), *count as usize),
            Cpus::Cores(cores) => {
                assert!(assignment.cpus.len() >= *cores as usize);
                assert!(assignment.cpus.len().is_multiple_of(*cores as usize));
            }
            Cpus::Set(set) => assert_eq!(assignment.cpus, *set),
            Cpus::Shared(_) => assert!(assignment.cpus.is_empty()),
        }
        for id in assignment.cpus.iter() {
            assert!(seen.insert(id), "{id} has two owners");
            let cpu = machine.cpu(id).unwrap();
            assert!(!cpu.boot, "the boot CPU was given away");
            assert!(cpu.online || owned.contains(id), "{id} is offline");
            let siblings = &cpu.place.as_ref().unwrap().siblings;
            for sibling in siblings.iter() {
                let other = machine.cpu(sibling).unwrap();
                let idle = other.place.is_none() || (!other.online && !owned.contains(sibling));
                assert!(idle || assignment.cpus.contains(sibling), "half a core: {sibling}");
            }
            let host = cluster.host.cpus.as_ref();
            assert!(!host.is_some_and(|host| host.contains(id)), "{id} is the host's");
        }
        assert_eq!(assignment.memory_total(), request.memory);
        assert!(request.memory >= MIN_MEMORY);
        let cpu_nodes: BTreeSet<NodeId> = assignment
            .cpus
            .iter()
            .map(|id| machine.cpu(id).unwrap().place.as_ref().unwrap().node)
            .collect();
        for (node, amount) in &assignment.memory {
            assert!(amount.0 > 0 && amount.0.is_multiple_of(assignment.source.page().0));
            *on_node.entry(*node).or_default() += amount.0;
            let listed = matches!(&request.numa, Some(Numa::Nodes(list)) if list.contains(node));
            let anywhere = matches!(request.cpus, Cpus::Shared(_))
                && !matches!(request.numa, Some(Numa::Nodes(_)));
            assert!(
                cpu_nodes.contains(node) || listed || anywhere,
                "memory on {node}, away from its CPUs"
            );
        }
        let local = matches!(
            (&request.numa, &request.cpus),
            (None, Cpus::Count(_) | Cpus::Cores(_) | Cpus::Shared(_)) | (Some(Numa::Local), _)
        );
        let nodes = match request.cpus {
            Cpus::Shared(_) => assignment.memory.len(),
            _ => cpu_nodes.len(),
        };
        assert!(!local || nodes == 1);
        if let Some(Numa::Nodes(list)) = &request.numa {
            assert!(cpu_nodes.iter().all(|node| list.contains(node)));
        }
    }
    for (node, amount) in &on_node {
        assert!(*amount <= machine.node(*node).unwrap().memory.0, "{node} is overbooked");
    }
    let given: u64 = on_node.values().sum();
    assert!(given + cluster.host.memory.unwrap_or_default().0 <= machine.memory.0);
    assert_eq!(placement.host.cpus.intersection(&seen), CpuSet::new());
    assert!(placement.host.cpus.contains(boot::units::CpuId(0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn every_division_keeps_the_rules(machine in machine(), cluster in any_cluster()) {
        let none = Assignments::new();
        let result = place(&machine, &cluster, &none);
        // The same question has the same answer.
        prop_assert_eq!(&result, &place(&machine, &cluster, &none));
        match result {
            Ok(placement) => {
                check(&machine, &cluster, &none, &placement);
                // What is placed stays: asking again changes nothing.
                let again = place(&machine, &cluster, &placement.assignments()).unwrap();
                prop_assert_eq!(again.assignments(), placement.assignments());
            }
            Err(refusals) => prop_assert!(!refusals.is_empty()),
        }
    }

    #[test]
    fn an_edit_of_one_moves_no_other(
        machine in machine(),
        cluster in any_cluster(),
        edited in any_partition(),
        name in "[a-f]{1,2}",
        online in any::<bool>(),
    ) {
        let Ok(first) = place(&machine, &cluster, &Assignments::new()) else { return Ok(()) };
        let current = first.assignments();
        // The partitions run: their CPUs have left the host.
        let mut machine = machine;
        for cpu in &mut machine.cpus {
            cpu.online &= online || !current.values().any(|own| own.cpus.contains(cpu.id));
        }
        let mut changed = cluster.clone();
        let by_number = match &edited.cpus {
            Cpus::Set(set) => set.clone(),
            Cpus::Count(_) | Cpus::Cores(_) | Cpus::Shared(_) => CpuSet::new(),
        };
        changed.partitions.insert(name.clone(), edited);
        if let Ok(second) = place(&machine, &changed, &current) {
            check(&machine, &changed, &current, &second);
            for (other, own) in current.iter().filter(|(other, _)| **other != name) {
                if own.cpus.intersection(&by_number).is_empty() {
                    prop_assert_eq!(&second.partitions[other].assignment, own, "{} moved", other);
                }
            }
        }
        changed.partitions.remove(&name);
        let third = place(&machine, &changed, &current).unwrap();
        for other in changed.partitions.keys() {
            prop_assert_eq!(&third.partitions[other].assignment, &current[other]);
        }
    }
}
