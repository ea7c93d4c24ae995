//! Registers and queues of virtual devices, by a driver that does anything in any order.

#![no_main]

use std::fs::File;
use std::sync::Arc;

use boot::kvm::devices::Device as _;
use boot::kvm::virtio::Device;
use boot::kvm::virtio::blk::{self, Disk};
use boot::kvm::virtio::mmio::Mmio;
use boot::kvm::virtio::rng::Rng;
use boot::memory::PartitionMemory;
use boot::units::Bytes;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use vm_memory::{Bytes as _, GuestAddress};

/// Two pieces, so that something lies across the end of one.
const MEMORY: usize = 128 << 10;
/// Where the queues of a driver are that sets them up well: a table and two rings, 4 KiB each.
const QUEUES: u64 = 0x4000;
const QUEUE: u64 = 0x3000;
const SIZE: u16 = 16;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let ranges = [(GuestAddress(0), MEMORY / 2), (GuestAddress(MEMORY as u64), MEMORY / 2)];
    let memory = PartitionMemory::from_ranges(&ranges).expect("memory");
    let device = device(input.u8());
    let watched = device.watched().len();
    let mut driver =
        Driver { mmio: Mmio::new(device, memory.clone(), Box::new(|| ())), memory, added: [0; 4] };
    while !input.0.is_empty() {
        match input.u8() % 12 {
            0 => driver.write(u64::from(input.u8()) * 4, input.u32()),
            1 => {
                let (offset, width) = (input.u16(), usize::from(input.u8() % 9));
                driver.mmio.read(offset.into(), &mut vec![0xff; width]);
            }
            2 => {
                let (offset, width) = (input.u16(), usize::from(input.u8() % 9));
                let bytes = input.bytes(width).to_vec();
                driver.mmio.write(offset.into(), &bytes);
            }
            3 => driver.mmio.notified(input.u8().into()),
            4 => driver.mmio.notified((input.u8() % 4).into()),
            5 => {
                let at = GuestAddress(u64::from(input.u16()) * 4);
                let count = usize::from(input.u8());
                let _ = driver.memory.write(input.bytes(count), at);
            }
            6 => driver.set_up(input.u8()),
            7 => driver.write(0x70, 0),
            8 if watched > 0 => driver.mmio.changed(usize::from(input.u8()) % watched),
            _ => driver.add(&mut input),
        }
    }
    // Whatever was done to it, it can be started over.
    driver.write(0x70, 0);
    driver.set_up(0);
    assert_eq!(driver.read(0x70), 15);
});

struct Driver {
    mmio: Mmio,
    memory: PartitionMemory,
    /// Requests that were put into each queue.
    added: [u16; 4],
}

impl Driver {
    fn read(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.mmio.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.mmio.write(offset, &value.to_le_bytes());
    }

    /// As drivers do it, with features of the device's choice less some.
    fn set_up(&mut self, refused: u8) {
        self.write(0x70, 0);
        self.write(0x70, 1);
        self.write(0x70, 3);
        self.write(0x14, 0);
        let offered = self.read(0x10);
        self.write(0x24, 0);
        self.write(0x20, offered & !(u32::from(refused) * 0x0101_0101));
        self.write(0x24, 1);
        self.write(0x20, 1);
        self.write(0x70, 11);
        for queue in 0..4_u32 {
            let base = QUEUES as u32 + queue * QUEUE as u32;
            self.write(0x30, queue);
            self.write(0x38, SIZE.into());
            self.write(0x80, base);
            self.write(0x90, base + 0x1000);
            self.write(0xa0, base + 0x2000);
            self.write(0x44, 1);
        }
        for page in 0..12 {
            let at = GuestAddress(QUEUES + page * 0x1000);
            self.memory.write_slice(&[0; 256], at).expect("memory");
        }
        self.added = [0; 4];
        self.write(0x70, 15);
    }

    /// A request of a few descriptors that mostly make sense.
    fn add(&mut self, input: &mut Input<'_>) {
        let which = usize::from(input.u8() % 4);
        let base = QUEUES + which as u64 * QUEUE;
        let (first, count) = (u16::from(input.u8()) % SIZE, u16::from(input.u8() % 5));
        for place in 0..=count {
            let last = place == count;
            let address = u64::from(input.u16()) * 4;
            let length = match input.u8() {
                0 => input.u32(),
                length => length.into(),
            };
            let flags = u16::from(input.u8() & 2) | u16::from(!last);
            let index = (first + place) % SIZE;
            let next = (index + 1) % SIZE;
            let mut bytes = address.to_le_bytes().to_vec();
            bytes.extend(length.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend(next.to_le_bytes());
            let at = GuestAddress(base + u64::from(index) * 16);
            self.memory.write_slice(&bytes, at).expect("memory");
            // What the request begins with, as devices read it.
            if place == 0 && length < 64 {
                let _ = self.memory.write(input.bytes(length as usize), GuestAddress(address));
            }
        }
        let Some(added) = self.added.get_mut(which) else { return };
        let at = base + 0x1000 + 4 + u64::from(*added % SIZE) * 2;
        *added = added.wrapping_add(1);
        let added = *added;
        self.memory.write_obj(first, GuestAddress(at)).expect("memory");
        self.memory.write_obj(added, GuestAddress(base + 0x1002)).expect("memory");
        self.mmio.notified(which as u16);
    }
}

fn device(which: u8) -> Box<dyn Device> {
    match which % 3 {
        0 => Box::new(Rng::new(Box::new(|bytes| {
            bytes.fill(7);
            Ok(())
        }))),
        read_only => {
            let name = "data".to_owned();
            let (file, size) = (Arc::new(file()), Bytes::kib(64));
            let read_only = read_only == 1;
            let disk = Disk { file, size, block: 512, device: false, read_only, name };
            Box::new(blk::open(disk).expect("a disk"))
        }
    }
}

/// A file in memory.
fn file() -> File {
    let file = tempfile::tempfile_in(fuzz::scratch().expect("/dev/shm")).expect("a file");
    file.set_len(64 << 10).expect("its size");
    file
}
