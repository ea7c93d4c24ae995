//! One virtual CPU: what it is when it starts, and what happens whenever it comes out of its guest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use kvm_bindings::{CpuId, Msrs, kvm_dtable, kvm_msr_entry, kvm_regs, kvm_segment};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::bus::Bus;
use super::message::Description;
use super::saved::{CpuState, SaveError};
use super::status::{Counting, Exit};

/// Where the segment descriptors are that a kernel is entered with; below everything that it looks for in low
/// memory before it has its own.
pub const GDT: u64 = 0x500;

/// Selectors of the boot protocol, and the flat segments that they name (Documentation/arch/x86/boot.rst,
/// "64-bit Boot Protocol"; Intel SDM volume 3A, 3.4.5).
const CODE_SELECTOR: u16 = 0x10;
const DATA_SELECTOR: u16 = 0x18;
/// The table: none, none, 64-bit code, data.
pub const DESCRIPTORS: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// CR0: protection, extension type, paging. CR4: physical address extension. EFER: long mode, enabled and
/// active (Intel SDM volume 3A, 2.2.1 and 2.5).
const CR0: u64 = 0x8000_0011;
const CR4: u64 = 0x20;
const EFER: u64 = 0x500;

/// `IA32_MTRR_DEF_TYPE`: enabled, write-back (Intel SDM volume 3A, 13.11.2.1). Nobody else sets the types of
/// memory up, and kernels take memory without for uncached.
const MSR_MTRR_DEF_TYPE: u32 = 0x2ff;
const MTRR_WRITE_BACK: u64 = 1 << 11 | 6;

/// Flags: the bit that is always set.
const RFLAGS: u64 = 2;

/// Why a virtual CPU cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VcpuError {
    /// KVM refuses
    #[error("KVM refuses {request}: {source}")]
    Refused {
        /// The request's name in Documentation/virt/kvm/api.rst.
        request: &'static str,
        /// What the kernel said.
        source: kvm_ioctls::Error,
    },
    /// more features than fit
    #[error("KVM offers more CPUID entries than it takes")]
    TooManyFeatures,
}

fn refused(request: &'static str) -> impl Fn(kvm_ioctls::Error) -> VcpuError {
    move |source| VcpuError::Refused { request, source }
}

/// A virtual CPU that has not run yet.
pub struct Vcpu {
    fd: VcpuFd,
    number: u32,
}

/// Why it came out for longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was told to; it can be run again.
    Held,
    /// It cannot go on.
    Stopped(Stopped),
}

/// Why it runs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It has no way on: a fault while it handled a fault while it handled a fault. Kernels restart that way,
    /// too (`reboot=t`).
    TripleFault,
    /// KVM cannot run it.
    Broken(String),
}

impl Vcpu {
    /// Gives it features.
    ///
    /// # Errors
    ///
    /// [`VcpuError`]
    pub fn new(
        fd: VcpuFd,
        number: u32,
        offered: &CpuId,
        description: &Description,
    ) -> Result<Self, VcpuError> {
        let topology = description.topology;
        let entries = super::cpuid::of_cpu(offered, topology.apic_id(number), topology);
        let cpuid = CpuId::from_entries(&entries).map_err(|_| VcpuError::TooManyFeatures)?;
        fd.set_cpuid2(&cpuid).map_err(refused("KVM_SET_CPUID2"))?;
        let types = [kvm_msr_entry {
            index: MSR_MTRR_DEF_TYPE,
            data: MTRR_WRITE_BACK,
            ..Default::default()
        }];
        let types = Msrs::from_entries(&types).map_err(|_| VcpuError::TooManyFeatures)?;
        fd.set_msrs(&types).map_err(refused("KVM_SET_MSRS"))?;
        Ok(Self { fd, number })
    }

