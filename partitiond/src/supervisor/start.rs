//! Starting a partition: what it takes is written down, then taken, then its keeper does the rest.
//!
//! A kernel needs some 60 MiB in one piece. On a host that has run for a while the first huge pages
//! that its kernel finds are scattered left-overs, and those that it has to break out of larger
//! blocks come last; a pool gives its newest pages first. So for the moment of a start the pool gets
//! more pages than the partition takes: it takes the good ones, and the left-overs go back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, PoisonError};

use boot::bare::{Cpu, NodeShare, PageSize, Step};
use boot::units::{Bytes, NodeId};

use super::kept::Kept;
use super::{Supervisor, failed, problem};
use crate::api::{Phase, Problem, ProblemKind};
use crate::cluster::{HugePage, MemorySource};
use crate::durable;
use crate::errors::chain;
use crate::host;
use crate::ledger::{Entry, HostBefore, PoolPages};

impl Supervisor {
    /// Takes what the partition needs and starts its keeper. The entry's low memory and huge pages
    /// are chosen here, whatever it says.
    pub(super) async fn start_entry(self: Arc<Self>, mut entry: Entry) -> Result<(), Problem> {
        let name = entry.spec.name.clone();
        let low = boot::bare::read_low_memory(&self.ledger().windows()).map_err(|e| failed(&e))?;
        let window = self.ledger().free_window(&low);
        entry.spec.bare.low =
            window.map_err(|error| problem(ProblemKind::Refused, error.to_string(), None))?;
        entry.hugepages = Vec::new();
        self.remember_host(entry.spec.bare.page_size)?;
        self.write_ledger(|ledger| {
            ledger.partitions.insert(name.clone(), entry.clone());
        })
        .map_err(|error| failed(&error))?;

        if let Err(error) = self.take(&mut entry) {
            let _ = self.release(&name);
            return Err(error);
        }
        let scratch = self.add_scratch(&entry);
        self.kept().insert(name.clone(), Kept::new(entry));
        tokio::spawn(self.clone().remove_scratch(name.clone(), scratch));
        self.events.tell(Some(&name), "starting", "it is being started".to_owned(), Vec::new());
        if let Err(error) = self.spawn_keeper(&name) {
            let _ = self.release(&name);
            self.kept().remove(&name);
            return Err(failed(&error));
        }
        self.watch(&name, false).await;
        Ok(())
    }

