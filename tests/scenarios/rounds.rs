//! Twenty times up and down: nothing is worn out, nothing is left behind.

use scenarios::{Server, scenario};

#[test]
fn twenty_rounds_leave_the_host_as_it_was() {
    scenario(|| {
        let (server, before) = Server::untouched(&["linux-6.1-cloud", "linux-6.12-cloud"]);
        server.write(
            "/cluster.ron",
            r#"Cluster(trust: Mutual, partitions: {
                "one": (image: "linux-6.1-cloud", cpus: Count(2), memory: "256MiB"),
                "two": (image: "linux-6.12-cloud", memory: "256MiB"),
            })"#,
        );
        for round in 1..=20 {
            server.sh("partitiond up /cluster.ron");
            assert_eq!(server.sh("cat /sys/devices/system/cpu/online"), "0", "round {round}");
            server.sh("partitiond down");
            assert_eq!(server.state(), before, "round {round}");
        }
    });
}
