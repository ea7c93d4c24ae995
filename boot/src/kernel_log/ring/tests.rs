use super::*;

/// A kernel linked at 16 MiB and loaded at 32 MiB, with a ring of 16 records and 256 bytes.
struct Kernel {
    memory: Vec<u8>,
}

const BASE: u64 = 32 << 20;
const RING: u64 = 0x1000;
const DESCRIPTORS: u64 = 0x2000;
const INFOS: u64 = 0x3000;
const TEXT: u64 = 0x5000;

impl ReadMemory for Kernel {
    fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool {
        let Some(start) = address.0.checked_sub(BASE) else { return false };
        let Some(end) = (start as usize).checked_add(buffer.len()) else { return false };
        match self.memory.get(start as usize..end) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

impl Kernel {
    fn new(count: u64) -> Self {
        let mut kernel = Self { memory: vec![0; 0x6000] };
        let virtual_address = |offset: u64| KERNEL_MAP + (16 << 20) + offset;
        kernel.put(RING, &[4, virtual_address(DESCRIPTORS), virtual_address(INFOS)]);
        kernel.put(RING + 40, &[8, virtual_address(TEXT)]);
        let mut position = 0_u64;
        for sequence in 0..count {
            let id = 100 + sequence;
            let text = format!("this is line {sequence}");
            let size = 8 + (text.len() as u64).next_multiple_of(8);
            let (begin, mut start) = (position, position % 256);
            let mut next = begin + size;
            if begin / 256 != (next - 1) / 256 {
                start = 0;
                next = (begin / 256 + 1) * 256 + size;
            }
            let slot = id % 16;
            kernel.put(DESCRIPTORS + slot * 24, &[2 << 62 | id, begin, next]);
            let flags = (text.len() as u64) | 6 << 29;
            kernel.put(INFOS + slot * 88, &[sequence, sequence * 1000, flags]);
            kernel.put(TEXT + start, &[id]);
            let at = (TEXT + start + 8) as usize;
            kernel.memory[at..at + text.len()].copy_from_slice(text.as_bytes());
            position = next;
        }
        let tail = 100 + count.saturating_sub(16);
        kernel.put(RING + 24, &[99 + count, tail]);
        kernel
    }

    fn put(&mut self, at: u64, words: &[u64]) {
        for (index, word) in words.iter().enumerate() {
            let at = at as usize + index * 8;
            self.memory[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
    }
}

fn log() -> KernelLog {
    let anchor = Anchor {
        ring: KERNEL_MAP + (16 << 20) + RING,
        pointers: vec![],
        has_last_finalized: false,
    };
    KernelLog::new(anchor, PhysAddr(16 << 20), PhysAddr(BASE))
}

#[test]
fn reads_records_in_order() {
    let records = log().read(&Kernel::new(5), 0).unwrap();
    let texts: Vec<_> = records.iter().map(|r| String::from_utf8_lossy(&r.text)).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4"].map(|n| format!("this is line {n}")));
    assert_eq!(records[4].level, 6);
    assert_eq!(records[4].nanoseconds, 4000);
    let later = log().read(&Kernel::new(5), 3).unwrap();
    assert_eq!(later.len(), 2);
}

#[test]
fn a_ring_that_wrapped_gives_what_is_left() {
    let records = log().read(&Kernel::new(40), 0).unwrap();
    assert_eq!(records.len(), 16);
    assert_eq!(records[15].sequence, 39);
    // 256 bytes hold fewer texts than 16 descriptors; the oldest have been overwritten.
    assert_eq!(records[15].text, b"this is line 39");
    assert!(records.iter().any(|record| record.text.is_empty()));
}

#[test]
fn texts_that_overlap_do_not_become_more_memory_than_there_is() {
    const COUNT: u64 = 4096;
    const TEXT: u64 = 0x8_0000;
    let mut kernel = Kernel { memory: vec![0; 0x20_0000] };
    let virtual_address = |offset: u64| KERNEL_MAP + (16 << 20) + offset;
    let infos = DESCRIPTORS + COUNT * DESCRIPTOR;
    kernel.put(RING, &[12, virtual_address(DESCRIPTORS), virtual_address(infos)]);
    kernel.put(RING + 24, &[COUNT - 1, 0, 20, virtual_address(TEXT)]);
    for id in 0..COUNT {
        let begin = id * 8;
        kernel.put(DESCRIPTORS + id * DESCRIPTOR, &[2 << 62 | id, begin, begin + 0x1_0008]);
        kernel.put(infos + id * 88, &[id, 0, 0xffff]);
        kernel.put(TEXT + begin, &[id]);
    }
    let mut read = 0;
    while read < COUNT {
        let records = log().read(&kernel, read).unwrap();
        assert_eq!(records.first().map(|record| record.sequence), Some(read));
        assert_eq!(records[0].text.len(), 0xffff);
        assert!(records.iter().map(|record| record.text.len()).sum::<usize>() <= 2 << 20);
        read += records.len() as u64;
    }
}

/// Memory that counts how often it is read.
struct Counted(Kernel, std::cell::Cell<usize>);

impl ReadMemory for Counted {
    fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool {
        self.1.set(self.1.get() + 1);
        self.0.read(address, buffer)
    }
}

#[test]
fn a_ring_of_millions_costs_no_more_than_a_large_one() {
    let reads = |kernel: Kernel, from| {
        let memory = Counted(kernel, std::cell::Cell::new(0));
        let found = log().read(&memory, from).map(|records| records.len());
        (memory.1.get(), found)
    };
    // Nothing in it but its size.
    let mut empty = Kernel::new(0);
    empty.put(RING, &[24]);
    empty.put(RING + 24, &[(1 << 24) - 1, 0]);
    let (count, found) = reads(empty, 0);
    assert!(count <= MAX_LOOKS + 16, "{count}");
    assert_eq!(found, Ok(0));
    // What has been read already is not looked at again.
    let (all, _) = reads(Kernel::new(16), 0);
    let (last, found) = reads(Kernel::new(16), 15);
    assert_eq!(found, Ok(1));
    assert!(last + 30 < all, "{last} of {all}");
}

proptest::proptest! {
    #[test]
    fn no_memory_panics(
        noise in proptest::collection::vec((0u64..0xbf0, proptest::num::u64::ANY), 0..40),
        has_last_finalized: bool,
    ) {
        let mut kernel = Kernel::new(20);
        for (word, value) in noise {
            kernel.put(word * 8, &[value]);
        }
        let mut log = log();
        log.anchor.has_last_finalized = has_last_finalized;
        log.anchor.pointers = vec![KERNEL_MAP, u64::MAX, 0];
        let _ = log.read(&kernel, 0);
    }
}
