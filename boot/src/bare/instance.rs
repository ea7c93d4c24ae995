//! One partition, from nothing to a running kernel and back.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Arc;

use nix::time::{ClockId, clock_gettime};
use protocol::SharedMemory;
use protocol::mailbox::{self, BootClock, Mailbox, MailboxError};
use serde::{Deserialize, Serialize};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryBackend as _};

use super::cpus::{Cpu, CpuError, Starter, Stopped};
use super::low_memory::{LowWindow, RAM};
use super::real_mode::{RealModeCode, restart_guard};
use super::sys::{
    DevMemError, HugetlbError, HugetlbFile, NodeShare, PageSize, PhysicalWindow, Run, TscClock,
};
use super::trampoline::{self, Destination, Progress};
use crate::acpi;
use crate::boot_params::{self, TooFragmented};
use crate::command_line::{self, BareFacts, CommandLineError};
use crate::kernel::{self, KernelError};
use crate::kernel_log::{Anchor, AnchorError, KernelLog};
use crate::layout::{ACPI_ROOM, Layout, LayoutError, PAGE_TABLES_ROOM, TABLES};
use crate::memory::{PartitionMemory, Segment};
use crate::page_tables::{self, NoRoom};
use crate::units::{ApicId, Bytes, PhysAddr};

/// What a partition is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its CPUs; it boots on the first.
    pub cpus: Vec<Cpu>,
    /// How they are started.
    pub starter: Starter,
    /// Its memory below 1 MiB.
    pub low: LowWindow,
    /// The file on hugetlbfs that holds its memory.
    pub memory_file: PathBuf,
    /// The pages of that file.
    pub page_size: PageSize,
    /// How much memory, from which nodes.
    pub memory: Vec<NodeShare>,
    /// The kernel, an uncompressed ELF file.
    pub kernel: PathBuf,
    /// The initramfs: archives, laid behind each other.
    pub initramfs: Vec<PathBuf>,
    /// What image and cluster file say on the kernel's command line.
    pub command_line: String,
}

/// What must be remembered to find a running partition again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is made of.
    pub spec: Spec,
    /// Where the pages of its memory file lie.
    pub runs: Vec<Run>,
    /// Where everything lies.
    pub layout: Layout,
    /// Where its kernel was linked to be.
    pub linked_at: PhysAddr,
    /// Where the kernel file keeps its log; `None` where that is not known.
    pub log: Option<Anchor>,
    /// The whole command line.
    pub command_line: String,
}

