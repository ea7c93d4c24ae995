//! The transport: registers in a page of memory (virtio 1.2, section 4.2).
//!
//! Its states, as bits of the status register that a driver sets one after the other and never takes back:
//!
//! ```text
//! reset ─▶ ACKNOWLEDGE ─▶ DRIVER ─▶ FEATURES_OK ─▶ DRIVER_OK
//!   ▲            features are chosen ┘    └ queues are set up
//!   └── 0 is written, at any time ─────────────────────┘
//! ```
//!
//! What is written in another state than its own is ignored. A driver that spoils its queues finds
//! DEVICE_NEEDS_RESET set.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueT as _};

use super::{Device, Queues, Spoilt};
use crate::kvm::devices;
use crate::memory::PartitionMemory;

mod saved;

pub use saved::{RestoreError, Saved};

/// Bytes of the registers of one device.
pub const SIZE: u64 = 0x1000;
/// Where a driver writes the number of a queue that it has put something into.
pub const NOTIFY: u64 = 0x50;

/// Registers (table 4.2).
mod register {
    pub const MAGIC: u64 = 0x00;
    pub const VERSION: u64 = 0x04;
    pub const DEVICE_ID: u64 = 0x08;
    pub const VENDOR_ID: u64 = 0x0c;
    pub const DEVICE_FEATURES: u64 = 0x10;
    pub const DEVICE_FEATURES_SELECT: u64 = 0x14;
    pub const DRIVER_FEATURES: u64 = 0x20;
    pub const DRIVER_FEATURES_SELECT: u64 = 0x24;
    pub const QUEUE_SELECT: u64 = 0x30;
    pub const QUEUE_SIZE_MAX: u64 = 0x34;
    pub const QUEUE_SIZE: u64 = 0x38;
    pub const QUEUE_READY: u64 = 0x44;
    pub const INTERRUPT_STATUS: u64 = 0x60;
    pub const INTERRUPT_ACKNOWLEDGE: u64 = 0x64;
    pub const STATUS: u64 = 0x70;
    pub const DESCRIPTORS_LOW: u64 = 0x80;
    pub const DESCRIPTORS_HIGH: u64 = 0x84;
    pub const AVAILABLE_LOW: u64 = 0x90;
    pub const AVAILABLE_HIGH: u64 = 0x94;
    pub const USED_LOW: u64 = 0xa0;
    pub const USED_HIGH: u64 = 0xa4;
    /// Shared memory regions: a length of all ones says that there is none.
    pub const SHARED_MEMORY: std::ops::Range<u64> = 0xb0..0xc0;
    pub const CONFIG_GENERATION: u64 = 0xfc;
    pub const CONFIG: u64 = 0x100;
}
const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const VERSION: u32 = 2;
const VENDOR: u32 = u32::from_le_bytes(*b"PTTN");

/// Bits of the status register (section 2.1).
pub mod status {
    /// The driver has found the device.
    pub const ACKNOWLEDGE: u32 = 1;
    /// It knows how to drive it.
    pub const DRIVER: u32 = 2;
    /// It is ready.
    pub const DRIVER_OK: u32 = 4;
    /// It has chosen features, and the device agrees.
    pub const FEATURES_OK: u32 = 8;
    /// The device cannot go on.
    pub const NEEDS_RESET: u32 = 64;
    /// The driver has given up.
    pub const FAILED: u32 = 128;
}

/// Bits of the interrupt status register.
const USED: u32 = 1;
const CONFIGURATION: u32 = 2;

/// Features of the transport (section 6): a driver may be told less often; it is one of version 1.
const EVENT_INDEX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;

/// Raises the device's interrupt.
pub type Interrupt = Box<dyn Fn() + Send>;

/// What was counted, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How often there was something to do.
    pub served: u64,
    /// Requests that were done.
    pub requests: u64,
    /// Interrupts.
    pub interrupts: u64,
}

/// A device and its registers. Cloned, it is the same device.
#[derive(Clone)]
pub struct Mmio(Arc<Mutex<Registers>>);

/// Everything about one device.
struct Registers {
    device: Box<dyn Device>,
    memory: PartitionMemory,
    queues: Vec<Queue>,
    interrupt: Interrupt,
    counts: Counts,
    /// How the transport is; what all below means depends on it.
    status: u32,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    queue_select: u32,
    interrupt_status: u32,
    /// Whether nothing is begun, whatever its driver or anybody else asks for.
    held: bool,
}

