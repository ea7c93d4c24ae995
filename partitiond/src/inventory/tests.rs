use std::fs;
use std::path::Path;

use boot::units::{ApicId, Bytes, CpuId, NodeId, PhysAddr};

use super::*;

/// A machine with two nodes, two cores of two threads each; CPU 3 is offline.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let flags = "flags\t\t: fpu tsc apic constant_tsc nonstop_tsc x2apic hypervisor\n";
    let mut info = String::new();
    for (cpu, apic) in [(0, 0), (1, 2), (2, 1)] {
        info += &format!(
            "processor\t: {cpu}\nvendor_id\t: GenuineIntel\napicid\t\t: {apic}\ninitial apicid\t: 9\n{flags}\n"
        );
    }
    write("proc/cpuinfo", &info);
    write("proc/meminfo", "MemTotal:        4194304 kB\nMemFree:  1 kB\n");
    write("proc/version", "Linux version 6.1.0-56-cloud-amd64 (debian)\n");
    write("proc/cmdline", "ro memmap=1G$4G,512M$0x180000000 quiet\n");
    write(
        "proc/iomem",
        "00100000-7fffffff : System RAM\n80000000-bfffffff : Soft Reserved\n\
         100000000-13fffffff : Reserved\n180000000-19fffffff : System RAM\n",
    );
    write("proc/sys/kernel/osrelease", "6.1.0-56-cloud-amd64\n");
    write("proc/sys/kernel/arch", "x86_64\n");
    let cpu = "sys/devices/system/cpu";
    write(&format!("{cpu}/present"), "0-3\n");
    write(&format!("{cpu}/online"), "0-2\n");
    for (id, core, siblings, package) in [(0, 0, "0,2", 0), (1, 0, "1", 1), (2, 0, "0,2", 0)] {
        let topology = format!("{cpu}/cpu{id}/topology");
        write(&format!("{topology}/core_id"), &format!("{core}\n"));
        write(&format!("{topology}/physical_package_id"), &format!("{package}\n"));
        write(&format!("{topology}/thread_siblings_list"), &format!("{siblings}\n"));
        for (index, level, kind, shared) in
            [(0, 1, "Data", siblings), (1, 1, "Instruction", siblings), (3, 3, "Unified", siblings)]
        {
            let cache = format!("{cpu}/cpu{id}/cache/index{index}");
            write(&format!("{cache}/level"), &format!("{level}\n"));
            write(&format!("{cache}/type"), &format!("{kind}\n"));
            write(&format!("{cache}/shared_cpu_list"), &format!("{shared}\n"));
        }
    }
    for id in 1..4 {
        write(&format!("{cpu}/cpu{id}/online"), if id == 3 { "0\n" } else { "1\n" });
    }
    write("sys/devices/system/node/online", "0-1\n");
    for (id, cpus, distance) in [(0, "0,2", "10 21"), (1, "1", "21 10")] {
        let node = format!("sys/devices/system/node/node{id}");
        write(&format!("{node}/cpulist"), cpus);
        write(&format!("{node}/distance"), distance);
        write(&format!("{node}/meminfo"), &format!("Node {id} MemTotal:       2097152 kB\n"));
        let pages = format!("{node}/hugepages/hugepages-2048kB");
        write(&format!("{pages}/nr_hugepages"), "4\n");
        write(&format!("{pages}/free_hugepages"), "3\n");
    }
    write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n");
    write("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "6\n");
    write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
    write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu\n");
    let dax = "sys/bus/dax/devices/dax0.0";
    write(&format!("{dax}/size"), "1073741824\n");
    write(&format!("{dax}/resource"), "0x80000000\n");
    write(&format!("{dax}/target_node"), "1\n");
    let driver = root.path().join(dax).join("driver");
    std::os::unix::fs::symlink("../../../bus/dax/drivers/device_dax", driver).unwrap();
    let memmap = "sys/firmware/memmap/0";
    write(&format!("{memmap}/start"), "0x0\n");
    write(&format!("{memmap}/end"), "0x1ffffffff\n");
    write(&format!("{memmap}/type"), "System RAM\n");
    let pci = "sys/bus/pci/devices/0000:00:1f.2";
    write(&format!("{pci}/vendor"), "0x8086\n");
    write(&format!("{pci}/device"), "0x2922\n");
    write(&format!("{pci}/class"), "0x010601\n");
    write(&format!("{pci}/numa_node"), "-1\n");
    std::os::unix::fs::symlink(
        "../../../bus/pci/drivers/ahci",
        root.path().join(pci).join("driver"),
    )
    .unwrap();
    root
}