/// A step of a start, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// CPUs leave the host.
    TakeCpus,
    /// Memory is allocated, zeroed and mapped.
    Memory,
    /// Kernel and initramfs are copied.
    Load,
    /// Command line, boot parameters, ACPI and page tables are written.
    Tables,
    /// The boot CPU is sent to the kernel.
    StartCpu,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TakeCpus => "taking its CPUs from the host",
            Self::Memory => "allocating its memory",
            Self::Load => "loading kernel and initramfs",
            Self::Tables => "writing boot parameters and tables",
            Self::StartCpu => "starting its boot CPU",
        })
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// CPUs
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// memory
    #[error(transparent)]
    Memory(#[from] HugetlbError),
    /// low memory
    #[error(transparent)]
    LowMemory(#[from] DevMemError),
    /// the kernel file
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// a part of the initramfs cannot be read
    #[error("the initramfs part {} cannot be read", path.display())]
    Initramfs {
        /// The part.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// no room
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// memory in too many pieces
    #[error(transparent)]
    Fragmented(#[from] TooFragmented),
    /// a word that is ours
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
    /// more page tables than room
    #[error(transparent)]
    PageTables(#[from] NoRoom),
    /// the mailbox is damaged
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// no entropy
    #[error("the kernel gives no random numbers")]
    Random(#[source] io::Error),
    /// something of ours does not fit where it belongs
    #[error("{0} does not fit into the partition: this is a defect")]
    DoesNotFit(&'static str),
}

/// A start that failed, and where. What it took is still taken: see [`reclaim`](Instance::reclaim).
#[derive(Debug, thiserror::Error)]
#[error("{step} failed")]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Why.
    #[source]
    pub source: StartError,
}

/// Whether a restart of the partition's kernel is caught.
///
/// A kernel that restarts through the BIOS would reset the machine. The guard replaces the last
/// piece of code on that way as soon as the kernel has put it into its low memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guard {
    /// The code is not there yet.
    Waiting,
    /// A restart ends in the guard.
    Installed,
    /// The code is there, but of no form that we know: a restart would reset the machine.
    Impossible,
}

/// What a partition's kernel asks of the machine. Its CPUs wait then, or halt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// To be started again.
    Restart,
    /// To be switched off.
    PowerOff,
}

/// A running partition.
pub struct Instance {
    record: Record,
    memory: PartitionMemory,
    low: PhysicalWindow,
    guard: Guard,
    log: Option<KernelLog>,
}

impl Instance {
    /// Starts a partition. `progress` hears of each step before it begins.
    ///
    /// # Errors
    ///
    /// [`Failure`] with the step. Nothing is undone: [`Instance::reclaim`] does that, also for a
    /// process that died half-way.
    pub fn start(
        spec: Spec,
        clock: TscClock,
        progress: &mut dyn FnMut(Step),
    ) -> Result<Self, Failure> {
        let mut at = |step| {
            progress(step);
            move |source: StartError| Failure { step, source }
        };

        let failed = at(Step::TakeCpus);
        let stopped = spec.starter.take(&spec.cpus).map_err(|error| failed(error.into()))?;

        let failed = at(Step::Memory);
        let (memory, segments, runs) = allocate(&spec, &stopped).map_err(failed)?;

        let failed = at(Step::Load);
        let loaded = load(&spec, &memory, &segments).map_err(failed)?;

        let failed = at(Step::Tables);
        let (low, command_line) = write_tables(&spec, &memory, &loaded, clock).map_err(failed)?;

        let failed = at(Step::StartCpu);
        let reached = || progress_of(&low);
        spec.starter
            .start(&stopped, spec.low.trampoline(), &reached)
            .map_err(|error| failed(error.into()))?;

        let log = loaded.anchor.ok();
        let record = Record {
            spec,
            runs,
            layout: loaded.layout,
            linked_at: loaded.linked_at,
            log,
            command_line,
        };
        let log = kernel_log(&record);
        Ok(Self { record, memory, low, guard: Guard::Waiting, log })
    }

    /// Finds a partition that is running already, by what its first keeper wrote down.
    ///
    /// # Errors
    ///
    /// [`StartError`] where its memory or low memory cannot be reached.
    pub fn adopt(record: Record) -> Result<Self, StartError> {
        let file = HugetlbFile::open(&record.spec.memory_file, &record.runs)?;
        let (memory, segments) = file.map()?;
        if segments != record.layout.segments {
            return Err(StartError::DoesNotFit("the memory file found"));
        }
        let low = map_low(record.spec.low)?;
        let log = kernel_log(&record);
        Ok(Self { record, memory, low, guard: Guard::Waiting, log })
    }

    /// Takes back everything that a spec names, whatever state it is in: CPUs are stopped and given
    /// back, then the memory. May be done twice.
    ///
    /// # Errors
    ///
    /// [`StartError`] where CPUs cannot be stopped; the memory is kept then.
    pub fn reclaim(spec: &Spec) -> Result<(), StartError> {
        spec.starter.mend()?;
        let ours: Vec<Cpu> =
            spec.cpus.iter().copied().filter(|cpu| !super::is_online(cpu.id)).collect();
        if !ours.is_empty() {
            let stopped = spec.starter.stop(&ours)?;
            spec.starter.give_back(stopped)?;
        }
        // What is left of a kernel there would be taken for the host's.
        map_low(spec.low)?.write(0, &vec![0; trampoline::SIZE + RAM as usize]);
        HugetlbFile::remove(&spec.memory_file)?;
        Ok(())
    }

    /// What must be remembered to find this partition again.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The mailbox: control channel, reset and sleep registers.
    ///
    /// # Errors
    ///
    /// [`StartError`] where the partition has written over it.
    pub fn mailbox(&self) -> Result<Mailbox, StartError> {
        Ok(Mailbox::open(mailbox_memory(&self.memory, self.record.layout.mailbox)?)?)
    }

    /// Installs the restart guard if the kernel's code is there by now; cheap enough to be called
    /// every millisecond until it is.
    pub fn guard(&mut self) -> Guard {
        if self.guard == Guard::Waiting {
            self.guard = self.try_guard();
        }
        self.guard
    }

    fn try_guard(&self) -> Guard {
        let window = self.record.spec.low;
        let ram = window.ram();
        let start = ram.start.0 as u32;
        let mut memory = vec![0; RAM as usize];
        let offset = (start - window.trampoline()) as usize;
        if !self.low.read(offset, &mut memory) {
            return Guard::Impossible;
        }
        let Some(code) = RealModeCode::find(&memory, start).filter(|code| code.base >= start)
        else {
            return Guard::Waiting;
        };
        let marker = window.trampoline() + trampoline::RESTART_MARKER as u32;
        let guard = restart_guard(marker, acpi::RESET_VALUE);
        let Some(restart) = code.restart(&memory, start) else {
            // The code is copied before its header is filled in; or the guard is there already.
            let header = (code.base - window.trampoline()) as usize;
            return if self.guard_is_at(header, &guard) {
                Guard::Installed
            } else {
                Guard::Waiting
            };
        };
        let at = (restart - window.trampoline()) as usize;
        if self.low.write(at, &guard) { Guard::Installed } else { Guard::Impossible }
    }

    /// Whether some earlier keeper of this partition has installed the guard.
    fn guard_is_at(&self, header: usize, guard: &[u8]) -> bool {
        let mut memory = vec![0; self.low.len().saturating_sub(header)];
        self.low.read(header, &mut memory)
            && memory.windows(guard.len()).any(|found| found == guard)
    }

    /// What the partition's kernel has asked of the machine, if anything.
    pub fn request(&self) -> Option<Request> {
        let mut marker = [0];
        self.low.read(trampoline::RESTART_MARKER, &mut marker);
        let register = |at: usize| {
            let address = self.record.layout.mailbox.start.checked_add(at as u64)?;
            self.memory.read_obj::<u8>(GuestAddress(address.0)).ok()
        };
        if marker == [acpi::RESET_VALUE] || register(mailbox::RESET_AT) == Some(acpi::RESET_VALUE) {
            Some(Request::Restart)
        } else if register(mailbox::SLEEP_CONTROL_AT).is_some_and(|value| value & acpi::SLEEP != 0)
        {
            Some(Request::PowerOff)
        } else {
            None
        }
    }

    /// A CPU of this partition that the host's kernel runs on, because somebody wrote to sysfs.
    pub fn stolen_cpu(&self) -> Option<crate::units::CpuId> {
        let cpus = &self.record.spec.cpus;
        cpus.iter().map(|cpu| cpu.id).find(|cpu| super::is_online(*cpu))
    }

    /// The records of the kernel's log from number `from` on.
    ///
    /// # Errors
    ///
    /// [`crate::kernel_log::LogError`] where the kernel has damaged it. An empty log where this
    /// kernel keeps none that we know how to read.
    pub fn kernel_log(
        &self,
        from: u64,
    ) -> Result<Vec<crate::kernel_log::Record>, crate::kernel_log::LogError> {
        self.log.as_ref().map_or(Ok(Vec::new()), |log| log.read(&self.memory, from))
    }

    /// Stops the partition's CPUs. Its memory stays as it is, so that its log can still be read.
    ///
    /// # Errors
    ///
    /// [`CpuError`]; some CPUs may still run then.
    pub fn stop(&self) -> Result<Stopped, CpuError> {
        self.record.spec.starter.stop(&self.record.spec.cpus)
    }
}

fn allocate(
    spec: &Spec,
    _stopped: &Stopped,
) -> Result<(PartitionMemory, Vec<Segment>, Vec<Run>), StartError> {
    let file = HugetlbFile::create(&spec.memory_file, spec.page_size, &spec.memory)?;
    let (memory, segments) = file.map()?;
    if segments.len() > boot_params::MAX_SEGMENTS {
        return Err(TooFragmented(segments.len()).into());
    }
    Ok((memory, segments, file.runs().to_vec()))
}

struct Loaded {
    layout: Layout,
    linked_at: PhysAddr,
    entry: PhysAddr,
    initramfs: Bytes,
    anchor: Result<Anchor, AnchorError>,
}

fn load(spec: &Spec, memory: &PartitionMemory, segments: &[Segment]) -> Result<Loaded, StartError> {
    let mut file = File::open(&spec.kernel).map_err(KernelError::Read)?;
    let shape = kernel::shape(&mut file)?;
    let mut parts = Vec::new();
    let mut initramfs = 0_u64;
    for path in &spec.initramfs {
        let unreadable = |source| StartError::Initramfs { path: path.clone(), source };
        let part = File::open(path).map_err(unreadable)?;
        let size = part.metadata().map_err(unreadable)?.len();
        // Linux wants archives in an initramfs at multiples of four.
        let at = initramfs.next_multiple_of(4);
        initramfs = at.saturating_add(size);
        parts.push((path, part, at, size));
    }
    let layout = Layout::new(segments, shape.size, Bytes(initramfs))?;
    let entry = kernel::load(memory, &mut file, shape, layout.kernel.start)?;
    for (path, mut part, at, size) in parts {
        let to = GuestAddress(layout.initramfs.start.0.saturating_add(at));
        memory.read_exact_volatile_from(to, &mut part, size as usize).map_err(|error| {
            StartError::Initramfs { path: path.clone(), source: io::Error::other(error) }
        })?;
    }
    let anchor = Anchor::find(&mut file);
    let linked_at = shape.linked_at;
    Ok(Loaded { layout, linked_at, entry, initramfs: Bytes(initramfs), anchor })
}

fn write_tables(
    spec: &Spec,
    memory: &PartitionMemory,
    loaded: &Loaded,
    clock: TscClock,
) -> Result<(PhysicalWindow, String), StartError> {
    let layout = &loaded.layout;
    let tsc_khz = clock.khz();
    let facts = BareFacts { tsc_khz, mailbox: layout.mailbox.start };
    let command_line = command_line::bare(&spec.command_line, facts)?;
    let params = boot_params::zero_page(layout, spec.low.ram(), loaded.initramfs)?;
    let apic_ids: Vec<ApicId> = spec.cpus.iter().map(|cpu| cpu.apic).collect();
    let register = |at: usize| PhysAddr(layout.mailbox.start.0 + at as u64);
    let description = acpi::Description {
        cpus: &apic_ids,
        reset_register: register(mailbox::RESET_AT),
        sleep_control: register(mailbox::SLEEP_CONTROL_AT),
        sleep_status: register(mailbox::SLEEP_STATUS_AT),
    };
    let acpi = acpi::tables(layout.acpi(), &description);
    if acpi.len() as u64 > ACPI_ROOM {
        return Err(StartError::DoesNotFit("the ACPI tables"));
    }
    // What the CPU touches before the kernel has tables of its own: the trampoline, our tables, the
    // kernel.
    let mapped = [
        Segment { start: PhysAddr(0), size: Bytes::mib(1) },
        Segment { start: layout.main.start, size: TABLES },
        layout.kernel,
    ];
    let tables = page_tables::identity_map(layout.page_tables(), PAGE_TABLES_ROOM, &mapped)?;
    let mut line = command_line.clone().into_bytes();
    line.push(0);
    for (what, at, bytes) in [
        ("the zero page", layout.boot_params(), boot_params::as_bytes(&params)),
        ("the command line", layout.command_line(), &line),
        ("the setup data", layout.setup_data(), &boot_params::setup_data(seed()?)),
        ("the ACPI tables", layout.acpi(), &acpi),
        ("the page tables", layout.page_tables(), &tables),
    ] {
        memory.write_slice(bytes, GuestAddress(at.0)).map_err(|_| StartError::DoesNotFit(what))?;
    }
    Mailbox::create(mailbox_memory(memory, layout.mailbox)?, boot_clock(tsc_khz))?;

    let low = map_low(spec.low)?;
    let destination = Destination {
        page_tables: layout.page_tables(),
        entry: loaded.entry,
        boot_params: layout.boot_params(),
    };
    low.write(trampoline::SIZE, &vec![0; RAM as usize]);
    low.write(0, &trampoline::image(spec.low.trampoline(), destination));
    Ok((low, command_line))
}

fn seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .map_err(StartError::Random)?;
    Ok(seed)
}

fn map_low(window: LowWindow) -> Result<PhysicalWindow, DevMemError> {
    PhysicalWindow::map(PhysAddr(window.trampoline().into()), trampoline::SIZE + RAM as usize)
}

fn progress_of(low: &PhysicalWindow) -> Progress {
    let mut word = [0; 8];
    low.read(trampoline::PROGRESS, &mut word);
    Progress::from_word(u64::from_le_bytes(word))
}

fn mailbox_memory(memory: &PartitionMemory, place: Segment) -> Result<SharedMemory, StartError> {
    let lost = || StartError::DoesNotFit("the mailbox");
    let start = GuestAddress(place.start.0);
    memory.get_slice(start, mailbox::SIZE).map_err(|_| lost())?;
    let base = memory.get_host_address(start).ok().and_then(NonNull::new).ok_or_else(lost)?;
    // SAFETY: mailbox::SIZE bytes from `base` on lie in one region, as checked, and are mapped for
    // as long as the process lives (see `HugetlbFile::map`), so no owner is needed. The mailbox is
    // page-aligned, and vm-memory makes no references to what is in a region.
    Ok(unsafe { SharedMemory::from_raw(base, mailbox::SIZE, Arc::new(())) })
}

fn boot_clock(tsc_khz: u32) -> BootClock {
    let nanoseconds = |clock| {
        clock_gettime(clock).map_or(0, |time| {
            (time.tv_sec() as u64).saturating_mul(1_000_000_000) + time.tv_nsec() as u64
        })
    };
    BootClock {
        monotonic_ns: nanoseconds(ClockId::CLOCK_MONOTONIC),
        realtime_ns: nanoseconds(ClockId::CLOCK_REALTIME),
        tsc: TscClock::count(),
        tsc_khz: tsc_khz.into(),
    }
}

fn kernel_log(record: &Record) -> Option<KernelLog> {
    let anchor = record.log.clone()?;
    Some(KernelLog::new(anchor, record.linked_at, record.layout.kernel.start))
}