    /// Writes down what the host is like, before the first partition changes it.
    fn remember_host(&self, size: PageSize) -> Result<(), Problem> {
        let fresh = self.ledger().before.is_none();
        if fresh {
            let nodes: Vec<NodeId> =
                self.ledger().machine.nodes.iter().map(|node| node.id).collect();
            let pools = nodes.iter().flat_map(|node| {
                [PageSize::Large, PageSize::Giant].into_iter().filter_map(|size| {
                    let count = host::total(*node, size).ok()?;
                    Some(PoolPages { node: *node, size, count })
                })
            });
            let before = HostBefore {
                interrupts: host::affinities(),
                hugepages: pools.collect(),
                mounted: Vec::new(),
            };
            self.write_ledger(|ledger| ledger.before = Some(before)).map_err(|e| failed(&e))?;
        }
        let path = self.paths.hugepages(size);
        self.write_ledger(|ledger| {
            if let Some(before) = &mut ledger.before
                && !before.mounted.contains(&path)
            {
                before.mounted.push(path.clone());
            }
        })
        .map_err(|error| failed(&error))?;
        host::mount_hugetlbfs(&path, size).map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Takes huge pages and writes the keeper's spec.
    fn take(&self, entry: &mut Entry) -> Result<(), Problem> {
        let name = entry.spec.name.clone();
        let size = entry.spec.bare.page_size;
        for share in &entry.spec.bare.memory {
            let wanted = share.size.0 / size.bytes().0;
            let promised = self.promised(&name, share.node, size);
            let count = host::add(share.node, size, wanted, promised)
                .map_err(|error| problem(ProblemKind::Refused, chain(&error), None))?;
            entry.hugepages.push(PoolPages { node: share.node, size, count });
            let saved = entry.clone();
            self.write_ledger(|ledger| {
                ledger.partitions.insert(name.clone(), saved);
            })
            .map_err(|error| failed(&error))?;
        }
        let dir = self.paths.partition(&name);
        let written = fs::create_dir_all(dir.path()).and_then(|()| {
            for stale in [dir.record(), dir.last_report(), dir.socket()] {
                let _ = fs::remove_file(stale);
            }
            let spec = serde_json::to_vec(&entry.spec).unwrap_or_default();
            durable::replace(&dir.spec(), &spec)
        });
        written.map_err(|error| failed(&error))
    }

    /// Adds pages that a start may leave over, as many as it takes where there are so many.
    fn add_scratch(&self, entry: &Entry) -> Vec<PoolPages> {
        const MOST: Bytes = Bytes::mib(512);
        let size = entry.spec.bare.page_size;
        let shares = entry.spec.bare.memory.iter();
        let pages = shares.map(|share| {
            let wanted = share.size.min(MOST).0 / size.bytes().0;
            PoolPages { node: share.node, size, count: host::add_some(share.node, size, wanted) }
        });
        let pages: Vec<_> = pages.collect();
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        for added in &pages {
            *scratch.entry((added.node, size.bytes())).or_default() += added.count;
        }
        pages
    }

    /// Takes them away once the partition has its memory, or will never have.
    async fn remove_scratch(self: Arc<Self>, name: String, pages: Vec<PoolPages>) {
        let mut changes = self.changed.subscribe();
        let starting = || {
            let kept = self.kept();
            let Some(kept) = kept.get(&name) else { return false };
            let allocated = kept.report.step.as_deref().is_some_and(|step| {
                ![Step::TakeCpus, Step::Memory]
                    .map(|step| step.to_string())
                    .contains(&step.to_owned())
            });
            kept.report.phase == Phase::Starting && !allocated
        };
        while starting() && changes.changed().await.is_ok() {}
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        for added in pages {
            if let Some(floor) = self.pool_floor(added.node, added.size)
                && let Ok(total) = host::total(added.node, added.size)
            {
                let goal = total.saturating_sub(added.count).max(floor);
                let _ = host::restore_total(added.node, added.size, goal);
            }
            if let Some(count) = scratch.get_mut(&(added.node, added.size.bytes())) {
                *count = count.saturating_sub(added.count);
            }
        }
    }

    /// The least that a pool must hold: what the host had and what the ledger added. `None` where no
    /// partition is left, and the pool is as it was.
    pub(super) fn pool_floor(&self, node: NodeId, size: PageSize) -> Option<u64> {
        let ledger = self.ledger();
        let added = ledger.partitions.values().flat_map(|entry| &entry.hugepages);
        let pools = ledger.before.as_ref()?.hugepages.iter().chain(added);
        let same = pools.filter(|pool| pool.node == node && pool.size == size);
        Some(same.map(|pool| pool.count).sum())
    }

    /// Free huge pages that belong to partitions whose keepers have not taken them yet, or that are
    /// about to go.
    fn promised(&self, but: &str, node: NodeId, size: PageSize) -> u64 {
        let scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = scratch.get(&(node, size.bytes())).copied().unwrap_or_default();
        let kept = self.kept();
        let waiting = kept.iter().filter(|(name, kept)| {
            *name != but && kept.report.phase == Phase::Starting && kept.is_alive()
        });
        waiting
            .filter(|(_, kept)| kept.entry.spec.bare.page_size == size)
            .filter(|(_, kept)| !kept.entry.spec.bare.memory_file.exists())
            .flat_map(|(_, kept)| &kept.entry.spec.bare.memory)
            .filter(|share| share.node == node)
            .map(|share| share.size.0 / size.bytes().0)
            .sum::<u64>()
            .saturating_add(scratch)
    }

    /// Starts a keeper for the partition; it goes on when we end.
    pub(super) fn spawn_keeper(&self, name: &str) -> std::io::Result<()> {
        let dir = self.paths.partition(name);
        let errors =
            File::options().append(true).create(true).open(dir.path().join("keeper.log"))?;
        let mut child = tokio::process::Command::new(own_program())
            .arg("keeper")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            // A signal from our terminal is not for it.
            .process_group(0)
            .kill_on_drop(false)
            .spawn()?;
        tokio::spawn(async move {
            let _ = child.wait().await;
        });
        Ok(())
    }
}

/// This very program, also where its file has been replaced by an upgrade.
fn own_program() -> &'static Path {
    Path::new("/proc/self/exe")
}

/// The CPUs of an assignment with their APIC ids; the first is the boot CPU.
pub(super) fn cpus_of(
    machine: &crate::inventory::Machine,
    cpus: &boot::units::CpuSet,
) -> Result<Vec<Cpu>, Problem> {
    cpus.iter()
        .map(|id| {
            let place = machine.cpu(id).and_then(|cpu| cpu.place.as_ref());
            if place.is_some_and(|place| place.apic_id == boot::acpi::PHANTOM) {
                let message = format!("{id} has the APIC id that every partition's tables give to a CPU that is not there");
                let hint = Some("give this CPU to the host".to_owned());
                return Err(problem(ProblemKind::Refused, message, hint));
            }
            place.map(|place| Cpu { id, apic: place.apic_id }).ok_or_else(|| {
                let message = format!("the APIC id of {id} is not known");
                let hint = format!(
                    "take it online once: echo 1 > /sys/devices/system/cpu/cpu{}/online",
                    id.0
                );
                problem(ProblemKind::Refused, message, Some(hint))
            })
        })
        .collect()
}

/// How a memory source is had, where this version can.
pub(super) fn page_size_of(source: MemorySource) -> Result<PageSize, Problem> {
    match source {
        MemorySource::Hugetlb { page: HugePage::TwoMiB } => Ok(PageSize::Large),
        MemorySource::Hugetlb { page: HugePage::OneGiB } => Ok(PageSize::Giant),
        MemorySource::SoftReserved | MemorySource::Memmap => Err(problem(
            ProblemKind::Refused,
            format!("memory source {} is not supported by this version", source.name()),
            Some("use `memory_source: Hugetlb`".to_owned()),
        )),
    }
}

/// The shares of an assignment, by node.
pub(super) fn shares_of(memory: &BTreeMap<NodeId, Bytes>) -> Vec<NodeShare> {
    let shares = memory.iter().filter(|(_, size)| size.0 > 0);
    shares.map(|(node, size)| NodeShare { node: *node, size: *size }).collect()
}
