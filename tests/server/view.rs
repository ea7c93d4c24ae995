//! What a person would look at on a server.

use serde_json::Value;

use super::Server;

/// What must be as it was when the last partition has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostState {
    /// CPUs online.
    pub online: String,
    /// `MemTotal`.
    pub memory: String,
    /// Huge pages by size and node.
    pub hugepages: String,
    /// Interrupt affinities.
    pub interrupts: String,
    /// File systems of huge pages.
    pub mounts: String,
}

impl Server {
    /// What the server's own kernel has and does.
    pub fn state(&self) -> HostState {
        HostState {
            online: self.sh("cat /sys/devices/system/cpu/online"),
            memory: self.sh("grep MemTotal /proc/meminfo"),
            hugepages: self
                .sh("cd /sys/devices/system/node; grep . node*/hugepages/*/nr_hugepages"),
            interrupts: self.sh("cd /proc/irq; grep . */smp_affinity_list default_smp_affinity"),
            mounts: self.sh("grep hugetlbfs /proc/mounts || true"),
        }
    }

    /// A partition as `partitiond show` has it.
    pub fn partition(&self, name: &str) -> Value {
        let text = self.sh(&format!("partitiond --format json show {name}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Whether the supervisor knows of such a partition.
    pub fn has(&self, name: &str) -> bool {
        let text = self.sh("partitiond --format json ps");
        let all: Vec<Value> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        all.iter().any(|partition| partition["name"] == name)
    }

    /// What somebody would look at where the host is not as it should be.
    pub fn situation(&self) -> String {
        let output = self.try_sh(
            "partitiond events | grep '^2' | tail -n 40; partitiond ps; ps | grep -v '\\['; \
             cat /run/partitiond/partitions/*/last-report.json; cat /sys/devices/system/cpu/online; \
             grep -A40 starter /var/lib/partitiond/ledger.ron; grep -i huge /proc/meminfo; \
             ls -R /run/partitiond; tail -n 40 /run/partitiond/supervisor.log; \
             cat /run/partitiond/partitions/*/keeper.log",
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// How many heartbeats of each partition have been heard.
    pub fn heartbeats(&self, names: &[&str]) -> Vec<u64> {
        let count = |name: &&str| self.partition(name)["signals"]["sequence"].as_u64();
        names.iter().map(|name| count(name).expect("a heartbeat was heard")).collect()
    }

    /// The boot ids of partitions, as their keepers have them.
    pub fn boot_ids(&self, names: &[&str]) -> Vec<String> {
        let id = |name: &&str| self.partition(name)["boot_id"].as_str().map(str::to_owned);
        names.iter().map(|name| id(name).expect("it has said its boot id")).collect()
    }

    /// Every event so far.
    pub fn events(&self) -> Vec<Value> {
        let text = self.sh("partitiond --format json events");
        text.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The last event of this kind of this partition.
    pub fn last_event(&self, partition: &str, kind: &str) -> Option<Value> {
        let fits = |event: &Value| event["partition"] == partition && event["kind"] == kind;
        self.events().into_iter().rfind(fits)
    }
}
