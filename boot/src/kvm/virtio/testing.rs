//! A driver for tests of devices: queues in memory, requests put into them, and what comes back.

use virtio_queue::{Queue, QueueT as _};
use vm_memory::{Bytes as _, GuestAddress};

use super::Queues;
use crate::memory::PartitionMemory;

/// Descriptors of each queue.
pub const SIZE: u16 = 256;
/// Memory of the driver: its queues are in the first of it.
pub const MEMORY: usize = 4 << 20;
/// From here on tests put what they like.
pub const DATA: u64 = 1 << 20;

/// Bytes that one queue takes.
const STRIDE: u64 = 0x1_0000;
const AVAILABLE: u64 = 0x4000;
const USED: u64 = 0x8000;

/// A driver with so many queues that are ready.
pub struct Driver {
    pub memory: PartitionMemory,
    pub queues: Vec<Queue>,
    /// By queue: requests put in, and requests taken back.
    progress: Vec<(u16, u16)>,
    next_descriptor: Vec<u16>,
}

/// A piece of a request: where, how long, and whether the device writes it.
pub type Part = (u64, u32, bool);

impl Driver {
    pub fn new(queues: u16) -> Self {
        let memory = PartitionMemory::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap();
        let queue = |number: u16| {
            let base = u64::from(number) * STRIDE;
            let mut queue = Queue::new(SIZE).unwrap();
            queue.set_desc_table_address(Some(base as u32), Some(0));
            queue.set_avail_ring_address(Some((base + AVAILABLE) as u32), Some(0));
            queue.set_used_ring_address(Some((base + USED) as u32), Some(0));
            queue.set_ready(true);
            assert!(queue.is_valid(&memory));
            queue
        };
        let queues: Vec<Queue> = (0..queues).map(queue).collect();
        let progress = vec![(0, 0); queues.len()];
        let next_descriptor = vec![0; queues.len()];
        Self { memory, queues, progress, next_descriptor }
    }

    /// Puts a request into a queue, and returns what it is known by.
    pub fn add(&mut self, queue: usize, parts: &[Part]) -> u16 {
        let base = queue as u64 * STRIDE;
        let first = self.next_descriptor[queue];
        for (place, (address, length, writable)) in (1..).zip(parts) {
            let at = self.next_descriptor[queue];
            let next = (at + 1) % SIZE;
            let flags = u16::from(place < parts.len()) | u16::from(*writable) << 1;
            let mut bytes = address.to_le_bytes().to_vec();
            bytes.extend(length.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend(next.to_le_bytes());
            self.memory.write_slice(&bytes, GuestAddress(base + u64::from(at) * 16)).unwrap();
            self.next_descriptor[queue] = next;
        }
        let added = self.progress[queue].0;
        let slot = base + AVAILABLE + 4 + u64::from(added % SIZE) * 2;
        self.memory.write_obj(first, GuestAddress(slot)).unwrap();
        self.progress[queue].0 = added.wrapping_add(1);
        let index = GuestAddress(base + AVAILABLE + 2);
        self.memory.write_obj(added.wrapping_add(1), index).unwrap();
        first
    }

    /// Takes all requests back that are done: what they are known by, and how much was written.
    pub fn done(&mut self, queue: usize) -> Vec<(u16, u32)> {
        let base = queue as u64 * STRIDE + USED;
        let index: u16 = self.memory.read_obj(GuestAddress(base + 2)).unwrap();
        let mut done = Vec::new();
        while self.progress[queue].1 != index {
            let at = base + 4 + u64::from(self.progress[queue].1 % SIZE) * 8;
            let head: u32 = self.memory.read_obj(GuestAddress(at)).unwrap();
            let written: u32 = self.memory.read_obj(GuestAddress(at + 4)).unwrap();
            done.push((head as u16, written));
            self.progress[queue].1 = self.progress[queue].1.wrapping_add(1);
        }
        done
    }

    /// The queues as a device sees them.
    pub fn queues(&mut self) -> Queues<'_> {
        Queues::new(&self.memory, &mut self.queues)
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(at)).unwrap();
    }

    pub fn read(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        bytes
    }
}
