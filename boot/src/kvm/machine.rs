//! A virtual machine as a whole: CPUs, memory, and the devices that it is described with.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::SystemTime;

use kvm_ioctls::{IoEventAddress, VmFd};
use vmm_sys_util::eventfd::EventFd;

use super::bus::{Bus, Occupied};
use super::devices::power::{self, Asked, KeyboardController, Power};
use super::devices::{rtc, serial};
use super::message::{Description, Device};
use super::slots::{self, Slot};
use super::status::State;
use super::vcpu::Vcpu;
use super::virtio;
use super::virtio::blk::{self, Disk};
use super::virtio::mmio::Mmio;
use super::virtio::net::Net;
use super::virtio::rng::Rng;
use super::virtio::service::Service;
use super::vm::{Memory, Vm, VmError};
use crate::memory::{PartitionMemory, Segment};

/// Why it cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// the virtual machine
    #[error(transparent)]
    Vm(#[from] VmError),
    /// two devices in one place
    #[error(transparent)]
    Occupied(#[from] Occupied),
    /// more devices than places
    #[error("it has more devices than there are places for: at most {}", slots::all().count())]
    Crowded,
    /// a device's own
    #[error("{0} failed: {1}")]
    Device(&'static str, #[source] io::Error),
}

/// A machine whose CPUs have not run yet.
pub struct Machine {
    /// Its CPUs; the first one is about to enter the kernel.
    pub cpus: Vec<Vcpu>,
    /// Devices at ports.
    pub ports: Bus,
    /// Devices at registers in memory.
    pub registers: Bus,
    /// What serves the devices.
    pub service: Service,
    /// The devices, in their order.
    pub devices: Vec<Mmio>,
    /// Its memory, as its guest addresses it.
    pub memory: PartitionMemory,
    /// Registers of its CPUs that are saved.
    pub saved_registers: Vec<u32>,
    /// Interrupts reach the CPUs for as long as it is there.
    pub vm: VmFd,
}

impl Machine {
    /// Makes one on memory that holds a kernel. What the kernel asks for is told to `tell`.
    ///
    /// # Errors
    ///
    /// [`MachineError`]
    pub fn new(
        kvm: OwnedFd,
        memory: &Memory,
        description: &Description,
        descriptors: Vec<OwnedFd>,
        tell: &Sender<State>,
    ) -> Result<Self, MachineError> {
        let vm = Vm::new(kvm, memory, description)?;
        let ports = ports(&vm, tell)?;
        let failed = |what| move |error| MachineError::Device(what, error);
        let mut registers = Bus::default();
        let mut service = Service::new().map_err(failed("epoll"))?;
        let mut devices = Vec::new();
        if description.devices.len() > slots::all().count() {
            return Err(MachineError::Crowded);
        }
        let mut descriptors = descriptors.into_iter();
        for (slot, device) in slots::all().zip(&description.devices) {
            let device =
                virtio_device(device, &mut descriptors).map_err(failed("opening a device"))?;
            let mmio = attach(&vm, slot, device, &mut service)?;
            let Segment { start, size } = slot.registers;
            registers.insert(start.0, size.0, Box::new(mmio.clone()))?;
            devices.push(mmio);
        }
        let Vm { fd, cpus, memory, saved_registers } = vm;
        Ok(Self { cpus, ports, registers, service, devices, memory, saved_registers, vm: fd })
    }
}

/// What PCs have at ports, as far as kernels miss it.
fn ports(vm: &Vm, tell: &Sender<State>) -> Result<Bus, MachineError> {
    let mut ports = Bus::default();
    let asked = || {
        let tell = tell.clone();
        Box::new(move |asked| {
            let state = match asked {
                Asked::Restart => State::Restart,
                Asked::PowerOff => State::PowerOff,
            };
            // Who hears it ends: what follows does not matter.
            let _ = tell.send(state);
        })
    };
    let mut at = |start: u16, count: u16, device| ports.insert(start.into(), count.into(), device);
    at(power::PORTS, power::COUNT, Box::new(Power { ask: asked() }))?;
    let keyboard = KeyboardController { ask: asked() };
    at(power::KEYBOARD_PORTS, power::KEYBOARD_COUNT, Box::new(keyboard))?;
    at(rtc::PORTS, rtc::COUNT, Box::new(rtc::Clock::new(SystemTime::now)))?;
    let port = serial::Port::new(vm.interrupt(serial::INTERRUPT)?, |line: &[u8]| {
        eprintln!("serial: {}", String::from_utf8_lossy(line).trim_end());
    })
    .map_err(|error| MachineError::Device("the serial port", error))?;
    at(serial::PORTS, serial::COUNT, Box::new(port))?;
    Ok(ports)
}

/// A device as it is described, with those of the descriptors that are its own.
fn virtio_device(
    device: &Device,
    descriptors: &mut impl Iterator<Item = OwnedFd>,
) -> io::Result<Box<dyn virtio::Device>> {
    let mut file = || {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "its descriptor did not come");
        descriptors.next().map(File::from).ok_or_else(missing)
    };
    match device {
        Device::Rng => Ok(Box::new(Rng::new(Box::new(random)))),
        Device::Disk { name, size, block, device, read_only } => {
            let (file, name) = (Arc::new(file()?), name.clone());
            let (size, block, device, read_only) = (*size, *block, *device, *read_only);
            Ok(Box::new(blk::open(Disk { file, size, block, device, read_only, name })?))
        }
        Device::Net { mac, mtu } => Ok(Box::new(Net::new(file()?, mac.bytes(), *mtu))),
    }
}

/// Random bytes of the host's kernel; no more than 256 at once always come as a whole.
fn random(bytes: &mut [u8]) -> io::Result<()> {
    for piece in bytes.chunks_mut(256) {
        // SAFETY: the kernel writes no more bytes than the piece has.
        let had = unsafe { libc::getrandom(piece.as_mut_ptr().cast(), piece.len(), 0) };
        if had != piece.len() as isize {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Puts a device into its slot: registers, interrupt, and the events by which its driver tells of requests.
fn attach(
    vm: &Vm,
    slot: Slot,
    device: Box<dyn virtio::Device>,
    service: &mut Service,
) -> Result<Mmio, MachineError> {
    let line = vm.interrupt(slot.interrupt)?;
    let raise = Box::new(move || {
        // It fails where 2^64 - 1 interrupts wait.
        let _ = line.write(1);
    });
    let mmio = Mmio::new(device, vm.memory.clone(), raise);
    let mut events = Vec::new();
    for queue in 0..mmio.queues() {
        let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)
            .map_err(|error| MachineError::Device("eventfd", error))?;
        let address = IoEventAddress::Mmio(slot.registers.start.0 + virtio::mmio::NOTIFY);
        vm.notify(&event, &address, queue.into())?;
        events.push(event);
    }
    service.add(&mmio, events).map_err(|error| MachineError::Device("epoll", error))?;
    Ok(mmio)
}