    /// Makes it the one that enters the kernel. The others wait to be started by it.
    ///
    /// # Errors
    ///
    /// [`VcpuError`]
    pub fn enter(&self, description: &Description) -> Result<(), VcpuError> {
        let code = kvm_segment {
            limit: u32::MAX,
            selector: CODE_SELECTOR,
            type_: 0b1011,
            present: 1,
            s: 1,
            l: 1,
            g: 1,
            ..Default::default()
        };
        let data = kvm_segment { selector: DATA_SELECTOR, type_: 0b0011, l: 0, db: 1, ..code };
        let mut sregs = self.fd.get_sregs().map_err(refused("KVM_GET_SREGS"))?;
        sregs.cs = code;
        (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
        let limit = (size_of_val(&DESCRIPTORS) - 1) as u16;
        sregs.gdt = kvm_dtable { base: GDT, limit, ..Default::default() };
        (sregs.cr0, sregs.cr3, sregs.cr4) = (CR0, description.page_tables.0, CR4);
        sregs.efer = EFER;
        self.fd.set_sregs(&sregs).map_err(refused("KVM_SET_SREGS"))?;
        let regs = kvm_regs {
            rip: description.entry.0,
            rsi: description.boot_params.0,
            rflags: RFLAGS,
            ..Default::default()
        };
        self.fd.set_regs(&regs).map_err(refused("KVM_SET_REGS"))
    }

    /// The byte by which it is told to come out at once, in the page that it shares with KVM: there for as long
    /// as the CPU is.
    pub fn immediate_exit(&mut self) -> *const AtomicU8 {
        (&raw mut self.fd.get_kvm_run().immediate_exit).cast()
    }

    /// What it is.
    ///
    /// # Errors
    ///
    /// [`SaveError`]
    pub fn save(&self, registers: &[u32]) -> Result<CpuState, SaveError> {
        CpuState::save(&self.fd, registers)
    }

    /// Makes it what another was.
    ///
    /// # Errors
    ///
    /// [`SaveError`]
    pub fn restore(&self, state: &CpuState) -> Result<(), SaveError> {
        state.restore(&self.fd)
    }

    /// Runs it until it cannot go on, or is told to come out while `held` is set.
    pub fn run(
        &mut self,
        ports: &Bus,
        registers: &Bus,
        counting: &Arc<Counting>,
        held: &AtomicBool,
    ) -> Left {
        match self.run_until(ports, registers, counting, held) {
            Some(stopped) => Left::Stopped(stopped),
            None => Left::Held,
        }
    }

    fn run_until(
        &mut self,
        ports: &Bus,
        registers: &Bus,
        counting: &Arc<Counting>,
        held: &AtomicBool,
    ) -> Option<Stopped> {
        // It stays where it is for as long as the CPU.
        let state = &raw const *self.fd.get_kvm_run();
        // A string instruction comes out with several elements at once: each is an access of its own.
        // SAFETY: the page is mapped as long as the CPU's descriptor is open, and after an exit for a port this
        // is the member of the union that goes with it.
        let width = || usize::from(unsafe { (*state).__bindgen_anon_1.io.size }).max(1);
        loop {
            let exit = match self.fd.run() {
                Ok(exit) => exit,
                Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {
                    if held.load(Ordering::SeqCst) {
                        return None;
                    }
                    counting.count(Exit::Signal);
                    continue;
                }
                Err(error) => return Some(self.broken(&format!("KVM_RUN fails: {error}"))),
            };
            match exit {
                VcpuExit::IoOut(port, data) => {
                    counting.count(Exit::PortWrite);
                    data.chunks(width()).for_each(|piece| ports.write(port.into(), piece));
                }
                VcpuExit::IoIn(port, data) => {
                    counting.count(Exit::PortRead);
                    data.chunks_mut(width()).for_each(|piece| ports.read(port.into(), piece));
                }
                VcpuExit::MmioRead(address, data) => {
                    counting.count(Exit::RegisterRead);
                    registers.read(address, data);
                }
                VcpuExit::MmioWrite(address, data) => {
                    counting.count(Exit::RegisterWrite);
                    registers.write(address, data);
                }
                VcpuExit::Intr => counting.count(Exit::Signal),
                VcpuExit::Shutdown => return Some(Stopped::TripleFault),
                VcpuExit::FailEntry(reason, _) => {
                    let what = format!("it cannot enter its guest ({reason:#x})");
                    return Some(self.broken(&what));
                }
                VcpuExit::InternalError => return Some(self.internal_error()),
                other => {
                    let what = format!("{other:?}");
                    return Some(self.broken(&format!("it stops with {what}")));
                }
            }
        }
    }

    fn internal_error(&mut self) -> Stopped {
        let run = self.fd.get_kvm_run();
        // SAFETY: this is the member of the union that goes with the exit reason.
        let code = unsafe { run.__bindgen_anon_1.internal }.suberror;
        self.broken(&format!("KVM cannot emulate what it does (error {code})"))
    }

    fn broken(&self, why: &str) -> Stopped {
        let at = self.fd.get_regs().map(|regs| regs.rip);
        let at = at.map_or(String::new(), |rip| format!(" at {rip:#x}"));
        Stopped::Broken(format!("virtual CPU {}{at}: {why}", self.number))
    }
}
