use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use virtio_queue::Queue;
use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::mock::MockSplitQueue;

use super::*;

const WRITE: u16 = virtio_bindings::virtio_ring::VRING_DESC_F_WRITE as u16;
const NEXT: u16 = virtio_bindings::virtio_ring::VRING_DESC_F_NEXT as u16;
/// Where tests put headers, data and status.
const HEADER: u64 = 0x8000;
const DATA: u64 = 0x9000;
const STATUS: u64 = 0xa000;
const SECTORS: u64 = 64;

type EngineOf = fn(&Disk) -> Box<dyn Engine>;
const ENGINES: [EngineOf; 2] = [
    |disk| Box::new(uring::Uring::new(disk).unwrap()),
    |disk| Box::new(threads::Threads::new(disk).unwrap()),
];

struct Bench {
    blk: Blk,
    memory: PartitionMemory,
    queue: Vec<Queue>,
    file: Arc<std::fs::File>,
    /// Requests so far.
    asked: u16,
}

fn bench(engine: EngineOf, read_only: bool) -> Bench {
    let mut file = tempfile::tempfile().unwrap();
    for sector in 0..SECTORS {
        file.write_all(&[sector as u8; SECTOR as usize]).unwrap();
    }
    let file = Arc::new(file);
    let disk = Disk {
        file: file.clone(),
        size: Bytes(SECTORS * SECTOR),
        block: 512,
        device: false,
        read_only,
        name: "a name of more than twenty bytes".to_owned(),
    };
    let memory = PartitionMemory::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    let mock = MockSplitQueue::new(&memory, 16);
    let queue: Queue = mock.create_queue().unwrap();
    let blk = Blk::new(disk.clone(), engine(&disk), Arc::default());
    Bench { blk, memory, queue: vec![queue], file, asked: 0 }
}

fn descriptor(address: u64, length: u32, flags: u16) -> RawDescriptor {
    Descriptor::new(address, length, flags, 0).into()
}

impl Bench {
    fn header(&self, kind: u32, sector: u64) {
        self.memory.write_obj(kind, GuestAddress(HEADER)).unwrap();
        self.memory.write_obj(sector, GuestAddress(HEADER + 8)).unwrap();
        self.memory.write_obj(0xee_u8, GuestAddress(STATUS)).unwrap();
    }

    /// Puts a chain into the queue, waits for its end, and returns how much was written and the status.
    fn ask(&mut self, chain: &[RawDescriptor]) -> (u32, u8) {
        let mock = MockSplitQueue::new(&self.memory, 16);
        let chain: Vec<RawDescriptor> = (1..)
            .zip(chain)
            .map(|(next, each)| {
                let split = Descriptor::from(*each);
                let last = usize::from(next) == chain.len();
                let flags = split.flags() | if last { 0 } else { NEXT };
                Descriptor::new(split.addr().0, split.len(), flags, next).into()
            })
            .collect();
        // The mock begins at the start of its rings.
        mock.build_desc_chain(&chain).unwrap();
        self.memory.write_obj(self.asked + 1, mock.avail_addr().unchecked_add(2)).unwrap();
        let slot = mock.avail_addr().unchecked_add(4 + u64::from(self.asked % 16) * 2);
        self.memory.write_obj(0_u16, slot).unwrap();
        self.asked += 1;
        let mut queues = Queues::new(&self.memory, &mut self.queue);
        self.blk.serve(0, &mut queues).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.blk.pending.is_empty() {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(1));
            self.blk.changed(0, &mut queues).unwrap();
        }
        let used = mock.used_addr();
        let index: u16 = self.memory.read_obj(used.unchecked_add(2)).unwrap();
        assert_eq!(index, self.asked, "it is done once");
        let slot = used.unchecked_add(4 + u64::from((self.asked - 1) % 16) * 8);
        let written: u32 = self.memory.read_obj(slot.unchecked_add(4)).unwrap();
        (written, self.memory.read_obj(GuestAddress(STATUS)).unwrap())
    }

    fn data(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory.read_slice(&mut bytes, GuestAddress(DATA)).unwrap();
        bytes
    }
}

