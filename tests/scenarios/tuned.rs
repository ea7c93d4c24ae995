//! Profiles of partitions: in force when they are ready, watched from outside, and a kernel that one has
//! killed comes back without it.

use std::time::{Duration, Instant};

use scenarios::{Server, Setup, scenario};

const CLUSTER: &str = r#"Cluster(trust: Mutual, partitions: {
    "db": (image: "linux-6.1-cloud", cpus: Count(1), memory: "512MiB", profile: "db.ks"),
    "web": (image: "linux-6.12-rt", cpus: Count(1), memory: "512MiB"),
})"#;

fn start() -> Server {
    let server = Server::start(&Setup::default());
    server.write("/db.ks", "profile db { vm.swappiness = 13; raise net.core.somaxconn to 5000 }\n");
    server.up(CLUSTER);
    server
}

fn setting(server: &Server, partition: &str, file: &str) -> String {
    server.sh(&format!("partitiond exec {partition} -- cat /proc/sys/{file}"))
}

fn profile_of(server: &Server, partition: &str) -> String {
    server.partition(partition)["profile"].as_str().unwrap_or_default().to_owned()
}

/// Waits until a partition has this in force again.
fn until(server: &Server, partition: &str, file: &str, value: &str) {
    let begun = Instant::now();
    let line = format!("timeout 5 partitiond exec {partition} -- cat /proc/sys/{file}");
    while server.try_sh(&line).text() != value {
        let told = || server.sh("partitiond events | tail -n 12");
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "{file} never became {value}: {}",
            told()
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_cluster_file_says_what_a_kernel_is_to_be() {
    scenario(|| {
        let server = start();
        assert_eq!(setting(&server, "db", "vm/swappiness"), "13");
        assert_eq!(setting(&server, "db", "net/core/somaxconn"), "5000");
        assert_eq!(setting(&server, "web", "vm/swappiness"), "60");
        assert_eq!(profile_of(&server, "db"), "db");

        // An edited profile is brought into force in the kernel that runs.
        let life = server.partition("db")["boot_id"].clone();
        server.write("/db.ks", "profile db { vm.swappiness = 14 }\n");
        let plan = server.sh("partitiond plan /cluster.ron; true");
        assert!(plan.contains("db.ks (edited)"), "{plan}");
        server.sh("partitiond up /cluster.ron");
        assert_eq!(setting(&server, "db", "vm/swappiness"), "14");
        assert_eq!(setting(&server, "db", "net/core/somaxconn"), "4096", "as before both");
        assert_eq!(server.partition("db")["boot_id"], life);

        // One that is wrong changes nothing.
        server.write("/db.ks", "profile db { vm.swapiness = 14 }\n");
        let refused = server.try_sh("partitiond up /cluster.ron 2>&1");
        assert!(refused.text().contains("vm.swappiness"), "{}", refused.text());
        assert_eq!(setting(&server, "db", "vm/swappiness"), "14");

        // By hand, on the other one: a guard that nobody confirms, and one that somebody does.
        let guarded = "profile w { vm.swappiness = 21 }\nguard w { confirm within 6s }\n";
        server.write("/web.ks", guarded);
        let said = server.sh("partitiond profile apply /web.ks --partition web");
        assert!(said.contains("profile confirm --partition web"), "{said}");
        assert_eq!(setting(&server, "web", "vm/swappiness"), "21");
        until(&server, "web", "vm/swappiness", "60");
        server.sh("partitiond profile apply /web.ks --partition web");
        server.sh("partitiond profile confirm --partition web");
        server.sh("partitiond profile verify --partition web");
        std::thread::sleep(Duration::from_secs(9));
        assert_eq!(setting(&server, "web", "vm/swappiness"), "21");

        // Whoever watches from outside may die.
        server.write("/web.ks", &guarded.replace("21", "22").replace("6s", "1h"));
        server.sh("partitiond profile apply /web.ks --partition web");
        assert_eq!(setting(&server, "web", "vm/swappiness"), "22");
        assert_eq!(server.kill("partitiond serve"), 1);
        server.sh("partitiond up /cluster.ron >/dev/null 2>&1; partitiond ps");
        until(&server, "web", "vm/swappiness", "21");
        let history = server.sh("partitiond profile history --partition web");
        assert!(history.contains("rolled back") && history.contains("confirmed"), "{history}");
    });
}

/// A danger: what does it, and a program that shows that it has been done.
struct Danger {
    file: &'static str,
    value: &'static str,
    /// What a person would do next in such a kernel, which then goes wrong.
    next: &'static str,
}

const DANGERS: [Danger; 5] = [
    // Every program dies when it begins.
    Danger { file: "vm/max_map_count", value: "0", next: "true" },
    // No process can be started.
    Danger { file: "kernel/threads-max", value: "20", next: "true" },
    // The kernel keeps all memory for itself, and kills whoever has some.
    Danger { file: "vm/min_free_kbytes", value: "500000", next: "true" },
    // What is promised already is more than may be promised.
    Danger {
        file: "vm/overcommit_kbytes",
        value: "1",
        next: "sh -c 'echo 2 >/proc/sys/vm/overcommit_memory; true'",
    },
    // Nothing is left for programs.
    Danger {
        file: "vm/nr_hugepages",
        value: "100000",
        next: "dd if=/dev/zero of=/dev/null bs=100M count=1",
    },
];

#[test]
fn dangers_are_real_and_a_guard_brings_the_kernel_back() {
    scenario(|| {
        let server = start();
        for danger in &DANGERS {
            let Danger { file, value, next } = danger;
            // Unchecked: nobody brings it back.
            let write =
                format!("timeout 20 partitiond exec db -- sh -c 'echo {value} >/proc/sys/{file}'");
            let _ = server.try_sh(&write);
            let after = server.try_sh(&format!("timeout 20 partitiond exec db -- {next}"));
            assert!(!after.status.success(), "{file}={value} does no harm here");
            server.sh("partitiond down db --force; partitiond up /cluster.ron");
            assert_eq!(setting(&server, "db", "vm/swappiness"), "13");

            // Guarded: it comes back by itself, in what it was before.
            let before = setting(&server, "db", file);
            server.write(
                "/danger.ks",
                &format!(
                    "profile danger {{\n    raw \"/proc/sys/{file}\" = \"{value}\"\n}}\n\n\
                     guard danger {{\n    confirm within 5s\n    rollback if unreachable for 3s\n}}\n"
                ),
            );
            let said =
                server.try_sh("timeout 60 partitiond profile apply /danger.ks --partition db 2>&1");
            println!("{file}={value}: {}", said.text().lines().last().unwrap_or_default());
            until(&server, "db", "vm/swappiness", "13");
            assert_eq!(setting(&server, "db", file), before, "{file}");
            let after = server.try_sh(&format!(
                "timeout 20 partitiond exec db -- {}",
                next.replace("echo 2", "echo 0")
            ));
            assert!(after.status.success(), "{file}: {after:?}");
            println!("{}", server.sh("partitiond events | tail -n 4"));
        }
    });
}
