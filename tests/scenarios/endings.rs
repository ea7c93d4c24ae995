//! What goes wrong in one partition stays there: panics, restarts, power-offs, a fork bomb.

use std::time::Duration;

use scenarios::{Server, scenario};

const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    partitions: {
        "victim": (image: "linux-6.12-cloud", cpus: Set("2-3")),
        "other":  (image: "linux-6.1-cloud",  cpus: Set("1")),
    },
)
"#;

/// How a partition is brought to its end, and what is to be told of it.
const ENDINGS: [(&str, &str, &str); 5] = [
    ("a panic", "echo c > /proc/sysrq-trigger", "panicked"),
    ("reboot -f", "reboot -f", "restarted"),
    ("poweroff -f", "poweroff -f", "powered-off"),
    ("sysrq-b", "echo b > /proc/sysrq-trigger", "restarted"),
    ("sysrq-o", "echo o > /proc/sysrq-trigger", "powered-off"),
];

#[test]
fn what_ends_one_partition_leaves_the_others_alone() {
    scenario(|| {
        let (server, before) = Server::untouched(&["linux-6.1-cloud", "linux-6.12-cloud"]);
        server.up(CLUSTER);
        assert_eq!(server.sh("partitiond exec victim -- nproc"), "2", "a partition of two CPUs");
        let from_the_start = server.lives(&["other"]);

        for (name, line, end) in ENDINGS {
            let lives = server.lives(&["other"]);
            server.try_sh(&format!("timeout 20 partitiond exec victim -- sh -c '{line}'"));
            server.sh("partitiond wait victim --for=ended --timeout 60s");

            // The event is told, with the kernel's last words, and the CPUs are the host's again.
            let event = server.last_event("victim", "ended").expect("the end is an event");
            assert_eq!(server.partition("victim")["end"]["why"], end, "{name}: {event:#}");
            let last_words = event["last_words"].to_string();
            assert!(!last_words.is_empty() && last_words != "[]", "{name}: {event}");
            if end == "panicked" {
                assert!(last_words.contains("Kernel panic - not syncing"), "{last_words}");
                let log = server.sh("partitiond logs victim");
                assert!(log.contains("end Kernel panic"), "the trace is in the log");
            }
            assert_eq!(server.sh("cat /sys/devices/system/cpu/online"), "0,2-3", "{name}");

            // Host and other partition: the same boots, and heartbeats that go on.
            std::thread::sleep(Duration::from_secs(2));
            server.assert_lived_on(&lives, 1, name);

            // It comes again.
            server.sh("partitiond up /cluster.ron");
        }

        // A fork bomb: the partition itself goes on answering, and so do the others.
        let beats = server.heartbeats(&["victim", "other"]);
        server.sh(
            "partitiond exec victim -- sh -c 'f() { f | f & }; f' </dev/null >/dev/null 2>&1 &",
        );
        std::thread::sleep(Duration::from_secs(8));
        let after = server.heartbeats(&["victim", "other"]);
        assert!(after[0] > beats[0], "the victim's own heartbeat: {beats:?}, {after:?}");
        assert!(after[1] >= beats[1] + 4, "the other's heartbeat: {beats:?}, {after:?}");
        server.assert_lived_on(&from_the_start, 4, "a fork bomb");
        assert_eq!(server.sh("partitiond exec other -- uname -s"), "Linux");

        server.sh("partitiond down --force");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}

#[test]
fn a_partition_that_fails_is_started_again_as_its_policy_says() {
    scenario(|| {
        let (server, _) = Server::untouched(&["linux-6.1-cloud"]);
        server.up(r#"Cluster(trust: Mutual, partitions: {
            "db": (image: "linux-6.1-cloud", restart: OnFailure(max: 1, within: "10min")),
        })"#);
        let first = server.boot_ids(&["db"]);
        server.try_sh("timeout 10 partitiond exec db -- sh -c 'echo c > /proc/sysrq-trigger'");
        server.wait_for(
            "partitiond --format json show db | grep -q '\"restarts\": *1' && \
             partitiond wait db --for=ready --timeout 1s",
            Duration::from_secs(60),
        );
        assert_ne!(server.boot_ids(&["db"]), first, "it is another boot");
        // Once was allowed.
        server.try_sh("timeout 10 partitiond exec db -- sh -c 'echo c > /proc/sysrq-trigger'");
        server.sh("partitiond wait db --for=ended --timeout 60s");
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(server.partition("db")["phase"], "ended");
        server.sh("partitiond down");
    });
}
