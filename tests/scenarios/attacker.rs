//! A guest that does everything it can to the process of its virtual machine. At worst its own partition is down.

#![allow(clippy::expect_used, reason = "a scenario ends where something does not work")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rig::GuestFile;
use scenarios::{Server, Setup, programs, scenario};

/// The victim has what the attacker has.
const CLUSTER: &str = r#"Cluster(
    trust: Isolated,
    backend: Kvm,
    partitions: {
        "attacker": (image: "linux-6.1-cloud", memory: "256MiB", cmdline: "iomem=relaxed",
                     taps: [(name: "tap-attacker")],
                     disks: [(name: "program", path: "/attacker.img", read_only: true),
                             (name: "data", path: "/attacker-data.img")]),
        "victim": (image: "linux-6.1-cloud", memory: "256MiB",
                   taps: [(name: "tap-victim")],
                   disks: [(name: "data", path: "/victim.img")]),
    },
)
"#;

/// Bytes of its own that the process of a virtual machine may come to have, beside the guest's.
const MOST_MEMORY_KIB: u64 = 24 << 10;

#[test]
fn a_guest_harms_nobody_but_itself() {
    scenario(|| {
        let server = Server::start(&Setup {
            modules: &["kvm_amd", "tun"],
            images: &["linux-6.1-cloud"],
            files: vec![GuestFile {
                guest: "/attacker.img".into(),
                host: programs().attacker.clone(),
                mode: None,
            }],
            ..Setup::default()
        });
        let before = server.state();
        server.sh("truncate -s 8M /attacker.img && truncate -s 8M /attacker-data.img && \
             echo left as it is >/victim.img && truncate -s 1M /victim.img");
        let sums = "sha256sum /victim.img /attacker.img";
        let kept = server.sh(sums);
        server.up(CLUSTER);
        let victim = server.boot_ids(&["victim"]);
        let process = server.sh("cat /sys/fs/cgroup/partitiond-kvm/attacker/cgroup.procs");
        server
            .sh("partitiond exec attacker -- sh -c 'cat /dev/vda >/attacker; chmod +x /attacker'");

        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
        println!("seed {seed}");
        let output =
            server.try_sh(&format!("timeout 120 partitiond exec attacker -- /attacker 60 {seed}"));
        println!("{}{}", output.text(), String::from_utf8_lossy(&output.stderr));

        // The process of the virtual machine has done what it was asked for, or what was asked for made an end
        // of its kernel; it was not ended by a fault of its own.
        let events = server.sh("partitiond events");
        let told: Vec<&str> = events.lines().filter(|line| line.contains("attacker")).collect();
        println!("{}", told.join("\n"));
        for fault in ["its virtual machine ended", "virtual machine cannot", "devices stop"] {
            assert!(!events.contains(fault), "seed {seed}: {events}");
        }
        let alive = server.try_sh(&format!("test -e /proc/{process}")).status.success();
        if alive {
            let own = server.sh(&format!("awk '/RssAnon/ {{print $2}}' /proc/{process}/status"));
            let own: u64 = own.parse().expect("a number");
            println!("its process has {own} KiB of its own");
            assert!(own < MOST_MEMORY_KIB, "seed {seed}: it has {own} KiB");
        }
        // Its kernel, or the program itself, may have been hit; not before it did something.
        let text = output.text();
        let attacks = text.lines().filter_map(|line| line.strip_suffix(" attacks")).next_back();
        let attacks: Option<u64> = attacks.and_then(|count| count.parse().ok());
        assert!(attacks.is_some_and(|count| count > 100), "seed {seed}: {output:?}");
        // The other one did not notice.
        assert_eq!(server.boot_ids(&["victim"]), victim);
        let first = server.heartbeats(&["victim"]);
        std::thread::sleep(Duration::from_secs(4));
        assert!(server.heartbeats(&["victim"])[0] >= first[0] + 2);
        assert_eq!(server.sh("partitiond exec victim -- head -n 1 /dev/vda"), "left as it is");
        assert_eq!(server.sh(sums), kept, "what it may only read, or not have, is as it was");
        server.sh("partitiond down --force");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}