impl Mmio {
    /// Puts a device behind registers. Its requests are in `memory`.
    pub fn new(device: Box<dyn Device>, memory: PartitionMemory, interrupt: Interrupt) -> Self {
        let queues = device.queue_sizes().iter();
        // Only a size that is no power of two is refused, which a test looks for.
        let queues = queues.filter_map(|size| Queue::new(*size).ok()).collect();
        Self(Arc::new(Mutex::new(Registers {
            device,
            memory,
            queues,
            interrupt,
            counts: Counts::default(),
            status: 0,
            device_features_select: 0,
            driver_features_select: 0,
            driver_features: 0,
            queue_select: 0,
            interrupt_status: 0,
            held: false,
        })))
    }

    /// A driver has put something into a queue.
    pub fn notified(&self, queue: u16) {
        self.lock().serve(|device, queues| device.serve(queue, queues));
    }

    /// Looks for requests in all queues, and for what has come from outside: after it was held, or made what
    /// another was.
    pub fn look_again(&self) {
        for queue in 0..self.queues() {
            self.notified(queue);
        }
        for watched in 0..self.watched().len() {
            self.changed(watched);
        }
    }

    /// Something has changed at a descriptor that the device watches.
    pub fn changed(&self, watched: usize) {
        self.lock().serve(|device, queues| device.changed(watched, queues));
    }

    /// How many queues it has.
    pub fn queues(&self) -> u16 {
        self.lock().queues.len() as u16
    }

    /// Descriptors that are watched for it.
    pub fn watched(&self) -> Vec<std::os::fd::RawFd> {
        self.lock().device.watched()
    }

    /// What was counted: of the transport, and of the device.
    pub fn counts(&self) -> (Counts, Vec<u64>) {
        let registers = self.lock();
        (registers.counts, registers.device.counts())
    }

    fn lock(&self) -> MutexGuard<'_, Registers> {
        // A device that panicked is a process that ended.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl devices::Device for Mmio {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        self.lock().read(offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.lock().write(offset, data);
    }
}

impl Registers {
    fn offered(&self) -> u64 {
        self.device.features() | EVENT_INDEX | VERSION_1
    }

    /// Whether the features that the driver has chosen are such as it may choose.
    fn agreed(&self) -> bool {
        let chosen = self.driver_features;
        chosen & !self.offered() == 0 && chosen & VERSION_1 != 0
    }

    fn has(&self, bits: u32) -> bool {
        self.status & bits == bits
    }

    /// Whether the driver is ready and the device can go on.
    fn works(&self) -> bool {
        self.has(status::DRIVER_OK) && self.status & status::NEEDS_RESET == 0
    }

