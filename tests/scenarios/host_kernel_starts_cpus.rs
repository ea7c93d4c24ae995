//! A machine without x2APIC: the host's own kernel sends the interrupts that start a partition's CPU.

use rig::qemu::QemuVersion;
use scenarios::{Server, Setup, scenario};

#[test]
fn a_machine_in_xapic_mode_is_divided_too() {
    is_divided("linux-6.1-cloud");
}

#[test]
#[ignore = "soak: a minute"]
fn a_6_12_host_in_xapic_mode_is_divided_too() {
    is_divided("linux-6.12-cloud");
}

#[test]
#[ignore = "soak: a minute"]
fn a_7_2_host_in_xapic_mode_is_divided_too() {
    is_divided("linux-7.2-cloud");
}

/// A 5.10 host in xAPIC mode would not get its CPU back.
#[test]
#[ignore = "soak: a minute"]
fn a_5_10_host_in_xapic_mode_is_refused() {
    scenario(|| {
        let server = without_x2apic("linux-5.10-cloud", "reservelow=640K");
        let before = server.state();
        let (_, complaint) = server.refused("partitiond up /cluster.ron");
        assert!(complaint.contains("apic-mode") && complaint.contains("5.17"), "{complaint}");
        assert_eq!(server.state(), before, "nothing was touched");
    });
}

fn without_x2apic(host: &'static str, words: &'static str) -> Server {
    let server = Server::start(&Setup {
        images: &["linux-6.12-cloud"],
        host,
        words,
        qemu: QemuVersion::V7,
        ..Setup::default()
    });
    server.write(
        "/cluster.ron",
        r#"Cluster(trust: Mutual, partitions: {
            "db": (image: "linux-6.12-cloud", cpus: Count(2)),
        })"#,
    );
    server
}

fn is_divided(host: &'static str) {
    scenario(|| {
        let server = without_x2apic(host, "");
        let before = server.state();
        for _ in 0..2 {
            server.sh("partitiond up /cluster.ron");
            assert_eq!(server.sh("partitiond exec db -- nproc"), "2");
            assert_eq!(server.sh("cat /sys/devices/system/cpu/online"), "0,3");
            server.sh("partitiond down");
            assert_eq!(server.state(), before, "the host is as it was found");
        }
    });
}