#[test]
fn reads_a_machine_from_its_files() {
    let root = tree();
    let machine = sys::read(root.path()).unwrap();
    assert_eq!(machine.memory, Bytes::gib(4));
    assert_eq!(machine.boot_cpu(), Some(CpuId(0)));
    assert_eq!(machine.online().to_string(), "0-2");
    assert_eq!(machine.packages(), 2);
    let cpu = machine.cpu(CpuId(2)).unwrap();
    assert!(cpu.online && cpu.removable && !cpu.boot);
    let place = cpu.place.as_ref().unwrap();
    assert_eq!(place.apic_id, ApicId(1));
    assert_eq!(place.siblings.to_string(), "0,2");
    assert_eq!(place.llc.to_string(), "0,2");
    assert_eq!(place.node, NodeId(0));
    assert!(!machine.cpu(CpuId(0)).unwrap().removable);
    let node = machine.node(NodeId(1)).unwrap();
    assert_eq!((node.memory, node.distances.as_slice()), (Bytes::gib(2), &[21, 10][..]));
    assert_eq!(node.hugepages, [HugePages { size: Bytes::mib(2), total: 4, free: 3 }]);
    assert_eq!(machine.hugepage_sizes, [Bytes::mib(2)]);
    assert_eq!(machine.kernel.release, "6.1.0-56-cloud-amd64");
    assert_eq!(machine.kernel.lockdown, Some(Lockdown::Integrity));
    assert_eq!(machine.apic, Apic { x2apic_capable: true, mode: None });
    assert!(machine.tsc_constant && machine.tsc_nonstop && machine.hypervisor);
    assert!(machine.cgroup_v2);
    let expected = [
        (PoolKind::SoftReserved, 0x8000_0000, Bytes::gib(1), Some(NodeId(1))),
        (PoolKind::Memmap, 0x1_0000_0000, Bytes::gib(1), None),
        (PoolKind::Memmap, 0x1_8000_0000, Bytes::mib(512), None),
    ];
    let pools: Vec<_> =
        machine.pools.iter().map(|pool| (pool.kind, pool.start.0, pool.size, pool.node)).collect();
    assert_eq!(pools, expected);
    let usable: Vec<bool> = machine.pools.iter().map(|pool| pool.pages().is_some()).collect();
    assert_eq!(usable, [true, true, false], "the host runs in the last one");
    let pci = &machine.pci[0];
    assert_eq!((pci.vendor, pci.device, pci.class), (0x8086, 0x2922, 0x01_06_01));
    assert_eq!((pci.driver.as_deref(), pci.node), (Some("ahci"), None));
    let offline = machine.cpu(CpuId(3)).unwrap();
    assert!(!offline.online && offline.place.is_none());
    assert_eq!(machine.notes, ["CPUs 3 are offline: where they sit is not to be seen now"]);
}

