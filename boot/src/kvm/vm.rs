//! A virtual machine in KVM: its memory, its interrupt controllers, its CPUs.

use std::fs::File;
use std::os::fd::{IntoRawFd as _, OwnedFd};

use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC, KVM_MAX_CPUID_ENTRIES, KvmIrqRouting,
    kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_irqchip,
    kvm_userspace_memory_region,
};
use kvm_ioctls::{IoEventAddress, Kvm, VmFd};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryBackend as _};
use vmm_sys_util::eventfd::EventFd;

use super::address_space::{self, IDENTITY_MAP, TSS};
use super::message::Description;
use super::saved::{self, SaveError};
use super::slots;
use super::vcpu::{DESCRIPTORS, GDT, Vcpu, VcpuError};
use crate::host_memory::MapError;
use crate::memory::PartitionMemory;

/// Why a virtual machine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// KVM refuses
    #[error("KVM refuses {request}: {source}")]
    Refused {
        /// The request's name in Documentation/virt/kvm/api.rst.
        request: &'static str,
        /// What the kernel said.
        source: kvm_ioctls::Error,
    },
    /// a virtual CPU
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// what is saved of it
    #[error(transparent)]
    Saved(#[from] SaveError),
    /// the memory
    #[error(transparent)]
    Memory(#[from] MapError),
    /// the memory is not what it is said to be
    #[error("its memory is too small for {0}")]
    TooSmall(&'static str),
    /// more or fewer CPUs than KVM can have
    #[error("it has {wanted} CPUs, and 1 to {most} are possible here")]
    Cpus {
        /// How many were asked for.
        wanted: usize,
        /// How many KVM runs.
        most: usize,
    },
}

fn refused(request: &'static str) -> impl Fn(kvm_ioctls::Error) -> VmError {
    move |source| VmError::Refused { request, source }
}

/// Interrupts go to the I/O APIC only. KVM would have them arrive at its PIC, too, that no table tells of: a
/// kernel that has not masked it takes them for others.
fn routes() -> Result<KvmIrqRouting, VmError> {
    let route = |number: u32| kvm_irq_routing_entry {
        gsi: number,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        u: kvm_irq_routing_entry__bindgen_ty_1 {
            irqchip: kvm_irq_routing_irqchip { irqchip: KVM_IRQCHIP_IOAPIC, pin: number },
        },
        ..Default::default()
    };
    let entries: Vec<_> = (0..slots::INTERRUPT_LINES).map(route).collect();
    KvmIrqRouting::from_entries(&entries)
        .map_err(|_| refused("KVM_SET_GSI_ROUTING")(kvm_ioctls::Error::new(libc::E2BIG)))
}

/// What its memory is made of.
#[derive(Debug)]
pub struct Memory {
    /// The file.
    pub file: File,
    /// That of the piece which is shared, where the rest is the machine's own as soon as it is written to.
    pub shared: Option<File>,
}

impl Memory {
    fn map(&self, description: &Description) -> Result<PartitionMemory, VmError> {
        let size = description.memory;
        Ok(match (&self.shared, description.shared) {
            (Some(shared), Some(piece)) => {
                address_space::map_own(&self.file, size, (piece, shared))?
            }
            _ => address_space::map(&self.file, size)?,
        })
    }
}

/// A virtual machine whose CPUs have not run yet.
pub struct Vm {
    /// The machine itself.
    pub fd: VmFd,
    /// Its memory, as its guest addresses it.
    pub memory: PartitionMemory,
    /// Registers of its CPUs that are saved.
    pub saved_registers: Vec<u32>,
    /// Its CPUs; the first one is about to enter the kernel.
    pub cpus: Vec<Vcpu>,
}

/// APIC ids are a byte, and the last of them means all.
const MOST_CPUS: usize = 255;

impl Vm {
    /// Makes one on memory that holds a kernel, ready to be entered.
    ///
    /// # Errors
    ///
    /// [`VmError`]
    pub fn new(kvm: OwnedFd, memory: &Memory, description: &Description) -> Result<Self, VmError> {
        use std::os::fd::FromRawFd as _;
        // SAFETY: the descriptor is given away here.
        let kvm = unsafe { Kvm::from_raw_fd(kvm.into_raw_fd()) };
        let (wanted, most) = (description.cpus.len(), kvm.get_max_vcpus().min(MOST_CPUS));
        if wanted == 0 || wanted > most || description.topology.cpus() as usize != wanted {
            return Err(VmError::Cpus { wanted, most });
        }
        let fd = kvm.create_vm().map_err(refused("KVM_CREATE_VM"))?;
        fd.set_tss_address(TSS.0 as usize).map_err(refused("KVM_SET_TSS_ADDR"))?;
        fd.set_identity_map_address(IDENTITY_MAP.0)
            .map_err(refused("KVM_SET_IDENTITY_MAP_ADDR"))?;
        fd.create_irq_chip().map_err(refused("KVM_CREATE_IRQCHIP"))?;
        fd.set_gsi_routing(&routes()?).map_err(refused("KVM_SET_GSI_ROUTING"))?;

        let memory = memory.map(description)?;
        for (slot, place) in (0..).zip(address_space::places(description.memory)) {
            let address = memory.get_host_address(GuestAddress(place.start.0));
            let address = address.map_err(|_| VmError::TooSmall("its map"))?;
            let region = kvm_userspace_memory_region {
                slot,
                guest_phys_addr: place.start.0,
                memory_size: place.size.0,
                userspace_addr: address as u64,
                flags: 0,
            };
            // SAFETY: the region is mapped for as long as this process lives.
            unsafe { fd.set_user_memory_region(region) }
                .map_err(refused("KVM_SET_USER_MEMORY_REGION"))?;
        }
        // What goes on has its own.
        let descriptors = if description.restored { &[][..] } else { &DESCRIPTORS };
        for (at, descriptor) in (GDT..).step_by(8).zip(descriptors.iter().copied()) {
            memory
                .write_obj(descriptor, GuestAddress(at))
                .map_err(|_| VmError::TooSmall("segment descriptors"))?;
        }

        let offered = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(refused("KVM_GET_SUPPORTED_CPUID"))?;
        let mut cpus = Vec::new();
        for number in 0..wanted as u32 {
            let apic = description.topology.apic_id(number);
            // Of two that KVM knows by the same id it would make one.
            let cpu = fd.create_vcpu(apic.0.into()).map_err(refused("KVM_CREATE_VCPU"))?;
            cpus.push(Vcpu::new(cpu, number, &offered, description)?);
        }
        if let Some(first) = cpus.first() {
            first.enter(description)?;
        }
        let saved_registers = saved::register_numbers(&kvm)?;
        Ok(Self { fd, memory, cpus, saved_registers })
    }

    /// A line that raises an interrupt of the I/O APIC whenever it is written to.
    ///
    /// # Errors
    ///
    /// [`VmError`]
    pub fn interrupt(&self, number: u32) -> Result<EventFd, VmError> {
        let line = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(|error| {
            refused("eventfd")(kvm_ioctls::Error::new(error.raw_os_error().unwrap_or(0)))
        })?;
        self.fd.register_irqfd(&line, number).map_err(refused("KVM_IRQFD"))?;
        Ok(line)
    }

    /// Has `event` written to whenever a guest writes `value` to that address.
    ///
    /// # Errors
    ///
    /// [`VmError`]
    pub fn notify(
        &self,
        event: &EventFd,
        address: &IoEventAddress,
        value: u32,
    ) -> Result<(), VmError> {
        self.fd.register_ioevent(event, address, value).map_err(refused("KVM_IOEVENTFD"))
    }
}
