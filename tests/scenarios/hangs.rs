//! A partition that says nothing any more is ended and started again, where its restart policy covers
//! that; where it does not, it is left alone and told of.

use std::time::Duration;

use scenarios::{Server, scenario};

const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    partitions: {
        // With one CPU each, which is enough to silence them.
        "covered": (image: "linux-6.1-cloud", cpus: Set("1"), hang_after: "5s",
                    restart: OnFailure(max: 1, within: "10min")),
        "left":    (image: "linux-6.1-cloud", cpus: Set("2"), hang_after: "5s"),
        "other":   (image: "linux-6.1-cloud", cpus: Set("3")),
    },
)
"#;

/// Sends a CPU an INIT through the x2APIC interrupt command register of CPU 0 (MSR 0x830): it waits for a
/// start that does not come. `seek` counts blocks of 8 bytes.
fn stop(server: &Server, apic: u8) {
    server.sh(&format!(
        "printf '\\000\\105\\000\\000\\{apic:03o}\\000\\000\\000' | \
         dd of=/dev/cpu/0/msr bs=8 seek=$((0x830 / 8)) conv=notrunc 2>&1"
    ));
}

#[test]
fn a_hung_partition_is_started_again_where_its_policy_says_so() {
    scenario(|| {
        let (server, before) = Server::untouched(&["linux-6.1-cloud"]);
        server.up(CLUSTER);
        let first = server.boot_ids(&["covered", "left"]);
        let other = server.lives(&["other"]);

        // Here an APIC id is the CPU's number.
        stop(&server, 1);
        stop(&server, 2);
        let again = "partitiond events | grep -q 'covered.*restarting' && \
            partitiond wait covered --for=ready --timeout 60s";
        server.wait_for(again, Duration::from_secs(120));
        let end = server.last_event("covered", "hung").expect("the hang is an event");
        assert!(end["text"].to_string().contains("nothing was heard of it for 5s"), "{end}");
        assert_ne!(server.boot_ids(&["covered"])[0], first[0], "another kernel runs");
        assert_eq!(server.sh("timeout 30 partitiond exec covered -- nproc"), "1");

        // The other one still holds what it has, and somebody who looks is told.
        assert_eq!(server.last_event("left", "hung"), None);
        assert!(server.last_event("left", "silent").is_some());
        assert_eq!(server.boot_ids(&["left"])[0], first[1]);
        server.assert_lived_on(&other, 5, "two hangs beside it");

        server.sh("partitiond down --force");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}
