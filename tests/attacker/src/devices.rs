//! Registers and queues of virtio devices (virtio 1.2, sections 2.7 and 4.2).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;

use crate::memory::{Memory, PAGE};
use crate::{Failure, Random};

/// Registers that are used by name.
mod register {
    pub const FEATURES: usize = 0x10;
    pub const FEATURES_SELECT: usize = 0x14;
    pub const CHOSEN: usize = 0x20;
    pub const CHOSEN_SELECT: usize = 0x24;
    pub const QUEUE: usize = 0x30;
    pub const SIZE: usize = 0x38;
    pub const READY: usize = 0x44;
    pub const NOTIFY: usize = 0x50;
    pub const STATUS: usize = 0x70;
    pub const TABLE: usize = 0x80;
    pub const AVAILABLE: usize = 0x90;
    pub const USED: usize = 0xa0;
}

/// Entries of a queue that makes sense, and the queues of a device that are set up.
const ENTRIES: u16 = 16;
const QUEUES: usize = 3;

/// All devices.
pub struct Devices {
    /// Their registers.
    registers: Vec<*mut u8>,
    /// How many requests were put into each of their queues.
    added: Vec<[u16; QUEUES]>,
}

impl Devices {
    /// Takes all devices from their drivers.
    pub fn open() -> Result<Self, Failure> {
        let mut places = Vec::new();
        for entry in fs::read_dir("/sys/bus/platform/drivers/virtio-mmio")? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("LNRO0005") {
                fs::write("/sys/bus/platform/drivers/virtio-mmio/unbind", &name)?;
                places.push(());
            }
        }
        let memory = File::options().read(true).write(true).open("/dev/mem")?;
        let mut registers = Vec::new();
        for number in 0..places.len() {
            let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
            let at = 0xd000_0000 + (number * PAGE) as libc::off_t;
            let fd = memory.as_raw_fd();
            // SAFETY: a new mapping of a device's registers.
            let base = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, flags, fd, at) };
            if base == libc::MAP_FAILED {
                return Err(io::Error::last_os_error().into());
            }
            registers.push(base.cast());
        }
        if registers.is_empty() {
            return Err("there are no virtio devices".into());
        }
        let added = vec![[0; QUEUES]; registers.len()];
        Ok(Self { registers, added })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.registers.len()
    }

    /// Starts all of them over.
    pub fn reset(&self) {
        for device in 0..self.count() {
            self.write(device, register::STATUS, 0);
        }
    }

    /// Does something to one of them.
    pub fn attack(&mut self, memory: &Memory, random: &mut Random) {
        let device = random.below(self.count() as u64) as usize;
        match random.below(32) {
            0 => self.set_up(device, memory, random),
            1 => self.write(device, register::STATUS, random.number() as u32),
            2..4 => self.write(device, random.below(0x110) as usize & !3, random.number() as u32),
            4..6 => self.odd_width(device, random),
            6 => memory.write(
                random.number() as usize,
                random.number() as usize,
                &random.number().to_le_bytes(),
            ),
            7..9 => self.write(device, register::NOTIFY, random.below(5) as u32),
            _ => self.request(device, memory, random),
        }
    }

    fn write(&self, device: usize, offset: usize, value: u32) {
        if let Some(base) = self.registers.get(device) {
            // SAFETY: the registers of a device are a page.
            unsafe { base.add(offset % PAGE).cast::<u32>().write_volatile(value) };
        }
    }

    fn read(&self, device: usize, offset: usize) -> u32 {
        let base = self.registers.get(device);
        // SAFETY: as above.
        base.map_or(0, |base| unsafe { base.add(offset % PAGE).cast::<u32>().read_volatile() })
    }

    fn odd_width(&self, device: usize, random: &mut Random) {
        let offset = random.below(PAGE as u64 - 8) as usize;
        let Some(base) = self.registers.get(device) else { return };
        // SAFETY: the offset leaves eight bytes of the page, and these instructions take any alignment.
        unsafe {
            let at = base.add(offset);
            match random.below(6) {
                0 => at.write_volatile(random.number() as u8),
                1 => at.cast::<u16>().write_unaligned(random.number() as u16),
                2 => at.cast::<u64>().write_unaligned(random.number()),
                3 => drop(at.read_volatile()),
                4 => drop(std::hint::black_box(at.cast::<u16>().read_unaligned())),
                _ => drop(std::hint::black_box(at.cast::<u64>().read_unaligned())),
            }
        }
    }

    /// The pages of a queue: table, rings of what is available and of what was used.
    fn page(device: usize, queue: usize) -> usize {
        (device % 4) * 3 * QUEUES + queue * 3
    }

    /// As drivers do it; sometimes with something wrong.
    fn set_up(&mut self, device: usize, memory: &Memory, random: &mut Random) {
        self.write(device, register::STATUS, 0);
        self.write(device, register::STATUS, 1);
        self.write(device, register::STATUS, 3);
        for half in 0..2 {
            self.write(device, register::FEATURES_SELECT, half);
            let offered = self.read(device, register::FEATURES);
            let refused =
                if half == 0 { random.number() as u32 & random.number() as u32 } else { 0 };
            self.write(device, register::CHOSEN_SELECT, half);
            self.write(device, register::CHOSEN, offered & !refused);
        }
        self.write(device, register::STATUS, 11);
        for queue in 0..QUEUES {
            let page = Self::page(device, queue);
            self.write(device, register::QUEUE, queue as u32);
            self.write(device, register::SIZE, ENTRIES.into());
            for (place, register) in
                [register::TABLE, register::AVAILABLE, register::USED].into_iter().enumerate()
            {
                let address = match random.once_in(64) {
                    true => memory.some_address(512, random),
                    false => memory.physical(page + place),
                };
                self.write(device, register, address as u32);
                self.write(device, register + 4, (address >> 32) as u32);
                memory.write(page + place, 0, &[0; PAGE]);
            }
            if random.once_in(32) {
                self.write(device, register::SIZE, random.number() as u32);
            }
            self.write(device, register::READY, 1);
        }
        if let Some(added) = self.added.get_mut(device) {
            *added = [0; QUEUES];
        }
        self.write(device, register::STATUS, 15);
    }

    /// Puts a request of some descriptors into a queue.
    fn request(&mut self, device: usize, memory: &Memory, random: &mut Random) {
        let queue = random.below(QUEUES as u64) as usize;
        let page = Self::page(device, queue);
        let (first, count) = (random.below(ENTRIES.into()) as u16, random.below(4) as u16);
        for place in 0..=count {
            let index = (first + place) % ENTRIES;
            let mut next = (index + 1) % ENTRIES;
            let mut flags = u16::from(place < count) | (random.below(2) as u16) << 1;
            let mut length = [1, 12, 16, 44, 512, 4096][random.below(6) as usize];
            if random.once_in(64) {
                (next, flags, length) =
                    (random.number() as u16, random.number() as u16, random.number() as u32);
            }
            let mut bytes = memory.some_address(length, random).to_le_bytes().to_vec();
            bytes.extend(length.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend(next.to_le_bytes());
            memory.write(page, usize::from(index) * 16, &bytes);
        }
        // What requests begin with: kinds and places that disks know.
        let mut header =
            [0_u32, 1, 4, 8, 11, 13, 99][random.below(7) as usize].to_le_bytes().to_vec();
        header.extend([0; 4]);
        header.extend((random.number() >> random.below(64)).to_le_bytes());
        memory.write(random.number() as usize, random.number() as usize, &header);
        let Some(added) = self.added.get_mut(device).and_then(|added| added.get_mut(queue)) else {
            return;
        };
        memory.write(page + 1, 4 + usize::from(*added % ENTRIES) * 2, &first.to_le_bytes());
        *added = match random.once_in(256) {
            true => random.number() as u16,
            false => added.wrapping_add(1),
        };
        memory.write(page + 1, 2, &added.to_le_bytes());
        self.write(device, register::NOTIFY, queue as u32);
    }
}
