//! `partitiond` itself dies: partitions do not notice, and one `down` mends what is left.

use std::time::Duration;

use scenarios::{Server, scenario};

const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    partitions: {
        "db":      (image: "linux-6.1-cloud"),
        "trading": (image: "linux-6.12-cloud"),
    },
)
"#;

const NAMES: [&str; 2] = ["db", "trading"];

#[test]
fn partitions_outlive_supervisor_and_keepers() {
    scenario(|| {
        let (server, before) = Server::untouched(&["linux-6.1-cloud", "linux-6.12-cloud"]);
        server.up(CLUSTER);
        let boots = server.boot_ids(&NAMES);

        // The supervisor dies, and the next one finds everything.
        assert_eq!(server.kill("partitiond serve"), 1, "there was one supervisor");
        server.sh("partitiond up /cluster.ron");
        assert_eq!(server.boot_ids(&NAMES), boots, "nothing was started again");
        let lives = server.lives(&NAMES);
        std::thread::sleep(Duration::from_secs(3));
        server.assert_lived_on(&lives, 1, "without their supervisor");
        assert_eq!(
            server.sh("partitiond exec db -- cat /proc/sys/kernel/random/boot_id"),
            boots[0]
        );

        // A keeper dies: another takes the partition up, which is spoken to as before.
        let keeper = server.partition("db")["keeper"].to_string();
        server.sh(&format!("kill -9 {keeper}"));
        server.wait_for("partitiond exec db -- true", Duration::from_secs(30));
        assert_ne!(server.partition("db")["keeper"].to_string(), keeper);
        assert_eq!(
            server.sh("partitiond exec db -- cat /proc/sys/kernel/random/boot_id"),
            boots[0]
        );
        assert_eq!(server.partition("db")["restart_guard"], true, "restarts are still caught");
        assert!(server.last_event("db", "keeper-adopted").is_some());

        // Both die at once.
        let keeper = server.partition("trading")["keeper"].to_string();
        assert_eq!(server.kill("partitiond serve"), 1);
        server.sh(&format!("kill -9 {keeper}"));
        server.sh("partitiond up /cluster.ron");
        server.wait_for("partitiond exec trading -- true", Duration::from_secs(30));
        assert_eq!(server.boot_ids(&NAMES), boots);

        // One that no keeper can take up is left to somebody who looks, and can be ended all the same.
        let keeper = server.partition("db")["keeper"].to_string();
        server.sh(&format!(
            "echo nonsense >/run/partitiond/partitions/db/record.json; kill -9 {keeper}"
        ));
        let stuck = "partitiond events | grep -q 'no keeper can take it up'";
        server.wait_for(stuck, Duration::from_secs(90));

        server.sh("partitiond down");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}

#[test]
fn whenever_up_is_killed_one_down_mends_it() {
    scenario(|| {
        let (server, before) = Server::untouched(&["linux-6.1-cloud", "linux-6.12-cloud"]);
        server.write("/cluster.ron", CLUSTER);
        let mut supervisors = 0;
        // The moments lie within an `up` as it is here, which takes about four seconds.
        for moment in ["0.05", "0.3", "0.6", "0.9", "1.3", "1.9", "2.8", "4"] {
            server.sh("(setsid partitiond up /cluster.ron </dev/null >/dev/null 2>&1 &)");
            server.sh(&format!("sleep {moment}"));
            // Whatever is there by then: the command, its supervisor, and with luck no keeper.
            server.kill("partitiond up");
            supervisors += server.kill("partitiond serve");
            server.sh(
                "partitiond --format json ps >/dev/null 2>&1 || (partitiond serve --background)",
            );
            server.sh("partitiond down --force");
            let after = server.state();
            let told = if after == before { String::new() } else { server.situation() };
            assert_eq!(after, before, "killed after {moment} s, then `down`:\n{told}");
        }
        assert!(supervisors >= 6, "only {supervisors} supervisors were met alive");
        // And the machine is as good as new.
        server.sh("partitiond up /cluster.ron");
        server.sh("partitiond down");
        assert_eq!(server.state(), before);
    });
}
