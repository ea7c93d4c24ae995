//! One partition, from nothing to a running kernel and back.

use protocol::mailbox::{self, Mailbox};
use vm_memory::{Bytes as _, GuestAddress};

use super::cpus::{Cpu, CpuError, Stopped};
use super::load::{self, Allocated};
use super::low_memory::{LowWindow, RAM};
use super::real_mode::{self, RealModeCode, restart_guard};
use super::spec::{Failure, Record, Spec, StartError, Step};
use super::sys::{DevMemError, PhysicalWindow, TscClock};
use super::trampoline::{self, Progress};
use crate::acpi;
use crate::backend::{Guard, Request, open_mailbox};
use crate::contents::Contents;
use crate::host_memory::HugetlbFile;
use crate::kernel_log::KernelLog;
use crate::memory::PartitionMemory;
use crate::units::PhysAddr;

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

        // What cannot be loaded is found out before anything is taken.
        let contents = Contents::open(&spec.kernel, &spec.initramfs)
            .map_err(|error| Failure { step: Step::Load, source: error.into() })?;

        let failed = at(Step::TakeCpus);
        let stopped = spec.starter.take(&spec.cpus).map_err(|error| failed(error.into()))?;

        let failed = at(Step::Memory);
        let Allocated { memory, segments, runs } =
            load::allocate(&spec, &contents, &stopped).map_err(failed)?;

        let failed = at(Step::Load);
        let loaded = contents.load(&memory, &segments).map_err(|error| failed(error.into()))?;

        let failed = at(Step::Tables);
        let (low, command_line) =
            load::write_tables(&spec, &memory, &loaded, clock).map_err(failed)?;

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
        let (memory, segments) = load::find(&record.spec, &record.runs)?;
        if segments != record.layout.segments {
            return Err(StartError::DoesNotFit("the memory found"));
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
        let mailbox = open_mailbox(&self.memory, self.record.layout.mailbox);
        Ok(mailbox.ok_or(StartError::DoesNotFit("the mailbox"))??)
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
        let offset = (start - window.trampoline()) as usize;
        // A look at each page first: until the kernel has its code there, which takes it a while, there
        // is nothing to copy.
        let begins_here = |page: usize| {
            let mut first = [0];
            self.low.read(offset + page, &mut first) && first == [real_mode::FIRST]
        };
        if !(0..RAM as usize).step_by(real_mode::PAGE).any(begins_here) {
            return Guard::Waiting;
        }
        let mut memory = vec![0; RAM as usize];
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

pub(super) fn map_low(window: LowWindow) -> Result<PhysicalWindow, DevMemError> {
    PhysicalWindow::map(PhysAddr(window.trampoline().into()), trampoline::SIZE + RAM as usize)
}

fn progress_of(low: &PhysicalWindow) -> Progress {
    let mut word = [0; 8];
    low.read(trampoline::PROGRESS, &mut word);
    Progress::from_word(u64::from_le_bytes(word))
}

fn kernel_log(record: &Record) -> Option<KernelLog> {
    let anchor = record.log.clone()?;
    Some(KernelLog::new(anchor, record.linked_at, record.layout.kernel.start))
}
