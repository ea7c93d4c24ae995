//! What KVM knows of a machine besides its memory: saved, and given to another.

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, Msrs, kvm_clock_data,
    kvm_debugregs, kvm_irqchip, kvm_lapic_state, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs,
    kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};
use serde::{Deserialize, Serialize};

use super::bus::Bus;
use super::devices::Senseless;
use super::vcpu::Vcpu;
use super::virtio::mmio::{self, Mmio, RestoreError};

/// A virtual CPU.
#[derive(Debug, Serialize, Deserialize)]
pub struct CpuState {
    regs: kvm_regs,
    sregs: kvm_sregs,
    xsave: kvm_xsave,
    xcrs: kvm_xcrs,
    debug: kvm_debugregs,
    lapic: kvm_lapic_state,
    events: kvm_vcpu_events,
    mp: kvm_mp_state,
    /// Registers by number, of those that this KVM has.
    msrs: Vec<(u32, u64)>,
    /// How fast its time-stamp counter runs, in kHz; 0 where KVM does not say.
    tsc_khz: u32,
}

/// What the CPUs of a machine share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SharedState {
    /// Two PICs that nothing is connected to, and the I/O APIC.
    irqchips: Vec<kvm_irqchip>,
    /// What the guest's clock says.
    clock: kvm_clock_data,
}

/// A whole machine, besides its memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct MachineState {
    /// Its CPUs, in their order.
    pub cpus: Vec<CpuState>,
    /// What they share.
    pub shared: SharedState,
    /// Devices at ports, by where they are.
    pub ports: Vec<(u64, Vec<u8>)>,
    /// Virtio devices, in the order of their places.
    pub devices: Vec<mmio::Saved>,
}

/// Why it cannot be saved or given.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// KVM refuses
    #[error("KVM refuses {request}: {source}")]
    Refused {
        /// The request's name in Documentation/virt/kvm/api.rst.
        request: &'static str,
        /// What the kernel said.
        source: kvm_ioctls::Error,
    },
    /// registers larger than are saved
    #[error("its CPUs have registers of {0} bytes, and 4,096 are saved")]
    LargeRegisters(usize),
    /// a register
    #[error("KVM does not take register {0:#x} of a saved CPU")]
    Register(u32),
    /// it cannot be written down
    #[error("what it is cannot be written down: {0}")]
    Encode(String),
    /// a device at a port
    #[error(transparent)]
    Ports(#[from] Senseless),
    /// a virtio device
    #[error("device {number}: {source}")]
    Device {
        /// Its place.
        number: usize,
        /// What is wrong.
        source: RestoreError,
    },
    /// another number of them
    #[error("{saved} {what} were saved, and there are {here}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many were saved.
        saved: usize,
        /// How many there are.
        here: usize,
    },
}

fn refused(request: &'static str) -> impl Fn(kvm_ioctls::Error) -> SaveError {
    move |source| SaveError::Refused { request, source }
}

/// The time-stamp counter's deadline: it starts a timer of the local APIC, which must be there before
/// (Intel SDM volume 4, `IA32_TSC_DEADLINE`).
const TSC_DEADLINE: u32 = 0x6e0;

/// The registers that are saved: those that KVM says it has.
///
/// # Errors
///
/// [`SaveError`]
pub fn register_numbers(kvm: &Kvm) -> Result<Vec<u32>, SaveError> {
    let size = kvm.check_extension_int(Cap::Xsave2);
    if size > size_of::<kvm_xsave>() as i32 {
        return Err(SaveError::LargeRegisters(size as usize));
    }
    let list = kvm.get_msr_index_list().map_err(refused("KVM_GET_MSR_INDEX_LIST"))?;
    Ok(list.as_slice().to_vec())
}

impl CpuState {
    /// Saves a CPU that is held.
    ///
    /// # Errors
    ///
    /// [`SaveError`]
    pub fn save(fd: &VcpuFd, registers: &[u32]) -> Result<Self, SaveError> {
        // Reading it has KVM take up what the local APIC was told last: so it comes first.
        let mp = fd.get_mp_state().map_err(refused("KVM_GET_MP_STATE"))?;
        Ok(Self {
            mp,
            regs: fd.get_regs().map_err(refused("KVM_GET_REGS"))?,
            sregs: fd.get_sregs().map_err(refused("KVM_GET_SREGS"))?,
            xsave: fd.get_xsave().map_err(refused("KVM_GET_XSAVE"))?,
            xcrs: fd.get_xcrs().map_err(refused("KVM_GET_XCRS"))?,
            debug: fd.get_debug_regs().map_err(refused("KVM_GET_DEBUGREGS"))?,
            lapic: fd.get_lapic().map_err(refused("KVM_GET_LAPIC"))?,
            msrs: read_msrs(fd, registers)?,
            events: fd.get_vcpu_events().map_err(refused("KVM_GET_VCPU_EVENTS"))?,
            tsc_khz: fd.get_tsc_khz().unwrap_or(0),
        })
    }

