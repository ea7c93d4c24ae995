//! Where things lie on this machine.

use std::path::{Path, PathBuf};

/// The directories of one supervisor. Everything that must survive it is in one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Gone after a reboot of the host: sockets, and what belongs to running partitions.
    pub run: PathBuf,
    /// Kept: the ledger, events, logs, images.
    pub state: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self { run: "/run/partitiond".into(), state: "/var/lib/partitiond".into() }
    }
}

impl Paths {
    /// The supervisor's socket.
    pub fn api(&self) -> PathBuf {
        self.run.join("api.sock")
    }

    /// Held by the one supervisor.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.run.join("supervisor.lock")
    }

    /// What the supervisor writes to standard error.
    pub fn supervisor_log(&self) -> PathBuf {
        self.run.join("supervisor.log")
    }

    /// Where huge pages of this size are mounted.
    pub fn hugepages(&self, size: boot::host_memory::PageSize) -> PathBuf {
        self.run.join(match size {
            boot::host_memory::PageSize::Large => "hugepages-2MiB",
            boot::host_memory::PageSize::Giant => "hugepages-1GiB",
        })
    }

    /// Who owns what.
    pub fn ledger(&self) -> PathBuf {
        self.state.join("ledger.ron")
    }

    /// What happened.
    pub fn events(&self) -> PathBuf {
        self.state.join("events.jsonl")
    }

    /// The image store.
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// What the blobs were like that have been verified since the host booted.
    pub fn verified(&self) -> PathBuf {
        self.run.join("verified")
    }

    /// The log of a partition.
    pub fn log(&self, partition: &str) -> PathBuf {
        self.state.join("log").join(format!("{partition}.jsonl"))
    }

    /// What a partition's kernel is to be.
    pub fn profile(&self, partition: &str) -> PathBuf {
        self.state.join("profiles").join(format!("{partition}.json"))
    }

    /// The control group of a partition's virtual machine.
    pub fn cgroup(partition: &str) -> PathBuf {
        Path::new("/sys/fs/cgroup/partitiond-kvm").join(partition)
    }

    /// What belongs to a running partition.
    pub fn partition(&self, name: &str) -> PartitionDir {
        PartitionDir(self.run.join("partitions").join(name))
    }
}

/// The directory of a running partition, shared by supervisor and keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDir(PathBuf);

impl PartitionDir {
    /// The directory at `path`.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the keeper is to start; written by the supervisor.
    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// What the keeper has started, to find it again; written once its CPU runs.
    pub fn record(&self) -> PathBuf {
        self.0.join("record.json")
    }

    /// Why it ends; written before anything is taken back from it. Nobody takes it up from then on.
    pub fn ending(&self) -> PathBuf {
        self.0.join("ending.json")
    }

    /// How it ended; the keeper's last act.
    pub fn last_report(&self) -> PathBuf {
        self.0.join("last-report.json")
    }

    /// The keeper's socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("keeper.sock")
    }

    /// Where the process of a virtual machine tells how it is.
    pub fn machine(&self) -> PathBuf {
        self.0.join("machine.status")
    }

    /// Where the process of a virtual machine is asked while it runs.
    pub fn machine_control(&self) -> PathBuf {
        self.0.join("machine.sock")
    }

    /// The mailbox of a virtual machine whose other memory is its own.
    pub fn mailbox(&self) -> PathBuf {
        self.0.join("mailbox")
    }

    /// Held by the one keeper; holds its process id.
    pub fn lock(&self) -> PathBuf {
        self.0.join("keeper.pid")
    }
}
