//! Starting a partition: what it takes is written down, then taken, then its keeper does the rest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use boot::backend::Spec;
use boot::bare::Cpu;
use boot::host_memory::{NodeShare, PageSize, Pool, PoolsLock};
use boot::kvm::Topology;
use boot::memory::Segment;
use boot::units::{Bytes, CpuId, NodeId};

use super::kept::Kept;
use super::{Supervisor, failed, problem};
use crate::api::{End, Phase, Problem, ProblemKind};
use crate::cluster::{HugePage, MemorySource};
use crate::durable;
use crate::errors::chain;
use crate::host;
use crate::ledger::{Entry, HostBefore, PoolPages};
use crate::{placement, plan};

impl Supervisor {
    /// Takes what the partition needs and starts its keeper. The entry's low memory, huge pages and
    /// ranges of pools are chosen here, whatever it says.
    pub(super) async fn start_entry(self: Arc<Self>, mut entry: Entry) -> Result<(), Problem> {
        let name = entry.spec.name.clone();
        let ranges = self.ranges_of(&entry)?;
        if let Spec::Bare(bare) = &mut entry.spec.boot {
            let low =
                boot::bare::read_low_memory(&self.ledger().windows()).map_err(|e| failed(&e))?;
            let window = self.ledger().free_window(&low);
            bare.low =
                window.map_err(|error| problem(ProblemKind::Refused, error.to_string(), None))?;
            bare.ranges = ranges;
        }
        if let Spec::Kvm(kvm) = &mut entry.spec.boot {
            kvm.user = self.ledger().free_user(&name);
        }
        entry.hugepages = Vec::new();
        let before = self.host_before(page_size_of(entry.wanted.source));
        self.write_ledger(|ledger| {
            ledger.before = Some(before);
            ledger.partitions.insert(name.clone(), entry.clone());
        })
        .map_err(|error| failed(&error))?;
        self.kept().insert(name.clone(), Kept::new(entry.clone()));
        self.tell_changed();

        // Finding huge pages takes the host's kernel a while, and more of it where two look at once.
        let one_at_a_time = self.reserving.lock().await;
        let taking = self.clone();
        let taken = tokio::task::spawn_blocking(move || {
            taking.take(&mut entry)?;
            Ok(entry)
        });
        let entry = match taken.await.map_err(|error| failed(&error)).and_then(|taken| taken) {
            Ok(entry) => entry,
            Err(problem) => return Err(self.not_started(&name, problem).await),
        };
        self.update(&name, |kept| kept.entry = entry);
        drop(one_at_a_time);
        self.events.tell(Some(&name), "starting", "it is being started".to_owned(), Vec::new());
        if let Err(error) = self.spawn_keeper(&name) {
            return Err(self.not_started(&name, failed(&error)).await);
        }
        self.watch(&name, false).await;
        Ok(())
    }

    /// Gives back what was taken for a partition that has no keeper yet, and says why it has ended.
    async fn not_started(&self, name: &str, problem: Problem) -> Problem {
        self.release_or_tell(name, None).await;
        self.update(name, |kept| {
            kept.report.phase = Phase::Ended;
            kept.report.end = Some(End::Failed { message: problem.message.clone() });
        });
        problem
    }

    /// Ranges of pools for a partition, where its memory comes from there, that nobody else owns.
    fn ranges_of(&self, entry: &Entry) -> Result<Vec<Segment>, Problem> {
        let plan::Spec { source, memory, .. } = &entry.wanted;
        if source.is_from_host() {
            return Ok(Vec::new());
        }
        let machine = self.machine().map_err(|error| failed(&error))?;
        let taken = self.ledger().ranges(&entry.spec.name);
        placement::ranges(&machine, *source, memory, &taken)
            .map_err(|error| problem(ProblemKind::Refused, error.to_string(), None))
    }

    /// What the host was like before the first partition changes it, and where huge pages of that size
    /// are about to be mounted.
    fn host_before(&self, size: Option<PageSize>) -> HostBefore {
        let ledger = self.ledger();
        let mut before = ledger.before.clone().unwrap_or_else(|| {
            let pools = ledger.machine.nodes.iter().flat_map(|node| {
                [PageSize::Large, PageSize::Giant].into_iter().filter_map(|size| {
                    let count = Pool { node: node.id, size }.total().ok()?;
                    Some(PoolPages { node: node.id, size, count })
                })
            });
            HostBefore {
                interrupts: host::affinities(),
                new_interrupts: host::of_new(),
                hugepages: pools.collect(),
                mounted: Vec::new(),
            }
        });
        let place = size.map(|size| self.paths.hugepages(size));
        before.mounted.extend(place.filter(|place| !before.mounted.contains(place)));
        before
    }

