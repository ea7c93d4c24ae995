use std::sync::atomic::{AtomicU32, Ordering};

use virtio_queue::mock::MockSplitQueue;
use vm_memory::{Address as _, Bytes as _, GuestAddress};

use super::*;
use crate::kvm::devices::Device as _;
use crate::kvm::virtio::rng::Rng;

const MEBIBYTE: usize = 1 << 20;

pub(super) struct Bench {
    pub mmio: Mmio,
    pub memory: PartitionMemory,
    pub interrupts: Arc<AtomicU32>,
}

pub(super) fn bench() -> Bench {
    let memory = PartitionMemory::from_ranges(&[(GuestAddress(0), MEBIBYTE)]).unwrap();
    let interrupts = Arc::new(AtomicU32::new(0));
    let heard = interrupts.clone();
    let rng = Rng::new(Box::new(|bytes| {
        bytes.fill(7);
        Ok(())
    }));
    let raise = Box::new(move || {
        heard.fetch_add(1, Ordering::SeqCst);
    });
    let mmio = Mmio::new(Box::new(rng), memory.clone(), raise);
    Bench { mmio, memory, interrupts }
}

impl Bench {
    pub fn read(&mut self, offset: u64) -> u32 {
        let mut data = [0xff; 4];
        self.mmio.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    pub fn write(&mut self, offset: u64, value: u32) {
        self.mmio.write(offset, &value.to_le_bytes());
    }

    pub fn agree(&mut self) {
        self.write(register::STATUS, status::ACKNOWLEDGE);
        self.write(register::STATUS, status::ACKNOWLEDGE | status::DRIVER);
        self.write(register::DRIVER_FEATURES_SELECT, 1);
        self.write(register::DRIVER_FEATURES, 1);
        let status = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        self.write(register::STATUS, status);
        assert_eq!(self.read(register::STATUS), status);
    }

    pub fn set_up(&mut self, queue: &MockSplitQueue<'_, PartitionMemory>) {
        self.write(register::QUEUE_SELECT, 0);
        self.write(register::QUEUE_SIZE, 16);
        self.write(register::DESCRIPTORS_LOW, queue.desc_table_addr().0 as u32);
        self.write(register::AVAILABLE_LOW, queue.avail_addr().0 as u32);
        self.write(register::USED_LOW, queue.used_addr().0 as u32);
        self.write(register::QUEUE_READY, 1);
    }

    pub fn ready(&mut self) {
        let all = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;
        self.write(register::STATUS, all);
    }
}

/// One request for 32 bytes at 0x8000.
pub(super) fn ask(queue: &MockSplitQueue<'_, PartitionMemory>) {
    let write = virtio_bindings::virtio_ring::VRING_DESC_F_WRITE as u16;
    let descriptor = virtio_queue::desc::split::Descriptor::new(0x8000, 32, write, 0);
    queue.build_desc_chain(&[descriptor.into()]).unwrap();
}

#[test]
fn a_driver_gets_what_it_asks_for() {
    let mut bench = bench();
    let memory = bench.memory.clone();
    let queue = MockSplitQueue::new(&memory, 16);
    assert_eq!(bench.read(register::MAGIC), 0x7472_6976);
    assert_eq!(bench.read(register::DEVICE_ID), 4);
    bench.agree();
    bench.set_up(&queue);
    bench.ready();
    ask(&queue);
    bench.write(NOTIFY, 0);
    let mut bytes = [0; 33];
    bench.memory.read_slice(&mut bytes, GuestAddress(0x8000)).unwrap();
    assert_eq!((&bytes[..32], bytes[32]), (&[7; 32][..], 0));
    assert_eq!(bench.interrupts.load(Ordering::SeqCst), 1);
    assert_eq!(bench.read(register::INTERRUPT_STATUS), USED);
    bench.write(register::INTERRUPT_ACKNOWLEDGE, USED);
    assert_eq!(bench.read(register::INTERRUPT_STATUS), 0);
    assert_eq!(bench.mmio.counts().0.requests, 1);
}

#[test]
fn nothing_is_served_before_the_driver_is_ready() {
    let mut bench = bench();
    let memory = bench.memory.clone();
    let queue = MockSplitQueue::new(&memory, 16);
    bench.agree();
    bench.set_up(&queue);
    ask(&queue);
    bench.write(NOTIFY, 0);
    bench.mmio.notified(0);
    assert_eq!(bench.mmio.counts().0.requests, 0);
    bench.ready();
    bench.mmio.notified(7);
    assert_eq!(bench.mmio.counts().0.requests, 0);
    bench.mmio.notified(0);
    assert_eq!(bench.mmio.counts().0.requests, 1);
}

/// CVE-2026-5747: queues that were moved after they were checked.
#[test]
fn queues_cannot_be_changed_once_the_driver_is_ready() {
    let mut bench = bench();
    let memory = bench.memory.clone();
    let queue = MockSplitQueue::new(&memory, 16);
    bench.agree();
    bench.set_up(&queue);
    bench.ready();
    bench.write(register::DESCRIPTORS_LOW, 0xffff_f000);
    bench.write(register::USED_HIGH, 0xffff_ffff);
    bench.write(register::QUEUE_SIZE, 8);
    ask(&queue);
    bench.write(NOTIFY, 0);
    assert_eq!(bench.mmio.counts().0.requests, 1, "it is where it was");
    assert_eq!(bench.read(register::STATUS) & status::NEEDS_RESET, 0);
}

/// firecracker#5818: sizes that a queue cannot have.
#[test]
fn impossible_queues_stop_the_device_until_it_is_reset() {
    for (register, value) in [
        (register::QUEUE_SIZE, 0),
        (register::QUEUE_SIZE, 3),
        (register::QUEUE_SIZE, 65536),
        (register::QUEUE_SIZE, 128),
        (register::DESCRIPTORS_LOW, 0xffff_fff0),
        (register::USED_HIGH, 0xffff_ffff),
        (register::AVAILABLE_LOW, (MEBIBYTE - 2) as u32),
    ] {
        let mut bench = bench();
        let memory = bench.memory.clone();
        let queue = MockSplitQueue::new(&memory, 16);
        bench.agree();
        bench.set_up(&queue);
        bench.write(register, value);
        bench.ready();
        ask(&queue);
        bench.write(NOTIFY, 0);
        // A size that cannot be had leaves the one before.
        let kept = register == register::QUEUE_SIZE;
        let served = bench.mmio.counts().0.requests == 1;
        assert_eq!(served, kept, "{register:#x} = {value:#x}");
        let needs = bench.read(register::STATUS) & status::NEEDS_RESET != 0;
        assert_eq!(needs, !kept, "{register:#x} = {value:#x}");
        bench.write(register::STATUS, 0);
        assert_eq!(bench.read(register::STATUS), 0);
        assert_eq!(bench.read(register::QUEUE_READY), 0);
    }
}

#[test]
fn an_index_that_makes_no_sense_stops_the_device() {
    let mut bench = bench();
    let memory = bench.memory.clone();
    let queue = MockSplitQueue::new(&memory, 16);
    bench.agree();
    bench.set_up(&queue);
    bench.ready();
    bench.memory.write_obj(1000_u16, queue.avail_addr().unchecked_add(2)).unwrap();
    bench.write(NOTIFY, 0);
    assert_ne!(bench.read(register::STATUS) & status::NEEDS_RESET, 0);
    assert_eq!(bench.read(register::INTERRUPT_STATUS), CONFIGURATION);
    assert_eq!(bench.interrupts.load(Ordering::SeqCst), 1);
    bench.write(NOTIFY, 0);
    assert_eq!(bench.mmio.counts().0.served, 1, "it waits for its reset");
}

#[test]
fn features_that_were_not_offered_are_not_agreed_to() {
    let mut bench = bench();
    bench.write(register::STATUS, status::ACKNOWLEDGE);
    bench.write(register::DRIVER_FEATURES, 1 << 29);
    bench.write(register::STATUS, status::ACKNOWLEDGE | status::DRIVER);
    let all = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
    bench.write(register::STATUS, all);
    assert_eq!(bench.read(register::STATUS), status::ACKNOWLEDGE | status::DRIVER, "no version 1");
    bench.write(register::DRIVER_FEATURES, 1 << 3);
    bench.write(register::DRIVER_FEATURES_SELECT, 1);
    bench.write(register::DRIVER_FEATURES, 1);
    bench.write(register::DRIVER_FEATURES_SELECT, 2);
    bench.write(register::DRIVER_FEATURES, u32::MAX);
    bench.write(register::STATUS, all);
    assert_eq!(bench.read(register::STATUS), status::ACKNOWLEDGE | status::DRIVER, "bit 3");
    bench.ready();
    assert_eq!(bench.read(register::STATUS) & status::DRIVER_OK, 0);
}

/// CH#8237, CH#8506: widths that no driver uses.
#[test]
fn odd_widths_read_all_ones_and_write_nothing() {
    let mut bench = bench();
    for width in [1, 2, 3, 8] {
        let mut data = vec![0xff; width];
        bench.mmio.read(register::MAGIC, &mut data);
        assert_eq!(data, vec![0xff; width]);
        bench.mmio.write(register::STATUS, &vec![1; width]);
    }
    assert_eq!(bench.read(register::STATUS), 0);
    let mut data = [0xff; 8];
    bench.mmio.read(SIZE - 8, &mut data);
    assert_eq!(data, [0; 8], "beyond its configuration");
}

proptest::proptest! {
    /// Whatever is written in whatever order: the states follow each other as the table says, and nothing panics.
    #[test]
    fn any_writes_keep_the_states_in_order(
        writes in proptest::collection::vec((0_u64..0x110, proptest::num::u32::ANY, 0_u32..256), 0..200)
    ) {
        let mut bench = bench();
        for (offset, value, status) in writes {
            match offset % 3 {
                0 => bench.write(register::STATUS, status),
                1 => bench.write(offset & !3, value),
                _ => bench.mmio.write(offset, &value.to_le_bytes()[..(value % 5) as usize]),
            }
            bench.mmio.notified(0);
            let status = bench.read(register::STATUS);
            for (bit, before) in [
                (status::DRIVER, status::ACKNOWLEDGE),
                (status::FEATURES_OK, status::DRIVER),
                (status::DRIVER_OK, status::FEATURES_OK),
                (status::NEEDS_RESET, status::DRIVER_OK),
            ] {
                proptest::prop_assert!(status & bit == 0 || status & before != 0, "{status:#x}");
            }
        }
    }
}
