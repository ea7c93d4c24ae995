//! A latency that lasts as long as somebody asks for it, and a network device, on a machine's own kernel and
//! on a partition's.

#![allow(clippy::expect_used, reason = "a scenario ends where something does not work")]

use scenarios::{Server, Setup, scenario};

const SCRIPT: &str = r#"profile awake {
    cpu.dma_latency = 20us
    net "lo" { mtu = 9000B; feature.tso = off; qdisc = pfifo limit 50 }
}
guard awake { confirm within 10min }
"#;

const CLUSTER: &str = r#"Cluster(trust: Mutual, partitions: { "db": (image: "linux-6.1-cloud", cpus: Count(1), memory: "512MiB") })"#;

/// Where a line of shell is run, and on which kernel a profile is meant to be.
struct On<'s> {
    server: &'s Server,
    inside: &'s str,
    kernel: &'s str,
}

impl On<'_> {
    fn sh(&self, line: &str) -> String {
        self.server.sh(&format!("{} sh -c '{line}'", self.inside))
    }

    fn profile(&self, what: &str) -> String {
        self.server.sh(&format!("partitiond profile {what} {}", self.kernel))
    }

    /// What the kernel says is asked for, in microseconds.
    fn latency(&self) -> i64 {
        let bytes = self.sh("head -c 4 /dev/cpu_dma_latency | hexdump -e \"4/1 \\\"%u \\\"\"");
        let bytes: Vec<u8> =
            bytes.split_whitespace().map(|byte| byte.parse().expect("a byte")).collect();
        i32::from_le_bytes(bytes.try_into().expect("four bytes")).into()
    }

    fn holders(&self) -> String {
        // The brackets keep the shell, in whose command line this stands, from finding itself.
        self.sh("grep -l hold-device-o[n] /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3")
    }

    fn lasts(&self) {
        let link = "ip link show lo | head -1";
        let before = (self.latency(), self.sh("cat /sys/class/net/lo/mtu"), self.sh(link));
        assert_eq!(before.0, 2_000_000_000, "nobody asks for anything");
        self.profile("apply /awake.ks");
        self.profile("confirm");
        assert_eq!(self.latency(), 20);
        assert_eq!(self.sh("cat /sys/class/net/lo/mtu"), "9000");
        assert!(self.sh(link).contains("qdisc pfifo"), "{}", self.sh(link));
        let verified = self.profile("verify");
        // A holder that somebody kills is missed.
        let holder = self.holders();
        assert!(!holder.is_empty() && !holder.contains('\n'), "{holder:?}, {verified}");
        self.sh(&format!("kill -9 {holder}"));
        assert_eq!(self.latency(), 2_000_000_000);
        let drift = format!("partitiond profile verify {}; test $? = 2", self.kernel);
        let drift = self.server.sh(&drift);
        assert!(drift.contains("cpu.dma_latency"), "{drift}");
        self.profile("rollback --force");
        assert_eq!((self.latency(), self.sh("cat /sys/class/net/lo/mtu"), self.sh(link)), before);

        // One that nobody kills ends with the profile.
        self.profile("apply /awake.ks");
        assert_eq!(self.latency(), 20);
        self.profile("rollback");
        assert_eq!(self.latency(), 2_000_000_000);
        assert_eq!(self.holders(), "");
    }
}

#[test]
fn a_latency_lasts_as_long_as_its_profile() {
    scenario(|| {
        let server = Server::start(&Setup { images: &["linux-6.1-cloud"], ..Setup::default() });
        server.write("/awake.ks", SCRIPT);
        server.sh("ip link set lo up");
        On { server: &server, inside: "", kernel: "--host" }.lasts();
        server.up(CLUSTER);
        let (inside, kernel) = ("partitiond exec db --", "--partition db");
        On { server: &server, inside, kernel }.lasts();
    });
}
