//! One file, several kernels: partitions with different kernels side by side on one server.

use std::time::Duration;

use scenarios::{Server, Setup, scenario};

const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    partitions: {
        "one": (image: "FIRST"),
        "two": (image: "SECOND"),
    },
)
"#;

/// Brings two kernels up on a third, looks at each from inside, and takes them down again.
fn side_by_side(host: &'static str, images: &'static [&'static str], releases: [&str; 3]) {
    scenario(|| try_side_by_side(host, images, releases));
}

fn try_side_by_side(host: &'static str, images: &'static [&'static str], releases: [&str; 3]) {
    let server = Server::start(&Setup { host, images, ..Setup::default() });
    let before = server.state();
    assert!(server.sh("uname -r").starts_with(releases[0]), "the host's kernel");

    server.write("/cluster.ron", &CLUSTER.replace("FIRST", images[0]).replace("SECOND", images[1]));
    let up = server.sh("partitiond up /cluster.ron 2>&1");
    assert!(up.contains("one") && up.contains("two"), "{up}");
    assert_eq!(server.sh("cat /sys/devices/system/cpu/online"), "0,3", "two CPUs are taken");

    for (name, release) in [("one", releases[1]), ("two", releases[2])] {
        let inside = server.sh(&format!("partitiond exec {name} -- uname -r"));
        assert!(inside.starts_with(release), "{name} runs {inside}, not {release}");
        assert_eq!(server.sh(&format!("partitiond exec {name} -- nproc")), "1");
        assert_eq!(server.sh(&format!("partitiond exec {name} -- hostname")), name);
        // Both ends agree: what the partition says of itself, and what its keeper has heard.
        let boot_id =
            server.sh(&format!("partitiond exec {name} -- cat /proc/sys/kernel/random/boot_id"));
        assert_eq!(server.partition(name)["boot_id"], boot_id.as_str());
        assert_ne!(boot_id, server.sh("cat /proc/sys/kernel/random/boot_id"));
        let log = server.sh(&format!("partitiond logs {name}"));
        assert!(log.contains("Linux version"), "the log starts with the kernel's first line");
        assert_eq!(server.partition(name)["restart_guard"], true);
    }

    // Heartbeats go on, and nothing that was meant for one kernel reaches another.
    let first = server.heartbeats(&["one", "two"]);
    std::thread::sleep(Duration::from_secs(3));
    let second = server.heartbeats(&["one", "two"]);
    for (name, before, after) in [("one", first[0], second[0]), ("two", first[1], second[1])] {
        assert!(after >= before + 2, "{name}: {before} heartbeats, then {after}");
        let partition = server.partition(name);
        let interrupts = partition["signals"]["interrupts"].as_array();
        assert!(interrupts.is_some_and(|cpus| cpus.len() == 1), "{name}: {partition}");
        for interrupts in interrupts.into_iter().flatten() {
            assert_eq!(interrupts["spurious"], 0, "{name}: {interrupts}");
            assert_eq!(interrupts["device"], 0, "{name}: {interrupts}");
        }
    }

    // A second `up` does nothing; an edited file changes only what changed.
    let boot_ids = server.boot_ids(&["one", "two"]);
    let again = server.sh("partitiond up /cluster.ron 2>&1");
    assert!(again.to_lowercase().contains("nothing to do"), "{again}");
    assert_eq!(server.boot_ids(&["one", "two"]), boot_ids);
    server.sh("sed -i 's/\"two\": (/\"two\": (memory: \"640MiB\", /' /cluster.ron");
    server.sh("partitiond up /cluster.ron");
    let edited = server.boot_ids(&["one", "two"]);
    assert_eq!(edited[0], boot_ids[0], "one was left alone");
    assert_ne!(edited[1], boot_ids[1], "two was started again");

    server.sh("partitiond down");
    assert_eq!(server.state(), before, "the host is as it was found");
}

#[test]
fn a_6_12_host_runs_6_1_and_6_12_rt() {
    side_by_side(
        "linux-6.12-cloud",
        &["linux-6.1-cloud", "linux-6.12-rt"],
        ["6.12.", "6.1.", "6.12."],
    );
}

#[test]
fn a_6_1_host_runs_6_12_and_6_12_rt() {
    side_by_side(
        "linux-6.1-cloud",
        &["linux-6.12-cloud", "linux-6.12-rt"],
        ["6.1.", "6.12.", "6.12."],
    );
}

#[test]
fn a_7_2_host_runs_5_10_and_6_12() {
    side_by_side(
        "linux-7.2-cloud",
        &["linux-5.10-cloud", "linux-6.12-cloud"],
        ["7.2.", "5.10.", "6.12."],
    );
}

#[test]
fn a_6_12_host_runs_7_2_and_5_10() {
    side_by_side(
        "linux-6.12-cloud",
        &["linux-7.2-cloud", "linux-5.10-cloud"],
        ["6.12.", "7.2.", "5.10."],
    );
}
