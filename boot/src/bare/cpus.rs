//! Starting and stopping CPUs behind the host kernel's back.
//!
//! A CPU that the host has taken offline waits in the host's idle loop. INIT takes it out of
//! whatever it runs, SIPI starts it at a page below 1 MiB (Intel SDM volume 3A, 9.4).
//!
//! Order matters: whoever writes to memory that a running kernel uses has lost the machine. So the
//! memory of a partition is only handed out against [`Stopped`], and only this module makes one.

use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use super::host_kernel;
use super::low_memory::LowMemory;
use super::real_mode::RealModeCode;
use super::sys::{self, DevMemError, HotplugError, Msr, MsrError, PhysicalWindow};
use super::trampoline::Progress;
use crate::units::{ApicId, CpuId, PhysAddr};

/// One CPU by both its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Its Linux number.
    pub id: CpuId,
    /// Its local APIC id.
    pub apic: ApicId,
}

/// Proof that these CPUs run nothing of a partition.
#[derive(Debug)]
pub struct Stopped {
    cpus: Vec<Cpu>,
}

impl Stopped {
    /// The CPUs; the first one is the partition's boot CPU.
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }
}

/// Why a CPU could not be taken, started or given back.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// sysfs refused
    #[error(transparent)]
    Hotplug(#[from] HotplugError),
    /// the interrupt command register cannot be written
    #[error(transparent)]
    Msr(#[from] MsrError),
    /// low memory or the local APIC cannot be reached
    #[error(transparent)]
    DevMem(#[from] DevMemError),
    /// the host's kernel has no trampoline of the known form
    #[error(
        "the host kernel's trampoline below 1 MiB was not found, so it cannot be asked to start a \
         CPU: a machine with x2APIC does not need it"
    )]
    NoHostTrampoline,
    /// the CPU does not answer
    #[error(
        "{cpu} did not reach the partition's trampoline within {seconds} s (it got as far as {progress:?})"
    )]
    NoAnswer {
        /// The CPU.
        cpu: CpuId,
        /// How long it had.
        seconds: u64,
        /// How far it came.
        progress: Progress,
    },
    /// the local APIC takes no command
    #[error("the local APIC of the boot CPU does not send an interrupt to APIC {}", .0.0)]
    NotSent(ApicId),
    /// a partition has no CPUs
    #[error("a partition needs at least one CPU")]
    None,
}

/// How CPUs are sent INIT and SIPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Starter {
    /// The x2APIC interrupt command register, through `/dev/cpu/0/msr`: atomic, no boot parameter.
    X2Apic,
    /// The host's kernel sends them, on its way to take the CPU online; meanwhile its trampoline
    /// jumps to ours. Its write to sysfs then fails after ten seconds, and until then no other CPU
    /// can change hands.
    HostKernel {
        /// Where the host's trampoline is.
        code: RealModeCode,
    },
    /// The xAPIC registers, through `/dev/mem`. Two writes that an interrupt may come between: only
    /// on explicit demand.
    XApic,
}

/// `IA32_APIC_BASE` and its x2APIC enable bit (Intel SDM volume 3A, 11.12.1).
const APIC_BASE: u32 = 0x1b;
const X2APIC_ENABLED: u64 = 1 << 10;
/// Interrupt command register as an MSR (table 11-6).
const X2APIC_ICR: u32 = 0x830;
/// Interrupt command register, halves, in the xAPIC page (table 11-1).
const XAPIC_ICR_LOW: usize = 0x300;
const XAPIC_ICR_HIGH: usize = 0x310;
const XAPIC_PAGE: PhysAddr = PhysAddr(0xfee0_0000);
/// Delivery modes with level assert, edge trigger, physical destination (figure 11-12).
const INIT: u32 = 0x4500;
const STARTUP: u32 = 0x4600;
const DELIVERY_PENDING: u32 = 1 << 12;

/// The host's CPU that is never taken: registers are written from there.
const BOOT_CPU: CpuId = CpuId(0);

impl Starter {
    /// The best way that this machine offers.
    ///
    /// # Errors
    ///
    /// [`CpuError::Msr`] where the `msr` module is not loaded, [`CpuError::NoHostTrampoline`] where
    /// there is no way.
    pub fn detect(low: &LowMemory) -> Result<Self, CpuError> {
        let apic_base = Msr::open(BOOT_CPU)?.read(APIC_BASE)?;
        if apic_base & X2APIC_ENABLED != 0 {
            return Ok(Self::X2Apic);
        }
        let code = low.host_code.ok_or(CpuError::NoHostTrampoline)?;
        Ok(Self::HostKernel { code })
    }

    /// The xAPIC registers, for those who accept that an interrupt may come between two writes.
    ///
    /// # Errors
    ///
    /// [`CpuError::DevMem`] where the host's kernel does not let us reach them.
    pub fn xapic() -> Result<Self, CpuError> {
        PhysicalWindow::map_registers(XAPIC_PAGE, 4096)?;
        Ok(Self::XApic)
    }

    /// Puts the host's trampoline back, where somebody who was starting a CPU died and left it
    /// redirected. Any CPU that the host's kernel started then would run into a partition.
    ///
    /// # Errors
    ///
    /// [`CpuError::DevMem`] where low memory cannot be reached.
    pub fn mend(self) -> Result<(), CpuError> {
        self.host_trampoline().map(drop)
    }

    /// The host's own trampoline, for as long as CPUs are taken online.
    fn host_trampoline(self) -> Result<Option<Flock<File>>, CpuError> {
        match self {
            Self::HostKernel { code } => host_kernel::restore(code).map(Some),
            // Nobody redirects it.
            Self::X2Apic | Self::XApic => Ok(None),
        }
    }