use vm_memory::Address as _;

fn read_of(length: u32) -> [RawDescriptor; 3] {
    [descriptor(HEADER, 16, 0), descriptor(DATA, length, WRITE), descriptor(STATUS, 1, WRITE)]
}

fn write_of(length: u32) -> [RawDescriptor; 3] {
    [descriptor(HEADER, 16, 0), descriptor(DATA, length, 0), descriptor(STATUS, 1, WRITE)]
}

#[test]
fn what_is_written_is_read() {
    for engine in ENGINES {
        let mut bench = bench(engine, false);
        bench.header(0, 3);
        assert_eq!(bench.ask(&read_of(1024)), (1025, 0));
        assert_eq!(bench.data(1024), [[3; 512], [4; 512]].concat());
        bench.memory.write_slice(&[0x77; 512], GuestAddress(DATA)).unwrap();
        bench.header(1, 63);
        assert_eq!(bench.ask(&write_of(512)), (1, 0));
        let mut sector = [0; 512];
        bench.file.read_exact_at(&mut sector, 63 * 512).unwrap();
        assert_eq!(sector, [0x77; 512]);
        bench.header(4, 0);
        let flush = [descriptor(HEADER, 16, 0), descriptor(STATUS, 1, WRITE)];
        assert_eq!(bench.ask(&flush), (1, 0));
        bench.header(8, 0);
        assert_eq!(bench.ask(&read_of(20)), (21, 0));
        assert_eq!(bench.data(20), b"a name of more than ");
        assert_eq!(bench.blk.counts(), [1, 1024, 1, 512, 1, 0]);
    }
}

#[test]
fn ranges_are_given_back_and_become_zeros() {
    for engine in ENGINES {
        let mut bench = bench(engine, false);
        let range = |bench: &Bench, sector: u64, count: u32, flags: u32| {
            bench.memory.write_obj(sector, GuestAddress(DATA)).unwrap();
            bench.memory.write_obj(count, GuestAddress(DATA + 8)).unwrap();
            bench.memory.write_obj(flags, GuestAddress(DATA + 12)).unwrap();
        };
        for (kind, sector) in [(11, 8), (13, 16)] {
            range(&bench, sector, 8, 0);
            bench.header(kind, 0);
            assert_eq!(bench.ask(&write_of(16)), (1, 0));
            let mut bytes = vec![1; 4096];
            bench.file.read_exact_at(&mut bytes, sector * 512).unwrap();
            assert_eq!(bytes, [0; 4096]);
        }
        for (kind, sector, count, flags, said) in [
            (11, 60, 8, 0, 1),
            (11, u64::MAX, 8, 0, 1),
            (13, 0, 0, 0, 1),
            (11, 0, u32::MAX, 0, 1),
            (11, 0, 8, 1, 2),
            (13, 0, 8, 2, 2),
        ] {
            range(&bench, sector, count, flags);
            bench.header(kind, 0);
            assert_eq!(bench.ask(&write_of(16)), (1, said), "{kind} {sector} {count} {flags}");
        }
        bench.header(11, 0);
        assert_eq!(bench.ask(&write_of(32)), (1, 1), "two ranges");
        assert_eq!(bench.ask(&write_of(8)), (1, 1), "half a range");
        assert_eq!(bench.file.metadata().unwrap().len(), SECTORS * SECTOR, "as long as before");
    }
}