#[test]
fn a_kept_inventory_tells_where_offline_cpus_sit() {
    let earlier = Machine::synthetic(Shape { threads: 2, ..Shape::default() });
    let mut now = earlier.clone();
    // CPUs 2 and 6 are one core; Linux then forgets about 6 and shortens the lists of 2.
    let cpu = &mut now.cpus[6];
    cpu.online = false;
    cpu.place = None;
    let place = now.cpus[2].place.as_mut().unwrap();
    place.siblings = "2".parse().unwrap();
    now.memory = Bytes::gib(3);
    now.complete_from(&earlier);
    assert_eq!(now.cpus[6].place, earlier.cpus[6].place);
    assert_eq!(now.cpus[2].place, earlier.cpus[2].place);
    assert!(!now.cpus[6].online);
    assert_eq!(now.memory, Bytes::gib(3));

    now.cpus[1].place.as_mut().unwrap().apic_id = ApicId(77);
    now.complete_from(&earlier);
    assert_eq!(now.cpus[1].place.as_ref().unwrap().apic_id, ApicId(77));
    assert!(now.notes[0].contains("CPUs 1 have other APIC ids"), "{:?}", now.notes);
}

#[test]
fn a_kernel_without_numa_is_one_node() {
    let root = tree();
    fs::remove_dir_all(root.path().join("sys/devices/system/node")).unwrap();
    let machine = sys::read(root.path()).unwrap();
    assert_eq!(machine.nodes.len(), 1);
    assert_eq!(machine.nodes[0].memory, Bytes::gib(4));
    assert!(machine.notes[0].contains("no NUMA"), "{:?}", machine.notes);
}

#[test]
fn what_has_to_be_there_is_missed_by_name() {
    for name in ["proc/cpuinfo", "sys/devices/system/cpu/present"] {
        let root = tree();
        fs::remove_file(root.path().join(name)).unwrap();
        let error = sys::read(root.path()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("mounted"), "{error}");
    }
    let root = tree();
    fs::write(root.path().join("sys/devices/system/cpu/online"), "zero").unwrap();
    let error = sys::read(root.path()).unwrap_err().to_string();
    assert!(error.contains("says `zero`"), "{error}");
}

#[test]
fn this_machine_reads() {
    let machine = sys::read(Path::new("/")).unwrap();
    assert!(machine.cpus.iter().any(|cpu| cpu.online && cpu.place.is_some()), "{machine:?}");
    let text = save(&machine).unwrap();
    assert_eq!(parse(Path::new("here"), text.as_bytes()).unwrap(), machine);
}

#[test]
fn a_saved_machine_loads_again() {
    let mut machine = Machine::four_sockets();
    assert_eq!((machine.cpus.len(), machine.nodes.len(), machine.packages()), (512, 8, 4));
    machine.pools.push(Pool {
        kind: PoolKind::Memmap,
        start: PhysAddr(1 << 32),
        size: Bytes::gib(1),
        node: None,
        unusable: None,
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), save(&machine).unwrap()).unwrap();
    assert_eq!(load(file.path()).unwrap(), machine);
}

#[test]
fn files_that_hold_no_machine() {
    let load_text = |text: &str| parse(Path::new("machine.ron"), text.as_bytes()).unwrap_err();
    assert!(matches!(load_text("(cpus: [], nodes: [])"), LoadError::Format { .. }));
    let good = Machine::synthetic(Shape::default());
    let broken = |change: fn(&mut Machine)| {
        let mut machine = good.clone();
        change(&mut machine);
        load_text(&save(&machine).unwrap()).to_string()
    };
    assert!(broken(|machine| machine.nodes.clear()).contains("0 nodes"));
    assert!(broken(|machine| machine.cpus.swap(0, 1)).contains("ascending"));
    assert!(broken(|machine| machine.cpus[0].boot = false).contains("0 boot CPUs"));
    assert!(broken(|machine| machine.nodes[0].distances.clear()).contains("0 distances"));
    let place = |machine: &mut Machine| machine.cpus[1].place.as_mut().unwrap().node = NodeId(7);
    assert!(broken(place).contains("node 7, which is not there"));
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(4 << 30).unwrap();
    assert!(matches!(load(file.path()), Err(LoadError::TooLarge(_))));
    assert!(matches!(load(Path::new("/dev/zero")), Err(LoadError::NotAFile(_))));
}
