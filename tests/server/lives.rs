//! Whether kernels have lived on, undisturbed.

use super::Server;

/// Boots of the host and of partitions, and how far the partitions' hearts had beaten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lives {
    host: String,
    partitions: Vec<Life>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Life {
    name: String,
    boot_id: String,
    heartbeats: u64,
}

impl Server {
    /// The boots of the server itself and of these partitions.
    pub fn lives(&self, names: &[&str]) -> Lives {
        let partitions = names.iter().zip(self.boot_ids(names)).zip(self.heartbeats(names));
        let partitions = partitions.map(|((name, boot_id), heartbeats)| Life {
            name: (*name).to_owned(),
            boot_id,
            heartbeats,
        });
        Lives { host: self.boot_id(), partitions: partitions.collect() }
    }

    /// Asserts that host and partitions still run as they did, and that each partition's heart has
    /// beaten at least `beats` times since.
    pub fn assert_lived_on(&self, before: &Lives, beats: u64, what: &str) {
        let names: Vec<&str> = before.partitions.iter().map(|life| life.name.as_str()).collect();
        let after = self.lives(&names);
        assert_eq!(after.host, before.host, "{what}: the host was restarted");
        for (before, after) in before.partitions.iter().zip(&after.partitions) {
            let lived_on = after.boot_id == before.boot_id
                && after.heartbeats >= before.heartbeats.saturating_add(beats);
            assert!(lived_on, "{what}: {before:?} has become {after:?}");
        }
    }

    /// The boot id of the server's own kernel.
    pub fn boot_id(&self) -> String {
        self.sh("cat /proc/sys/kernel/random/boot_id")
    }
}
