//! A machine without x2APIC: the host's own kernel sends the interrupts that start a partition's CPU.

use rig::qemu::QemuVersion;
use scenarios::{Server, Setup, scenario};

#[test]
fn a_machine_in_xapic_mode_is_divided_too() {
    scenario(|| {
        let server = Server::start(&Setup {
            images: &["linux-6.12-cloud"],
            host: "linux-6.1-cloud",
            qemu: QemuVersion::V7,
            ..Setup::default()
        });
        let before = server.state();
        server.write(
            "/cluster.ron",
            r#"Cluster(trust: Mutual, partitions: {
                "db": (image: "linux-6.12-cloud", cpus: Count(2)),
            })"#,
        );
        for _ in 0..2 {
            server.sh("partitiond up /cluster.ron");
            assert_eq!(server.sh("partitiond exec db -- nproc"), "2");
            assert_eq!(server.sh("cat /sys/devices/system/cpu/online"), "0,3");
            server.sh("partitiond down");
            assert_eq!(server.state(), before, "the host is as it was found");
        }
    });
}
