//! Partitions in virtual machines. The server's virtualisation is emulated: this proves that it works, not how
//! fast it is.

#![allow(clippy::expect_used, reason = "a scenario ends where something does not work")]

use std::time::Duration;

use scenarios::{Server, Setup, scenario};
use serde_json::Value;

/// As `bare` runs it, changed in one word.
const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    backend: Kvm,
    partitions: {
        "one": (image: "linux-6.1-cloud", memory: "256MiB",
                disks: [(name: "data", path: "/data.img"), (name: "seed", path: "/seed.img", read_only: true)]),
        "rt": (image: "linux-6.12-rt", cpus: Count(2), memory: "256MiB"),
        "new": (image: "linux-7.2-cloud", memory: "256MiB",
                taps: [(name: "tap-new", mac: "02:00:00:00:00:07")]),
    },
)
"#;

/// Two back ends side by side.
const BOTH: &str = r#"Cluster(
    trust: Mutual,
    partitions: {
        "one": (image: "linux-6.1-cloud", memory: "256MiB", backend: Kvm),
        "other": (image: "linux-6.1-cloud", memory: "256MiB", backend: Bare),
    },
)
"#;

fn server(images: &'static [&'static str], cpus: u32) -> Server {
    let topology = rig::Topology::flat(cpus);
    Server::start(&Setup { modules: &["kvm_amd", "tun"], images, topology, ..Setup::default() })
}

fn names(obstacles: &Value) -> Vec<&str> {
    let all = obstacles.as_array().expect("an array");
    all.iter().filter_map(|obstacle| obstacle["name"].as_str()).collect()
}

/// What the doctor has against virtual machines.
fn obstacles(server: &Server) -> Value {
    // It fails where a back end does not work: what it prints is what counts here.
    let output = server.try_sh("partitiond --format json doctor");
    let mut report: Value = serde_json::from_str(output.text().trim()).expect("JSON");
    report["kvm"].take()
}

/// Counters of a device, once they have settled: they are told every second.
fn device(server: &Server, partition: &str, name: &str) -> Value {
    std::thread::sleep(Duration::from_secs(3));
    let partition = server.partition(partition);
    let devices = partition["machine"]["devices"].as_array().expect("devices").clone();
    devices.into_iter().find(|device| device["name"] == name).expect("the device")
}

