//! The kernel log of a partition that may have written anything anywhere.

#![no_main]

use boot::kernel_log::{Anchor, KernelLog, ReadMemory};
use boot::units::PhysAddr;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;

const BASE: u64 = 32 << 20;
const LINKED_AT: u64 = 16 << 20;
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// Memory from [`BASE`] on, the input over and over again: so a few bytes fill the largest ring.
struct Memory<'a> {
    bytes: &'a [u8],
    size: u64,
}

impl ReadMemory for Memory<'_> {
    fn read(&self, address: PhysAddr, buffer: &mut [u8]) -> bool {
        let Some(start) = address.0.checked_sub(BASE) else { return false };
        if start.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return false;
        }
        let mut at = start as usize % self.bytes.len();
        let mut rest = buffer;
        while !rest.is_empty() {
            let piece = &self.bytes[at..];
            let count = piece.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&piece[..count]);
            (rest, at) = (later, 0);
        }
        true
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (flags, from) = (input.u8(), u64::from(input.u8()));
    let ring = KERNEL_MAP + LINKED_AT + u64::from(input.u16());
    let pointer = KERNEL_MAP + LINKED_AT + u64::from(input.u16());
    if input.0.is_empty() {
        return;
    }
    let anchor = Anchor { ring, pointers: vec![pointer], has_last_finalized: flags & 1 != 0 };
    let repeated = if flags & 2 == 0 { 1 } else { 64 };
    let memory = Memory { bytes: input.0, size: input.0.len() as u64 * repeated };
    let log = KernelLog::new(anchor, PhysAddr(LINKED_AT), PhysAddr(BASE));
    if let Ok(records) = log.read(&memory, from) {
        assert!(records.len() <= 8192);
        assert!(records.iter().all(|record| record.sequence >= from && record.level < 8));
        let text: usize = records.iter().map(|record| record.text.len()).sum();
        assert!(text <= 2 << 20, "{text} bytes of text at once");
    }
});