    /// Gives it to a CPU that has its features and has not run.
    ///
    /// # Errors
    ///
    /// [`SaveError`]
    pub fn restore(&self, fd: &VcpuFd) -> Result<(), SaveError> {
        if self.tsc_khz != 0 && fd.get_tsc_khz().unwrap_or(0) != self.tsc_khz {
            fd.set_tsc_khz(self.tsc_khz).map_err(refused("KVM_SET_TSC_KHZ"))?;
        }
        fd.set_mp_state(self.mp).map_err(refused("KVM_SET_MP_STATE"))?;
        fd.set_regs(&self.regs).map_err(refused("KVM_SET_REGS"))?;
        fd.set_sregs(&self.sregs).map_err(refused("KVM_SET_SREGS"))?;
        // SAFETY: KVM reads no more than the 4,096 bytes that it has, as `register_numbers` has made sure of.
        unsafe { fd.set_xsave(&self.xsave) }.map_err(refused("KVM_SET_XSAVE"))?;
        fd.set_xcrs(&self.xcrs).map_err(refused("KVM_SET_XCRS"))?;
        fd.set_debug_regs(&self.debug).map_err(refused("KVM_SET_DEBUGREGS"))?;
        fd.set_lapic(&self.lapic).map_err(refused("KVM_SET_LAPIC"))?;
        write_msrs(fd, self.msrs.iter().filter(|(number, _)| *number != TSC_DEADLINE))?;
        write_msrs(fd, self.msrs.iter().filter(|(number, _)| *number == TSC_DEADLINE))?;
        fd.set_vcpu_events(&self.events).map_err(refused("KVM_SET_VCPU_EVENTS"))
    }

    /// Where it goes on.
    pub fn instruction_pointer(&self) -> u64 {
        self.regs.rip
    }
}

/// Reads registers, as many at a time as KVM reads before it meets one that this CPU has not.
fn read_msrs(fd: &VcpuFd, numbers: &[u32]) -> Result<Vec<(u32, u64)>, SaveError> {
    let mut read = Vec::new();
    let mut rest = numbers;
    while !rest.is_empty() {
        let entries: Vec<_> = rest
            .iter()
            .map(|index| kvm_msr_entry { index: *index, ..Default::default() })
            .collect();
        let mut msrs = Msrs::from_entries(&entries)
            .map_err(|_| refused("KVM_GET_MSRS")(kvm_ioctls::Error::new(libc::E2BIG)))?;
        let count = fd.get_msrs(&mut msrs).map_err(refused("KVM_GET_MSRS"))?;
        read.extend(msrs.as_slice().iter().take(count).map(|msr| (msr.index, msr.data)));
        // The one that it has not is left out.
        rest = rest.get(count + 1..).unwrap_or_default();
    }
    Ok(read)
}

fn write_msrs<'a>(
    fd: &VcpuFd,
    msrs: impl Iterator<Item = &'a (u32, u64)>,
) -> Result<(), SaveError> {
    let entries: Vec<_> = msrs
        .map(|(index, data)| kvm_msr_entry { index: *index, data: *data, ..Default::default() })
        .collect();
    let mut rest = entries.as_slice();
    while let Some(first) = rest.first() {
        let msrs = Msrs::from_entries(rest)
            .map_err(|_| refused("KVM_SET_MSRS")(kvm_ioctls::Error::new(libc::E2BIG)))?;
        let count = fd.set_msrs(&msrs).map_err(refused("KVM_SET_MSRS"))?;
        rest = rest.get(count..).unwrap_or_default();
        // One that may be read and not be written, which does not matter as long as it is what it is already.
        if let Some(refusing) = rest.first() {
            let now = read_msrs(fd, &[refusing.index])?;
            if now != [(refusing.index, refusing.data)] {
                return Err(SaveError::Register(refusing.index));
            }
            rest = rest.get(1..).unwrap_or_default();
        } else if count == 0 {
            return Err(SaveError::Register(first.index));
        }
    }
    Ok(())
}

impl SharedState {
    /// Saves what CPUs share, while they are held.
    ///
    /// # Errors
    ///
    /// [`SaveError`]
    pub fn save(fd: &VmFd) -> Result<Self, SaveError> {
        let chips = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC];
        let irqchips = chips.map(|chip_id| {
            let mut chip = kvm_irqchip { chip_id, ..Default::default() };
            fd.get_irqchip(&mut chip).map(|()| chip).map_err(refused("KVM_GET_IRQCHIP"))
        });
        let irqchips = irqchips.into_iter().collect::<Result<_, _>>()?;
        let mut clock = fd.get_clock().map_err(refused("KVM_GET_CLOCK"))?;
        // It goes on where it was, however long it was saved: flags that tell more are not for setting.
        clock.flags = 0;
        Ok(Self { irqchips, clock })
    }

    /// Gives it to a machine whose CPUs have not run.
    ///
    /// # Errors
    ///
    /// [`SaveError`]
    pub fn restore(&self, fd: &VmFd) -> Result<(), SaveError> {
        for chip in &self.irqchips {
            fd.set_irqchip(chip).map_err(refused("KVM_SET_IRQCHIP"))?;
        }
        fd.set_clock(&self.clock).map_err(refused("KVM_SET_CLOCK"))
    }
}

impl MachineState {
    /// Gives it to a machine whose CPUs have not run.
    ///
    /// # Errors
    ///
    /// [`SaveError`]; the machine is of no use then.
    pub fn restore(
        &self,
        cpus: &[Vcpu],
        shared: &VmFd,
        ports: &Bus,
        devices: &[Mmio],
    ) -> Result<(), SaveError> {
        for (what, saved, here) in
            [("CPUs", self.cpus.len(), cpus.len()), ("devices", self.devices.len(), devices.len())]
        {
            if saved != here {
                return Err(SaveError::Count { what, saved, here });
            }
        }
        // Interrupts that devices raise again go through what CPUs share.
        self.shared.restore(shared)?;
        for (cpu, state) in cpus.iter().zip(&self.cpus) {
            cpu.restore(state)?;
        }
        ports.restore(&self.ports)?;
        for (number, (device, saved)) in devices.iter().zip(&self.devices).enumerate() {
            device.restore(saved).map_err(|source| SaveError::Device { number, source })?;
        }
        Ok(())
    }
}