#[test]
fn what_is_not_on_the_disk_is_refused() {
    for engine in ENGINES {
        let mut bench = bench(engine, false);
        for (sector, length) in [(64, 512), (63, 1024), (u64::MAX, 512), (1 << 55, 512), (0, 511)] {
            for (kind, chain) in [(0, read_of(length)), (1, write_of(length))] {
                bench.header(kind, sector);
                assert_eq!(bench.ask(&chain), (1, 1), "{kind} {sector} {length}");
            }
        }
        bench.header(7, 0);
        assert_eq!(bench.ask(&read_of(512)), (1, 2), "there is no such request");
        bench.header(0, 0);
        let outside = [
            descriptor(HEADER, 16, 0),
            descriptor((1 << 20) - 256, 512, WRITE),
            descriptor(STATUS, 1, WRITE),
        ];
        assert_eq!(bench.ask(&outside), (1, 1));
        let short = [descriptor(HEADER, 15, 0), descriptor(STATUS, 1, WRITE)];
        assert_eq!(bench.ask(&short), (1, 1));
        let nowhere = [descriptor(HEADER, 16, 0)];
        assert_eq!(bench.ask(&nowhere).0, 0, "there is no place for a status");
        let mut split = read_of(512).to_vec();
        split.splice(0..1, [descriptor(HEADER, 5, 0), descriptor(HEADER + 5, 11, 0)]);
        assert_eq!(bench.ask(&split), (513, 0), "a header may come in pieces");
    }
}

#[test]
fn a_disk_that_is_only_read_stays_as_it_is() {
    let mut bench = bench(ENGINES[0], true);
    assert_eq!(bench.blk.features() & feature::READ_ONLY, feature::READ_ONLY);
    for kind in [1, 11, 13] {
        bench.header(kind, 0);
        assert_eq!(bench.ask(&write_of(512)), (1, 1));
    }
    let mut sector = [9; 512];
    bench.file.read_exact_at(&mut sector, 0).unwrap();
    assert_eq!(sector, [0; 512]);
}

/// A disk that vanishes: requests fail, and nothing else happens.
#[test]
fn a_disk_that_becomes_shorter_fails_its_requests() {
    for engine in ENGINES {
        let mut bench = bench(engine, false);
        bench.file.set_len(256).unwrap();
        bench.header(0, 0);
        assert_eq!(bench.ask(&read_of(512)), (1, 1));
        bench.header(0, 8);
        assert_eq!(bench.ask(&read_of(512)), (1, 1));
    }
}

/// CVE-2026-45782: nothing is written into a guest's memory after its driver has started over.
#[test]
fn a_reset_waits_for_what_is_worked_on() {
    for engine in ENGINES {
        let mut bench = bench(engine, false);
        for _ in 0..50 {
            bench.header(0, 3);
            let mock = MockSplitQueue::new(&bench.memory, 16);
            let mut chain = read_of(4096);
            for (next, each) in (1..).zip(&mut chain) {
                let split = Descriptor::from(*each);
                let flags = split.flags() | if next == 3 { 0 } else { NEXT };
                *each = Descriptor::new(split.addr().0, split.len(), flags, next).into();
            }
            mock.build_desc_chain(&chain).unwrap();
            bench.queue = vec![mock.create_queue().unwrap()];
            let mut queues = Queues::new(&bench.memory, &mut bench.queue);
            bench.blk.serve(0, &mut queues).unwrap();
            bench.blk.reset();
            bench.memory.write_slice(&[0; 4096], GuestAddress(DATA)).unwrap();
            std::thread::sleep(Duration::from_micros(200));
            assert_eq!(bench.data(4096), [0; 4096]);
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_chain_panics(
        kind in 0_u32..16,
        sector in proptest::num::u64::ANY,
        chain in proptest::collection::vec((0_u64..0x12_0000, 0_u32..0x3000, proptest::bool::ANY), 1..8),
    ) {
        let mut bench = bench(ENGINES[1], false);
        bench.header(kind, sector);
        let chain: Vec<_> = chain
            .into_iter()
            .map(|(at, length, writable)| descriptor(at, length, if writable { WRITE } else { 0 }))
            .collect();
        // What comes of it does not matter; the rings themselves may be written over.
        let mock = MockSplitQueue::new(&bench.memory, 16);
        mock.build_desc_chain(&chain).unwrap();
        let mut queues = Queues::new(&bench.memory, &mut bench.queue);
        let _ = bench.blk.serve(0, &mut queues);
        bench.blk.reset();
    }
}