    fn serve(&mut self, work: impl FnOnce(&mut dyn Device, &mut Queues<'_>) -> Result<(), Spoilt>) {
        if !self.works() || self.held {
            return;
        }
        let mut queues = Queues::new(&self.memory, &mut self.queues);
        let result = work(&mut *self.device, &mut queues);
        let (interrupt, requests) = (queues.interrupt(), queues.finished());
        self.counts.served += 1;
        self.counts.requests += requests;
        if interrupt {
            self.raise(USED);
        }
        if result.is_err() {
            self.status |= status::NEEDS_RESET;
            self.raise(CONFIGURATION);
        }
    }

    fn raise(&mut self, what: u32) {
        if self.has(status::DRIVER_OK) {
            self.interrupt_status |= what;
            self.counts.interrupts += 1;
            (self.interrupt)();
        }
    }

    fn read(&mut self, offset: u64, data: &mut [u8]) {
        if offset >= register::CONFIG {
            data.fill(0);
            self.device.read_config(offset - register::CONFIG, data);
            return;
        }
        let Ok(data) = <&mut [u8; 4]>::try_from(data) else { return };
        *data = self.register(offset).to_le_bytes();
    }

    fn register(&self, offset: u64) -> u32 {
        let queue = self.queues.get(self.queue_select as usize);
        match offset {
            register::MAGIC => MAGIC,
            register::VERSION => VERSION,
            register::DEVICE_ID => self.device.kind(),
            register::VENDOR_ID => VENDOR,
            register::DEVICE_FEATURES => word(self.offered(), self.device_features_select),
            register::QUEUE_SIZE_MAX => queue.map_or(0, |queue| queue.max_size().into()),
            register::QUEUE_READY => queue.map_or(0, |queue| queue.ready().into()),
            register::INTERRUPT_STATUS => self.interrupt_status,
            register::STATUS => self.status,
            // It never changes.
            register::CONFIG_GENERATION => 0,
            offset if register::SHARED_MEMORY.contains(&offset) => u32::MAX,
            _ => 0,
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if offset >= register::CONFIG {
            self.device.write_config(offset - register::CONFIG, data);
            return;
        }
        let Ok(data) = <[u8; 4]>::try_from(data) else { return };
        let value = u32::from_le_bytes(data);
        match offset {
            register::DEVICE_FEATURES_SELECT => self.device_features_select = value,
            register::DRIVER_FEATURES_SELECT => self.driver_features_select = value,
            register::DRIVER_FEATURES => self.choose(value),
            register::QUEUE_SELECT => self.queue_select = value,
            register::INTERRUPT_ACKNOWLEDGE => self.interrupt_status &= !value,
            register::STATUS => self.set_status(value),
            // Where KVM does not take it to the thread that serves.
            NOTIFY => {
                if let Ok(queue) = u16::try_from(value) {
                    self.serve(|device, queues| device.serve(queue, queues));
                }
            }
            offset => self.set_queue(offset, value),
        }
    }

    fn choose(&mut self, value: u32) {
        if !self.has(status::DRIVER) || self.has(status::FEATURES_OK) {
            return;
        }
        let shift = match self.driver_features_select {
            0 => 0,
            1 => 32,
            _ => return,
        };
        let others = self.driver_features & !(u64::from(u32::MAX) << shift);
        self.driver_features = others | u64::from(value) << shift;
    }

    /// Registers of the selected queue: only between the features and the driver's being ready.
    fn set_queue(&mut self, offset: u64, value: u32) {
        if !self.has(status::FEATURES_OK) || self.has(status::DRIVER_OK) {
            return;
        }
        let Some(queue) = self.queues.get_mut(self.queue_select as usize) else { return };
        match offset {
            // A size that is none leaves the queue as it was, and so unusable if it was never set.
            register::QUEUE_SIZE => {
                if let Ok(size) = u16::try_from(value) {
                    let _ = queue.try_set_size(size);
                }
            }
            register::QUEUE_READY => queue.set_ready(value == 1),
            register::DESCRIPTORS_LOW => queue.set_desc_table_address(Some(value), None),
            register::DESCRIPTORS_HIGH => queue.set_desc_table_address(None, Some(value)),
            register::AVAILABLE_LOW => queue.set_avail_ring_address(Some(value), None),
            register::AVAILABLE_HIGH => queue.set_avail_ring_address(None, Some(value)),
            register::USED_LOW => queue.set_used_ring_address(Some(value), None),
            register::USED_HIGH => queue.set_used_ring_address(None, Some(value)),
            _ => {}
        }
    }

    fn set_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset();
        }
        let added = value & !self.status;
        let next = |bit, before| added & bit != 0 && self.has(before);
        let acknowledge = added & status::ACKNOWLEDGE;
        let mut status = self.status | acknowledge | added & status::FAILED;
        if next(status::DRIVER, 0) && status & status::ACKNOWLEDGE != 0 {
            status |= status::DRIVER;
        }
        if next(status::FEATURES_OK, status::DRIVER) && self.agreed() {
            status |= status::FEATURES_OK;
        }
        let ready = next(status::DRIVER_OK, status::FEATURES_OK);
        self.status = status;
        if ready {
            self.ready();
        }
    }

    fn ready(&mut self) {
        self.status |= status::DRIVER_OK;
        for queue in &mut self.queues {
            queue.set_event_idx(self.driver_features & EVENT_INDEX != 0);
        }
        let memory = &self.memory;
        if self.queues.iter().any(|queue| queue.ready() && !queue.is_valid(memory)) {
            self.status |= status::NEEDS_RESET;
            self.raise(CONFIGURATION);
            return;
        }
        self.device.activate(self.driver_features);
    }

    fn reset(&mut self) {
        self.device.reset();
        self.queues.iter_mut().for_each(Queue::reset);
        self.status = 0;
        (self.device_features_select, self.driver_features_select) = (0, 0);
        (self.driver_features, self.queue_select, self.interrupt_status) = (0, 0, 0);
    }
}

/// One of the two words of a number.
fn word(value: u64, select: u32) -> u32 {
    match select {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
