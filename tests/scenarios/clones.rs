//! Ten partitions that go on from one snapshot and share its memory. The server's virtualisation is emulated: this
//! proves that it works, not how fast it is.

#![allow(clippy::expect_used, reason = "a scenario ends where something does not work")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use scenarios::{Server, Setup, scenario};

const ORIGIN: &str = r#"Cluster(
    trust: Mutual,
    backend: Kvm,
    partitions: {
        "db": (image: "linux-6.1-cloud", cpus: Shared(1), memory: "192MiB", taps: [(name: "tap-db")]),
    },
)
"#;

const COUNT: u32 = 10;

fn name(number: u32) -> String {
    format!("clone-{number}")
}

/// Partitions on the host's CPUs, whose memory is that of a snapshot.
fn clones(count: u32, snapshot: &str) -> String {
    let mut partitions = String::new();
    for number in 0..count {
        writeln!(
            partitions,
            "        \"{}\": (image: \"linux-6.1-cloud\", cpus: Shared(1), memory: \"192MiB\", \
             memory_source: Snapshot, snapshot: \"{snapshot}\", taps: [(name: \"tap-{number}\")]),",
            name(number)
        )
        .expect("text");
    }
    format!("Cluster(trust: Mutual, backend: Kvm, partitions: {{\n{partitions}}})\n")
}

/// Bytes of memory that are the processes' own, and those that they share with others, in KiB.
fn memory(server: &Server) -> (u64, u64) {
    let own = server.sh("cat /sys/fs/cgroup/partitiond-kvm/*/cgroup.procs | \
        while read process; do cat /proc/$process/smaps_rollup; done");
    let sum = |field: &str| {
        let lines =
            own.lines().filter_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        lines.map(|number| number.parse::<u64>().expect("a number")).sum()
    };
    (sum("Private_Dirty:") + sum("Private_Clean:"), sum("Rss:"))
}

#[test]
#[ignore = "under emulated virtualisation some clones are lost at random: not understood yet"]
fn ten_go_on_from_one_snapshot() {
    scenario(|| {
        let server = Server::start(&Setup {
            modules: &["kvm_amd", "tun"],
            images: &["linux-6.1-cloud"],
            ..Setup::default()
        });
        let before = server.state();
        server.sh("mkdir /snapshots");
        server.up(ORIGIN);
        assert!(server.sh("partitiond ps").contains("1 shared"));
        let origin_boot_id = server.boot_ids(&["db"]);
        let origin = |line: &str| server.sh(&format!("partitiond exec db -- sh -c '{line}'"));
        origin("dd if=/dev/urandom of=/dev/shm/ballast bs=1M count=40 2>/dev/null");
        origin("echo 0123456789abcdef0123456789abcdef >/etc/machine-id");
        let sum = origin("sha256sum /dev/shm/ballast");
        let origin_mac = origin("cat /sys/class/net/eth0/address");
        server.sh("partitiond snapshot --stop db /snapshots/base");
        let snapshot_sum = server.sh("sha256sum /snapshots/base/memory");

        // Whoever goes on later finds another time.
        std::thread::sleep(Duration::from_secs(3));
        server.up(&clones(COUNT, "/snapshots/base"));
        let names: Vec<String> = (0..COUNT).map(name).collect();
        let inside = |name: &str, line: &str| {
            server.sh(&format!("partitiond exec {name} -- sh -c '{line}'"))
        };
        let (own, resident) = memory(&server);
        println!("{COUNT} clones of 192 MiB: {own} KiB of their own, {resident} KiB resident");
        let all = u64::from(COUNT) * (192 << 10);
        assert!(own < all / 2, "{own} KiB are the clones' own");

        let mut seen = [const { BTreeSet::new() }; 4];
        for name in &names {
            assert_eq!(server.boot_ids(&[name]), origin_boot_id, "it is the same kernel");
            assert_eq!(inside(name, "sha256sum /dev/shm/ballast"), sum, "{name}");
            assert_eq!(inside(name, "hostname"), *name);
            for (seen, line) in seen.iter_mut().zip([
                "cat /etc/machine-id",
                "cat /sys/class/net/eth0/address",
                "cat /proc/sys/kernel/random/uuid",
                "head -c 16 /dev/urandom | sha256sum",
            ]) {
                let value = inside(name, line);
                assert!(seen.insert(value.clone()), "{name}: {line} is {value} of another's");
            }
            let there = inside(name, "date +%s").parse::<i64>().expect("a time");
            let here = server.sh("date +%s").parse::<i64>().expect("a time");
            assert!((there - here).abs() <= 2, "{name}: {there}, and it is {here}");
        }
        let [ids, macs, ..] = &seen;
        assert!(!ids.contains("0123456789abcdef0123456789abcdef"), "{ids:?}");
        assert!(!macs.contains(&origin_mac), "{macs:?}");

        // What one writes no other reads, and the snapshot stays what it was.
        for name in &names {
            inside(
                name,
                &format!(
                    "yes {name} | dd of=/dev/shm/ballast bs=1M count=20 iflag=fullblock 2>/dev/null"
                ),
            );
        }
        for name in &names {
            assert_eq!(inside(name, "head -n 1 /dev/shm/ballast"), *name);
        }
        assert_eq!(server.sh("sha256sum /snapshots/base/memory"), snapshot_sum);
        // Its kernel's log is read out of its process.
        inside("clone-3", "echo heard from a clone >/dev/kmsg");
        server.wait_for(
            "partitiond logs clone-3 | grep -q \"heard from a clone\"",
            Duration::from_secs(10),
        );
        // A keeper that dies leaves it as it is, and the next one knows it.
        let keeper = server.partition("clone-4")["keeper"].as_u64().expect("its process");
        server.sh(&format!("kill -9 {keeper}"));
        server.wait_for(
            "test \"$(partitiond exec clone-4 -- head -n 1 /dev/shm/ballast)\" = clone-4",
            Duration::from_secs(60),
        );
        inside("clone-4", "echo heard again >/dev/kmsg");
        server
            .wait_for("partitiond logs clone-4 | grep -q \"heard again\"", Duration::from_secs(10));
        // A clone can be written down as any other.
        server.sh("partitiond snapshot --stop clone-5 /snapshots/five");
        server.up(&clones(1, "/snapshots/five"));
        assert_eq!(inside("clone-0", "hostname"), "clone-0");
        assert_eq!(inside("clone-0", "head -n 1 /dev/shm/ballast"), "clone-5");

        // Damage is found while it runs, and ends it.
        server.sh("partitiond down");
        server.sh(
            "echo x | dd of=/snapshots/base/memory bs=1 seek=150000000 conv=notrunc 2>/dev/null",
        );
        server.write("/cluster.ron", &clones(1, "/snapshots/base"));
        server.try_sh("partitiond up /cluster.ron");
        server
            .wait_for("partitiond show clone-0 | grep -q \"is damaged\"", Duration::from_secs(30));
        server.sh("partitiond down --force");
        // What has no snapshot cannot have its memory.
        server.write("/cluster.ron", &clones(1, "/x").replace("snapshot: \"/x\", ", ""));
        let (_, refused) = server.refused("partitiond up /cluster.ron");
        assert!(refused.contains("there is no snapshot that this memory could be of"), "{refused}");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}