    /// Takes CPUs from the host. On failure those already taken go back.
    ///
    /// # Errors
    ///
    /// [`CpuError::Hotplug`] where the host's kernel keeps one.
    pub fn take(self, cpus: &[Cpu]) -> Result<Stopped, CpuError> {
        if cpus.is_empty() {
            return Err(CpuError::None);
        }
        for (index, cpu) in cpus.iter().enumerate() {
            if let Err(error) = sys::set_online(cpu.id, false) {
                let _trampoline = self.host_trampoline()?;
                for taken in cpus.iter().take(index) {
                    // The ledger has them too: where one does not come, giving back tries again.
                    let _ = sys::set_online(taken.id, true);
                }
                return Err(error.into());
            }
        }
        Ok(Stopped { cpus: cpus.to_vec() })
    }

    /// Stops CPUs, whatever they run, so that they run nothing of a partition.
    ///
    /// # Errors
    ///
    /// [`CpuError`]; then some of them may still run.
    pub fn stop(self, cpus: &[Cpu]) -> Result<Stopped, CpuError> {
        if cpus.is_empty() {
            return Err(CpuError::None);
        }
        match self {
            Self::X2Apic | Self::XApic => {
                let registers = Registers::open(self)?;
                for cpu in cpus {
                    registers.send(cpu.apic, INIT)?;
                }
            }
            // Taking a CPU online sends it INIT; then it waits in the host's idle loop again.
            Self::HostKernel { .. } => {
                let _trampoline = self.host_trampoline()?;
                for cpu in cpus {
                    sys::set_online(cpu.id, true)?;
                    sys::set_online(cpu.id, false)?;
                }
            }
        }
        Ok(Stopped { cpus: cpus.to_vec() })
    }

    /// Starts the partition's boot CPU at the trampoline in `low`, which lies at the physical
    /// address `trampoline`. Returns when the CPU is about to enter the kernel.
    ///
    /// # Errors
    ///
    /// [`CpuError`] where it does not get there; the CPU is stopped again as far as possible.
    pub fn start(
        self,
        stopped: &Stopped,
        trampoline: u32,
        progress: &dyn Fn() -> Progress,
    ) -> Result<(), CpuError> {
        let boot = *stopped.cpus.first().ok_or(CpuError::None)?;
        match self {
            Self::X2Apic | Self::XApic => {
                let registers = Registers::open(self)?;
                for cpu in &stopped.cpus {
                    registers.send(cpu.apic, INIT)?;
                }
                sleep(Duration::from_millis(10));
                let startup = STARTUP | trampoline >> 12;
                registers.send(boot.apic, startup)?;
                if wait(Duration::from_micros(300), progress) == Progress::NotStarted {
                    registers.send(boot.apic, startup)?;
                }
                const PATIENCE: Duration = Duration::from_secs(2);
                match wait(PATIENCE, progress) {
                    Progress::Entered => Ok(()),
                    progress => {
                        let _ = registers.send(boot.apic, INIT);
                        let seconds = PATIENCE.as_secs();
                        Err(CpuError::NoAnswer { cpu: boot.id, seconds, progress })
                    }
                }
            }
            Self::HostKernel { code } => host_kernel::start(code, boot, trampoline, progress),
        }
    }

    /// Gives CPUs back to the host.
    ///
    /// # Errors
    ///
    /// [`CpuError::Hotplug`] for the first that does not come; the others are tried all the same.
    /// [`CpuError::DevMem`] where low memory cannot be reached.
    pub fn give_back(self, stopped: Stopped) -> Result<(), CpuError> {
        let _trampoline = self.host_trampoline()?;
        let mut result = Ok(());
        for cpu in &stopped.cpus {
            if let Err(error) = sys::set_online(cpu.id, true) {
                result = result.and(Err(error.into()));
            }
        }
        result
    }
}

/// Waits until the CPU enters the kernel, at most `patience`.
pub(super) fn wait(patience: Duration, progress: &dyn Fn() -> Progress) -> Progress {
    let start = Instant::now();
    loop {
        let now = progress();
        if now == Progress::Entered || start.elapsed() >= patience {
            return now;
        }
        sleep(Duration::from_micros(50));
    }
}

enum Registers {
    X2Apic(Msr),
    XApic(PhysicalWindow),
}

impl Registers {
    fn open(starter: Starter) -> Result<Self, CpuError> {
        Ok(match starter {
            Starter::XApic => Self::XApic(PhysicalWindow::map_registers(XAPIC_PAGE, 4096)?),
            _ => Self::X2Apic(Msr::open(BOOT_CPU)?),
        })
    }

    fn send(&self, to: ApicId, command: u32) -> Result<(), CpuError> {
        match self {
            Self::X2Apic(msr) => {
                Ok(msr.write(X2APIC_ICR, u64::from(to.0) << 32 | u64::from(command))?)
            }
            // Each CPU sees its own local APIC at the same address: both halves must be the same CPU's.
            Self::XApic(page) => {
                const PATIENCE: Duration = Duration::from_millis(100);
                let idle = || {
                    let since = Instant::now();
                    while page.read_u32(XAPIC_ICR_LOW) & DELIVERY_PENDING != 0 {
                        if since.elapsed() >= PATIENCE {
                            return false;
                        }
                        std::hint::spin_loop();
                    }
                    true
                };
                let sent = sys::on_cpu(BOOT_CPU, || {
                    if !idle() {
                        return false;
                    }
                    page.write_u32(XAPIC_ICR_HIGH, to.0 << 24);
                    page.write_u32(XAPIC_ICR_LOW, command);
                    idle()
                });
                match sent {
                    Some(true) => Ok(()),
                    _ => Err(CpuError::NotSent(to)),
                }
            }
        }
    }
}
