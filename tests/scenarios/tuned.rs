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
        a_policy_outlives_its_supervisor(&server);
    });
}

/// Whoever follows a policy may die on either side of a switch: nothing is applied for that.
fn a_policy_outlives_its_supervisor(server: &Server) {
    server.write(
        "/web.ks",
        "profile calm { vm.swappiness = 31 }\nprofile busy extends calm { vm.swappiness = 32 }\n\
         policy {\n    default calm\n    when exists(\"/busy\") for 1s until not exists(\"/busy\") for 1s -> busy\n}\n",
    );
    let transactions = || {
        let history = server.sh("partitiond --format json profile history --partition web");
        history.matches("\"number\"").count()
    };
    let kill = || {
        assert_eq!(server.kill("partitiond serve"), 1);
        server.sh("partitiond up /cluster.ron 2>&1");
        std::thread::sleep(Duration::from_secs(3));
    };
    server.sh("partitiond profile apply /web.ks --partition web");
    let applied = transactions();
    assert!(applied > 0);
    kill();
    assert_eq!((setting(server, "web", "vm/swappiness").as_str(), transactions()), ("31", applied));
    server.sh("partitiond exec web -- touch /busy");
    until(server, "web", "vm/swappiness", "32");
    kill();
    assert_eq!(
        (setting(server, "web", "vm/swappiness").as_str(), transactions()),
        ("32", applied + 1)
    );
    assert_eq!(profile_of(server, "web"), "busy");
    server.sh("partitiond exec web -- rm /busy");
    until(server, "web", "vm/swappiness", "31");
    assert_eq!(transactions(), applied + 1, "the way back is no transaction of its own");
}

/// A danger: what does it, and what a person would do next in such a kernel, which then goes wrong.
struct Danger {
    writes: &'static [(&'static str, &'static str)],
    next: &'static str,
}

const DANGERS: [Danger; 5] = [
    // Every program dies when it begins.
    Danger { writes: &[("vm/max_map_count", "0")], next: "true" },
    // No process can be started.
    Danger { writes: &[("kernel/threads-max", "20")], next: "true" },
    // The kernel keeps all memory for itself, and kills whoever has some.
    Danger { writes: &[("vm/min_free_kbytes", "500000")], next: "true" },
    // Nothing may be promised to anybody.
    Danger { writes: &[("vm/overcommit_ratio", "0"), ("vm/overcommit_memory", "2")], next: "true" },
    // Nothing is left for programs.
    Danger {
        writes: &[("vm/nr_hugepages", "100000")],
        next: "dd if=/dev/zero of=/dev/null bs=100M count=1",
    },
];

#[test]
fn dangers_are_real_and_a_guard_brings_the_kernel_back() {
    scenario(|| {
        let server = start();
        for Danger { writes, next } in &DANGERS {
            let told = writes.iter().map(|(file, value)| format!("{file}={value}"));
            let told = told.collect::<Vec<_>>().join(" ");
            let in_db =
                |line: &str| server.try_sh(&format!("timeout 20 partitiond exec db -- {line}"));

            // Unchecked: nobody brings it back.
            let echo =
                writes.iter().map(|(file, value)| format!("echo {value} >/proc/sys/{file};"));
            in_db(&format!("sh -c '{}'", echo.collect::<String>()));
            assert!(!in_db(next).status.success(), "{told} does no harm here");
            server.sh("partitiond down db --force; partitiond up /cluster.ron");
            assert_eq!(setting(&server, "db", "vm/swappiness"), "13");

            // Guarded: it comes back by itself, in what it was before.
            let before: Vec<String> =
                writes.iter().map(|(file, _)| setting(&server, "db", file)).collect();
            let raw = writes
                .iter()
                .map(|(file, to)| format!("    raw \"/proc/sys/{file}\" = \"{to}\"\n"));
            server.write(
                "/danger.ks",
                &format!(
                    "profile danger {{\n{}}}\n\nguard danger {{\n    confirm within 5s\n    \
                     rollback if unreachable for 3s\n}}\n",
                    raw.collect::<String>()
                ),
            );
            let life = server.partition("db")["boot_id"].clone();
            let apply = "timeout 60 partitiond profile apply /danger.ks --partition db 2>&1";
            let said = server.try_sh(apply).text();
            println!("{told}: {}", said.lines().last().unwrap_or_default());
            let harmed = Instant::now();
            until(&server, "db", "vm/swappiness", "13");
            while !in_db(next).status.success() {
                assert!(
                    harmed.elapsed() < Duration::from_secs(120),
                    "{told}: it did not come back"
                );
                std::thread::sleep(Duration::from_millis(500));
            }
            let after: Vec<String> =
                writes.iter().map(|(file, _)| setting(&server, "db", file)).collect();
            let as_before = server.partition("db")["boot_id"] == life;
            for ((after, before), (file, danger)) in after.iter().zip(&before).zip(*writes) {
                // A kernel that was started again works some of them out anew.
                assert!(after == before || (!as_before && after != danger), "{file}: {after}");
            }
            println!("{}", server.sh("partitiond events | tail -n 3"));
        }
    });
}
