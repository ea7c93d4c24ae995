//! A machine without x2APIC: the host's own kernel sends the interrupts that start a partition's CPU.

#![allow(clippy::panic, reason = "a scenario ends where something does not work")]

use rig::qemu::QemuVersion;
use scenarios::{Server, Setup, scenario};

/// What the host's kernel says of a CPU that it started for somebody else: until 6.4 `native_cpu_up`
/// (arch/x86/kernel/smpboot.c), since then `cpuhp_bp_sync_alive` (kernel/cpu.c).
const WAITED_IN_VAIN: [&str; 2] = ["to wakeup CPU", "failed to report alive state"];

fn has_waited_in_vain(server: &Server) -> bool {
    let console = server.console();
    WAITED_IN_VAIN.iter().any(|words| console.contains(words))
}

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

        // Everybody dies in the moment in which the host's trampoline leads to the partition's, and
        // before anything was written down of what runs.
        server.sh("partitiond up /cluster.ron");
        let number = |name: &str| -> u32 {
            let text = server.sh(&format!(
                "sed -n 's/.*[( ]{name}: \\([0-9]*\\).*/\\1/p' /var/lib/partitiond/ledger.ron | head -1"
            ));
            text.parse().unwrap_or_else(|error| panic!("{name} in the ledger, {text}: {error}"))
        };
        let trampoline = number("trampoline");
        let [low, high, ..] = (number("start") >> 4).to_le_bytes();
        let entry = || server.sh(&format!("devmem {trampoline} 32"));
        let original = entry();
        let keeper = server.partition("db")["keeper"].to_string();
        assert_eq!(server.kill("partitiond serve"), 1);
        server.sh(&format!("kill -9 {keeper} && rm /run/partitiond/partitions/db/record.json"));
        for (at, byte) in [0xea, 0, 0, low, high].into_iter().enumerate() {
            server.sh(&format!("devmem {} 8 {byte}", trampoline as usize + at));
        }
        assert_ne!(entry(), original);
        server.sh("partitiond serve --background");
        server.sh("partitiond down");
        assert_eq!(entry(), original, "the host's trampoline is its own again");
        assert_eq!(server.state(), before, "the host is as it was found");
        server.sh("partitiond up /cluster.ron && partitiond down");
        assert_eq!(server.state(), before);
        assert!(has_waited_in_vain(&server));
    });
}

#[test]
fn who_accepts_the_risk_need_not_wait_for_the_hosts_kernel() {
    scenario(|| {
        // 6.1 lets nobody map the local APIC otherwise.
        let server = Server::start(&Setup {
            images: &["linux-6.12-cloud"],
            host: "linux-6.1-cloud",
            qemu: QemuVersion::V7,
            words: "iomem=relaxed",
            ..Setup::default()
        });
        let before = server.state();
        server.write(
            "/cluster.ron",
            r#"Cluster(trust: Mutual, accept: [XApicRegisters], partitions: {
                "db": (image: "linux-6.12-cloud", cpus: Count(2)),
                "web": (image: "linux-6.12-cloud"),
            })"#,
        );
        for _ in 0..2 {
            server.sh("partitiond up /cluster.ron");
            let starters = "grep -c 'starter: XApic' /var/lib/partitiond/ledger.ron";
            assert_eq!(server.sh(starters), "2", "neither was started by the host's kernel");
            assert_eq!(server.sh("partitiond exec db -- nproc"), "2");
            assert_eq!(server.sh("partitiond exec web -- nproc"), "1");
            server.sh("partitiond down");
            assert_eq!(server.state(), before, "the host is as it was found");
        }
        assert!(!has_waited_in_vain(&server));
    });
}

#[test]
fn closed_registers_are_named_with_what_opens_them() {
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
            r#"Cluster(trust: Mutual, accept: [XApicRegisters], partitions: {
                "db": (image: "linux-6.12-cloud"),
            })"#,
        );
        let (_, complaint) = server.refused("partitiond up /cluster.ron");
        assert!(
            complaint.contains("xapic-registers") && complaint.contains("iomem=relaxed"),
            "{complaint}"
        );
        assert_eq!(server.state(), before);
    });
}