#[test]
fn kernels_boot_in_virtual_machines() {
    scenario(|| {
        let server = server(&["linux-6.1-cloud", "linux-6.12-rt", "linux-7.2-cloud"], 5);
        let before = server.state();
        assert_eq!(names(&obstacles(&server)), [""; 0]);
        server.sh("truncate -s 8M /data.img && echo written by the host >/seed.img && \
                   truncate -s 1M /seed.img");
        server.up(CLUSTER);

        for (name, release, cpus) in
            [("one", "6.1.", "1"), ("rt", "6.12.", "2"), ("new", "7.2.", "1")]
        {
            let inside = server.sh(&format!("partitiond exec {name} -- uname -r"));
            assert!(inside.starts_with(release), "{name} runs {inside}");
            assert_eq!(server.sh(&format!("partitiond exec {name} -- nproc")), cpus);
            let boot_id = "cat /proc/sys/kernel/random/boot_id";
            let boot_id = server.sh(&format!("partitiond exec {name} -- {boot_id}"));
            let partition = server.partition(name);
            assert_eq!(partition["boot_id"], boot_id.as_str());
            assert_eq!(partition["backend"], "kvm");
            let log = server.sh(&format!("partitiond logs {name}"));
            assert!(log.contains("Hypervisor detected: KVM"), "{log}");
            let written = partition["machine"]["cpus"][0]["port_writes"].as_u64();
            assert!(written.is_some_and(|count| count < 20_000), "{name}: {written:?} writes");
        }
        let exec = |line: &str| server.sh(&format!("partitiond exec one -- sh -c '{line}'"));
        disks(&server, &exec);
        network(&server);
        // Interrupts of the host's stay off the CPUs of virtual machines, as far as they can be moved.
        let cpus = server.sh("partitiond --format json ps");
        let cpus: Vec<Value> = serde_json::from_str(&cpus).expect("JSON");
        let cpus: Vec<&str> =
            cpus.iter().filter_map(|partition| partition["cpus"].as_str()).collect();
        let quiet = cpus.join(",");
        assert!(quiet.contains('2'), "{quiet}: CPU 2 is the one that interrupts are bound to");
        assert_eq!(server.sh("grep -lx 2 /proc/irq/*/smp_affinity_list || true"), "");
        let users: std::collections::BTreeSet<u32> =
            ["one", "rt", "new"].iter().map(|name| jail(&server, name)).collect();
        assert_eq!(users.len(), 3, "each has a user of its own");

        // A second `up` does nothing.
        let names = ["one", "rt", "new"];
        let boot_ids = server.boot_ids(&names);
        let again = server.sh("partitiond up /cluster.ron 2>&1");
        assert!(again.to_lowercase().contains("nothing to do"), "{again}");
        assert_eq!(server.boot_ids(&names), boot_ids);
        let first = server.heartbeats(&names);
        std::thread::sleep(Duration::from_secs(4));
        for (after, before) in server.heartbeats(&names).iter().zip(first) {
            assert!(*after >= before + 2);
        }

        server.sh("partitiond down");
        server.sh("test ! -e /sys/fs/cgroup/partitiond-kvm");
        let text = server.sh("dd if=/data.img bs=512 skip=100 count=1 status=none | head -n 1");
        assert_eq!(text, "written by the guest");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}

/// Disks, as the guest sees them and as the process of its virtual machine has counted them.
fn disks(server: &Server, exec: &dyn Fn(&str) -> String) {
    assert_eq!(exec("cat /sys/block/vda/serial; echo; cat /sys/block/vdb/serial"), "data\nseed");
    assert_eq!(
        exec("cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vdb/ro"),
        "16384\n2048\n1"
    );
    assert_eq!(exec("head -n 1 /dev/vdb"), "written by the host");
    let before = device(server, "one", "disk data");
    exec("echo written by the guest | dd of=/dev/vda bs=512 seek=100 conv=notrunc,fsync,sync");
    exec("echo 3 >/proc/sys/vm/drop_caches");
    assert_eq!(
        exec("dd if=/dev/vda bs=512 skip=100 count=1 2>/dev/null | head -n 1"),
        "written by the guest"
    );
    let after = device(server, "one", "disk data");
    for what in ["reads", "bytes_read", "writes", "bytes_written", "requests", "interrupts"] {
        let (before, after) = (before[what].as_u64(), after[what].as_u64());
        assert!(after > before, "{what}: {before:?}, {after:?}");
    }
    assert_eq!(after["failed"], 0);
    // Nobody else gets a disk that is written to.
    let other =
        CLUSTER.replace("\"new\": (", "\"new\": (disks: [(name: \"data\", path: \"/data.img\")], ");
    server.write("/other.ron", &other);
    let (_, refused) = server.refused("partitiond up /other.ron");
    assert!(refused.contains("/data.img is in use"), "{refused}");
    // What had to make room for it is there again.
    server.wait_for("partitiond exec new -- true", Duration::from_secs(60));
}

/// A network, as both of its ends see it and as the process of the virtual machine has counted it.
fn network(server: &Server) {
    let new = |line: &str| server.sh(&format!("partitiond exec new -- sh -c '{line}'"));
    assert_eq!(new("cat /sys/class/net/eth0/address"), "02:00:00:00:00:07");
    let mtu = server.sh("cat /sys/class/net/tap-new/mtu");
    assert_eq!(new("cat /sys/class/net/eth0/mtu"), mtu);
    server.sh("ip address add 10.9.0.1/24 dev tap-new");
    new("ip address add 10.9.0.2/24 dev eth0 && ip link set eth0 up");
    let before = device(server, "new", "net tap-new");
    // Larger than any packet, and not the same twice.
    let make = "mkdir -p /www && seq 1 200000 >/www/file";
    server.sh(make);
    new(make);
    let sum = server.sh("sha256sum </www/file");
    server.sh("httpd -p 10.9.0.1:80 -h /www");
    assert_eq!(new("wget -q -O - http://10.9.0.1/file | sha256sum"), sum, "from the host");
    new("httpd -p 10.9.0.2:80 -h /www");
    assert_eq!(server.sh("wget -q -O - http://10.9.0.2/file | sha256sum"), sum, "to the host");
    let after = device(server, "new", "net tap-new");
    let size = 1_288_894;
    for (bytes, packets) in [("rx_bytes", "rx_packets"), ("tx_bytes", "tx_packets")] {
        let grown = |what: &str| {
            let count = |of: &Value| of[what].as_u64().expect("a count");
            count(&after) - count(&before)
        };
        assert!(grown(bytes) > size, "{bytes}: {}", grown(bytes));
        // Segmentation is left to the other end: one packet is many of the wire's.
        assert!((20..size / 1400).contains(&grown(packets)), "{packets}: {}", grown(packets));
    }
    assert_eq!(after["dropped"], 0);
}

/// What the process of a virtual machine is.
fn jail(server: &Server, partition: &str) -> u32 {
    let process = server.sh(&format!("cat /sys/fs/cgroup/partitiond-kvm/{partition}/cgroup.procs"));
    let status = |what: &str| {
        let all =
            server.sh(&format!("cat /proc/{process}/task/*/status | grep '^{what}:' | sort -u"));
        all.split_ascii_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let user = status("Uid");
    assert!(user.iter().all(|id| *id == user[0]) && user[0] != "0", "{user:?}");
    assert_eq!(status("Gid"), user);
    assert_eq!(status("Groups"), [""; 0]);
    for capabilities in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(capabilities), ["0000000000000000"], "{capabilities}");
    }
    assert_eq!(status("NoNewPrivs"), ["1"]);
    assert_eq!(status("Seccomp"), ["2"], "every thread has a filter");
    assert_eq!(server.sh(&format!("ls -A /proc/{process}/root/")), "", "it sees no files");
    assert_eq!(
        server.sh(&format!("tail -n +3 /proc/{process}/net/dev | cut -d: -f1")).trim(),
        "lo"
    );
    // What it has open: nothing of ours but what it was given.
    let open = server.sh(&format!("cd /proc/{process}/fd && for fd in *; do readlink $fd; done"));
    for file in open.lines() {
        let known = [
            "anon_inode:",
            "/dev/kvm",
            "socket:",
            "/dev/null",
            "/run/partitiond/",
            "/data.img",
            "/seed.img",
            "/dev/net/tun",
        ];
        assert!(known.iter().any(|known| file.starts_with(known)), "{file}");
    }
    user[0].parse().expect("a number")
}

#[test]
fn both_back_ends_run_side_by_side() {
    scenario(|| {
        let server = server(&["linux-6.1-cloud"], 4);
        let before = server.state();
        server.up(BOTH);
        for (name, log) in [("one", "Hypervisor detected: KVM"), ("other", "ACPI: Using ACPI")] {
            assert!(server.sh(&format!("partitiond exec {name} -- uname -r")).starts_with("6.1."));
            let said = server.sh(&format!("partitiond logs {name}"));
            assert!(said.contains("Linux version"), "{log}");
        }
        assert_eq!(server.partition("other")["backend"], "bare");
        let disk = r#""other": (disks: [(name: "x", path: "/x")], "#;
        server.write("/disk.ron", &BOTH.replace("\"other\": (", disk));
        let (_, refused) = server.refused("partitiond up /disk.ron");
        assert!(refused.contains("a bare partition has no virtual disks"), "{refused}");
        let other = server.boot_ids(&["other"]);

        // What ends a kernel in a virtual machine: itself, by each of its ways, and the death of its process.
        for (how, said) in [
            ("echo c >/proc/sysrq-trigger", "panicked"),
            ("reboot -f", "asked for a restart"),
            ("poweroff -f", "switched itself off"),
        ] {
            let _ = server.try_sh(&format!("partitiond exec one -- sh -c '{how}'"));
            server.wait_for(
                &format!("partitiond events | grep -i one | tail -n 3 | grep -i '{said}'"),
                Duration::from_secs(60),
            );
            server.sh("partitiond up /cluster.ron");
        }
        server.sh("kill -9 $(cat /sys/fs/cgroup/partitiond-kvm/one/cgroup.procs)");
        server.wait_for(
            "partitiond events | grep one | tail -n 3 | grep 'its virtual machine ended'",
            Duration::from_secs(60),
        );
        // Keeper and supervisor may die: the virtual machine runs on.
        server.sh("partitiond up /cluster.ron");
        let one = server.boot_ids(&["one"]);
        assert_eq!(server.kill("partitiond serve"), 1);
        assert_eq!(server.kill("(partitiond|exe) keeper .*/one *$"), 1);
        server.sh("partitiond up /cluster.ron");
        server.wait_for("partitiond exec one -- true", Duration::from_secs(60));
        assert_eq!(server.boot_ids(&["one"]), one, "it was taken up");
        assert_eq!(server.boot_ids(&["other"]), other, "the other did not notice");

        server.sh("partitiond down");
        assert_eq!(server.state(), before, "the host is as it was found");

        server.sh("rmmod kvm_amd");
        assert_eq!(names(&obstacles(&server)), ["kvm"]);
        let (_, refused) = server.refused("partitiond up /cluster.ron");
        assert!(refused.contains("/dev/kvm cannot be opened"), "{refused}");
        assert_eq!(server.state(), before, "nothing was taken");
    });
}
