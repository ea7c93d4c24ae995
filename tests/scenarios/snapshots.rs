//! Partitions that are written down and go on elsewhere. The server's virtualisation is emulated: this proves that
//! it works, not how fast it is.

#![allow(clippy::expect_used, reason = "a scenario ends where something does not work")]

use std::time::Duration;

use scenarios::{Server, Setup, scenario};

const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    backend: Kvm,
    partitions: {
        "db": (image: "linux-6.1-cloud", cpus: Count(2), memory: "256MiB",
               disks: [(name: "data", path: "/data.img")], taps: [(name: "tap-db")]),
    },
)
"#;

/// Writes numbers to the disk, one sector each, and reads each back past all caches. It ends with the first that
/// is another.
const WRITER: &str = "i=0; while :; do i=$((i+1)); \
    echo $i >/dev/shm/number; dd if=/dev/shm/number of=/dev/vda bs=512 seek=$((i%2000)) count=1 \
    conv=notrunc,sync oflag=direct 2>/dev/null || break; \
    got=$(dd if=/dev/vda bs=512 skip=$((i%2000)) count=1 iflag=direct 2>/dev/null | head -n 1); \
    [ \"$got\" = $i ] || break; echo $i >/dev/shm/last; done; echo ended >/dev/shm/ended";

#[test]
fn a_partition_goes_on_in_new_processes() {
    scenario(|| {
        let server = Server::start(&Setup {
            modules: &["kvm_amd", "tun"],
            images: &["linux-6.1-cloud"],
            ..Setup::default()
        });
        let before = server.state();
        server.sh("truncate -s 1M /data.img && mkdir /snapshots");
        server.up(CLUSTER);
        let boot_id = server.boot_ids(&["db"]);
        let inside = |line: &str| server.sh(&format!("partitiond exec db -- sh -c '{line}'"));
        server.write("/writer", WRITER);
        server.sh("partitiond exec db -- sh -c 'cat >/writer' </writer");
        inside("dd if=/dev/urandom of=/dev/shm/ballast bs=1M count=40 2>/dev/null");
        let sum = inside("sha256sum /dev/shm/ballast");
        inside("setsid sh /writer >/dev/null 2>&1 </dev/null &");
        let number = || {
            // While it is written anew it is empty.
            let last = inside("until cat /dev/shm/last 2>/dev/null | grep .; do sleep 0.1; done");
            last.parse::<u64>().expect("a number")
        };
        let until = |least: u64| {
            server.wait_for(
                &format!("test $(partitiond exec db -- cat /dev/shm/last) -gt {least}"),
                Duration::from_secs(60),
            );
        };
        until(5);

        // One that goes on.
        server.sh("partitiond snapshot db /snapshots/0");
        let last = number();
        until(last);
        let (_, refused) = server.refused("partitiond snapshot db /snapshots/0");
        assert!(refused.contains("is there already"), "{refused}");
        let (_, refused) = server.refused("partitiond snapshot db snapshots");
        assert!(refused.contains("depends on where"), "{refused}");
        until(number());

        // Five that end it, and it goes on in a new process each time.
        for hop in 1..=5 {
            let process = server.sh("cat /sys/fs/cgroup/partitiond-kvm/db/cgroup.procs");
            let last = number();
            server.sh(&format!("partitiond snapshot --stop db /snapshots/{hop}"));
            assert!(!server.has("db"), "it has ended");
            server.sh(&format!("test ! -e /proc/{process}"));
            let field = format!("\"db\": (snapshot: \"/snapshots/{hop}\", ");
            server.up(&CLUSTER.replace("\"db\": (", &field));
            assert_eq!(server.boot_ids(&["db"]), boot_id, "it is the same kernel");
            assert!(number() >= last, "hop {hop}");
            until(number() + 3);
            assert_eq!(inside("sha256sum /dev/shm/ballast"), sum, "hop {hop}");
            assert_eq!(inside("ls /dev/shm"), "ballast\nlast\nnumber", "the writer writes");
            assert_eq!(inside("nproc"), "2");
            let again = server.sh("partitiond up /cluster.ron 2>&1");
            assert!(again.to_lowercase().contains("nothing to do"), "{again}");
        }
        // Its network goes on as well.
        inside("ip address add 10.9.0.2/24 dev eth0 && ip link set eth0 up");
        server.sh("ip address add 10.9.0.1/24 dev tap-db");
        server.sh("ping -c 3 -W 5 10.9.0.2");

        // What was damaged, or is of another machine, is refused, and nothing is taken.
        server.sh("partitiond down");
        for (spoil, field, why) in [
            (
                "echo x | dd of=/snapshots/5/memory bs=1 seek=20000000 conv=notrunc",
                "",
                "is damaged",
            ),
            ("rm /snapshots/4/snapshot.json", "4", "snapshot.json cannot be opened"),
            ("sed -i s/1/2/ /snapshots/3/state.json", "3", "is damaged"),
            ("true", "2\", memory: \"128MiB", "is of another machine"),
        ] {
            server.sh(spoil);
            let hop = if field.is_empty() { "5" } else { field };
            let mut cluster =
                CLUSTER.replace("\"db\": (", &format!("\"db\": (snapshot: \"/snapshots/{hop}\", "));
            if hop.contains("memory") {
                cluster = cluster.replacen("memory: \"256MiB\",", "", 1);
            }
            server.write("/cluster.ron", &cluster);
            let (_, refused) = server.refused("partitiond up /cluster.ron");
            assert!(refused.contains(why), "{spoil}: {refused}");
        }
        server.sh("partitiond down --force");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}
