//! Who owns each CPU, page and low page, on disk before it changes hands.
//!
//! Whoever takes something writes it here first; whoever gives it back strikes it out after. So
//! after any crash the ledger names at least all that is not the host's, and what it names can be
//! taken back (taking back what was never taken does nothing).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boot::backend::Spec;
use boot::bare::{LowMemory, LowWindow, Starter};
use boot::host_memory::{PageSize, Pool};
use boot::memory::Segment;
use boot::units::{CpuSet, NodeId};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::inventory::Machine;
use crate::keeper::KeeperSpec;
use crate::plan;

/// Users from here on are no person's and no container's (systemd.io/UIDS-GIDS, "unused").
const FIRST_USER: u32 = 0x7600_0000;

/// The ledger of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The host's boot id. A ledger of an earlier boot owns nothing: the reset gave it all back.
    pub boot_id: String,
    /// The machine with all CPUs online, as offline ones tell nothing of themselves.
    pub machine: Machine,
    /// How CPUs are started here; `None` where `bare` cannot work.
    pub starter: Option<Starter>,
    /// What the host was like before the first partition; `None` while it has none.
    pub before: Option<HostBefore>,
    /// The partitions, by name.
    pub partitions: BTreeMap<String, Entry>,
}

/// The host as it was found, to be restored when the last partition has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostBefore {
    /// Interrupt affinities, by number.
    pub interrupts: BTreeMap<u32, String>,
    /// Where interrupts of new devices went, as a mask; `None` where the kernel does not say.
    #[serde(default)]
    pub new_interrupts: Option<String>,
    /// Huge pages in each pool.
    pub hugepages: Vec<PoolPages>,
    /// Mount points that we made.
    pub mounted: Vec<PathBuf>,
}

/// Huge pages of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolPages {
    /// The node.
    pub node: NodeId,
    /// Their size.
    pub size: PageSize,
    /// How many.
    pub count: u64,
}

impl PoolPages {
    /// The pool.
    pub fn pool(self) -> Pool {
        Pool { node: self.node, size: self.size }
    }
}

/// What a partition owns, and all that is needed to start it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub wanted: plan::Spec,
    /// `uname -r` of its image.
    pub kernel: String,
    /// Huge pages added for it.
    pub hugepages: Vec<PoolPages>,
    /// What its keeper was told.
    pub spec: KeeperSpec,
    /// How often it was started again since `up`.
    pub restarts: u32,
    /// When it was started again, milliseconds since 1970; those that its restart policy counts.
    pub restarted_at_ms: Vec<u64>,
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// it cannot be read or written
    #[error("the ledger {} cannot be {action}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// it is damaged
    #[error(
        "the ledger {} is damaged ({message}): it says who owns each CPU, so nothing is done \
         without it; if no partition runs, remove it",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl Ledger {
    /// Reads the ledger; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] where it is there and makes no sense.
    pub fn load(path: &Path) -> Result<Option<Self>, LedgerError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(LedgerError::File { path: path.to_owned(), action: "read", source });
            }
        };
        ron::from_str(&text).map(Some).map_err(|error| LedgerError::Damaged {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }

    /// Writes the ledger; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError::File`]; the old one stands then.
    pub fn save(&self, path: &Path) -> Result<(), LedgerError> {
        let failed =
            |source| LedgerError::File { path: path.to_owned(), action: "written", source };
        let text = ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::new())
            .map_err(|error| failed(io::Error::other(error)))?;
        durable::replace(path, text.as_bytes()).map_err(failed)
    }

    /// The windows of low memory that partitions own.
    pub fn windows(&self) -> Vec<LowWindow> {
        self.partitions.values().filter_map(|entry| Some(entry.spec.boot.bare()?.low)).collect()
    }

    /// The ranges of pools that partitions own, but for the one of that name.
    pub fn ranges(&self, but: &str) -> Vec<Segment> {
        let others = self.partitions.iter().filter(|(name, _)| *name != but);
        others.flat_map(|(_, entry)| entry.spec.boot.ranges().to_vec()).collect()
    }

    /// A user for the process of a partition's virtual machine: the lowest that no other has.
    pub fn free_user(&self, name: &str) -> u32 {
        let others = self.partitions.iter().filter(|(other, _)| *other != name);
        let taken: BTreeSet<u32> = others
            .filter_map(|(_, entry)| match &entry.spec.boot {
                Spec::Kvm(spec) => Some(spec.user),
                Spec::Bare(_) => None,
            })
            .collect();
        (FIRST_USER..).find(|user| !taken.contains(user)).unwrap_or(FIRST_USER)
    }

    /// The CPUs of virtual machines: the host keeps them, and leaves them alone.
    pub fn quiet_cpus(&self) -> CpuSet {
        let specs = self.partitions.values().map(|entry| &entry.spec.boot);
        let machines = specs.filter_map(|spec| match spec {
            Spec::Kvm(spec) => Some(&spec.cpus),
            Spec::Bare(_) => None,
        });
        machines.flatten().copied().collect()
    }

    /// A window for one more partition.
    ///
    /// # Errors
    ///
    /// [`boot::bare::NoWindow`] where there is none.
    pub fn free_window(&self, low: &LowMemory) -> Result<LowWindow, boot::bare::NoWindow> {
        let mut low = low.clone();
        // While it starts a CPU for a partition, the host's code is not to be recognised.
        if let Some(Starter::HostKernel { code }) = self.starter {
            low.host_code = Some(code);
        }
        low.window(&self.windows())
    }
}

#[cfg(test)]
mod tests {
    use boot::bare::RealModeCode;

    use super::*;
    use crate::inventory::Shape;

    #[test]
    fn no_window_lies_on_the_hosts_code_while_that_is_redirected() {
        let code = RealModeCode { base: 0x3_0000, trampoline: 0x3_1000, entry: [0; 5] };
        let ledger = Ledger {
            boot_id: String::new(),
            machine: Machine::synthetic(Shape::default()),
            starter: Some(Starter::HostKernel { code }),
            before: None,
            partitions: BTreeMap::new(),
        };
        // All that is to be seen while a CPU is being started: free pages, and no code.
        let low =
            LowMemory { free_pages: (0x2_8000..0x7_0000).step_by(4096).collect(), host_code: None };
        assert_eq!(low.window(&[]).unwrap().trampoline(), 0x2_8000);
        assert_eq!(ledger.free_window(&low).unwrap().trampoline(), 0x4_0000);
    }
}