    /// Takes huge pages and writes the keeper's spec.
    fn take(&self, entry: &mut Entry) -> Result<(), Problem> {
        let name = entry.spec.name.clone();
        let size = entry.spec.boot.page_size();
        if let Some(size) = page_size_of(entry.wanted.source) {
            host::mount_hugetlbfs(&self.paths.hugepages(size), size)
                .map_err(|error| failed(&error))?;
        }
        for share in entry.spec.boot.memory() {
            let wanted = share.size.0 / size.bytes().0;
            let pool = Pool { node: share.node, size };
            let refused = |error| problem(ProblemKind::Refused, chain(&error), None);
            // Held until they are written down: what is not, others may take away.
            let lock = PoolsLock::take().map_err(refused)?;
            let count = pool.add(&lock, wanted, self.promised(&name, pool)).map_err(refused)?;
            entry.hugepages.push(PoolPages { node: share.node, size, count });
            let saved = entry.clone();
            self.write_ledger(|ledger| {
                ledger.partitions.insert(name.clone(), saved);
            })
            .map_err(|error| failed(&error))?;
        }
        if matches!(entry.spec.boot, Spec::Kvm(_)) {
            self.steer_interrupts(&name);
        }
        let dir = self.paths.partition(&name);
        let written = fs::create_dir_all(dir.path()).and_then(|()| {
            for stale in [dir.record(), dir.ending(), dir.last_report(), dir.socket()] {
                let _ = fs::remove_file(stale);
            }
            let spec = serde_json::to_vec(&entry.spec).unwrap_or_default();
            durable::replace(&dir.spec(), &spec)
        });
        written.map_err(|error| failed(&error))
    }

    /// Keeps interrupts off the CPUs of virtual machines. What cannot be moved is told.
    fn steer_interrupts(&self, name: &str) {
        let ledger = self.ledger().clone();
        let Some(before) = ledger.before.as_ref() else { return };
        let quiet = ledger.quiet_cpus();
        let steered = host::steer(&before.interrupts, before.new_interrupts.as_deref(), &quiet);
        if !steered.stay.is_empty() {
            let numbers: Vec<String> = steered.stay.iter().map(u32::to_string).collect();
            let text = format!(
                "the host's kernel does not let interrupts {} be moved off CPUs of virtual machines",
                numbers.join(", ")
            );
            self.events.tell(Some(name), "warning", text, Vec::new());
        }
    }

    /// Free huge pages that belong to partitions whose keepers have not taken them yet.
    fn promised(&self, but: &str, pool: Pool) -> u64 {
        let kept = self.kept();
        // Those that are still waiting for theirs have an entry without pages.
        let starting = kept.iter().filter(|(name, kept)| {
            *name != but && kept.report.phase == Phase::Starting && !kept.entry.hugepages.is_empty()
        });
        let specs = starting.map(|(_, kept)| &kept.entry.spec.boot);
        specs
            .filter(|spec| spec.page_size() == pool.size)
            .map(|spec| still_to_take(spec, taken_by(spec.memory_file()), pool.node))
            .sum()
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

/// Bytes that a memory file holds by now: 0 where it is not there yet.
fn taken_by(memory_file: &Path) -> u64 {
    // stat(2): blocks of 512 bytes.
    fs::metadata(memory_file).map_or(0, |file| file.blocks().saturating_mul(512))
}

/// Pages of `node` that a keeper has yet to take: it takes share by share.
fn still_to_take(spec: &Spec, mut taken: u64, node: NodeId) -> u64 {
    let mut bytes = 0_u64;
    for share in spec.memory() {
        let had = taken.min(share.size.0);
        taken -= had;
        if share.node == node {
            bytes = bytes.saturating_add(share.size.0 - had);
        }
    }
    bytes / spec.page_size().bytes().0
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
            if place.is_some_and(|place| place.apic_id == boot::bare::PHANTOM) {
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

/// The CPUs of an assignment as those of a virtual machine: in the order of sockets, cores and threads, and
/// how they belong together.
pub(super) fn virtual_cpus(
    machine: &crate::inventory::Machine,
    cpus: &boot::units::CpuSet,
) -> (Vec<CpuId>, Topology) {
    let mut places: Vec<((u32, u32), CpuId)> = cpus
        .iter()
        .map(|id| {
            let place = machine.cpu(id).and_then(|cpu| cpu.place.as_ref());
            // Of one that nothing is known of it is a core of its own.
            (place.map_or((u32::MAX, id.0), |place| (place.package, place.core)), id)
        })
        .collect();
    places.sort_unstable();
    let (places, cpus): (Vec<(u32, u32)>, Vec<CpuId>) = places.into_iter().unzip();
    (cpus, Topology::of(&places))
}

/// The huge pages of a memory source; `None` where it has none.
pub(super) fn page_size_of(source: MemorySource) -> Option<PageSize> {
    match source {
        MemorySource::Hugetlb { page: HugePage::TwoMiB } => Some(PageSize::Large),
        MemorySource::Hugetlb { page: HugePage::OneGiB } => Some(PageSize::Giant),
        MemorySource::SoftReserved | MemorySource::Memmap | MemorySource::Snapshot => None,
    }
}

/// The shares of an assignment, by node.
pub(super) fn shares_of(memory: &BTreeMap<NodeId, Bytes>) -> Vec<NodeShare> {
    let shares = memory.iter().filter(|(_, size)| size.0 > 0);
    shares.map(|(node, size)| NodeShare { node: *node, size: *size }).collect()
}
