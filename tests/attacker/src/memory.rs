//! Memory of this program, and where it lies physically.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::{Failure, Random};

pub const PAGE: usize = 4096;
const PAGES: usize = 64;

/// Pages that stay where they are.
pub struct Memory {
    base: *mut u8,
    /// Where each of them is.
    physical: Vec<u64>,
}

impl Memory {
    /// Takes pages and finds out where they lie.
    pub fn take() -> Result<Self, Failure> {
        let length = PAGES * PAGE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_LOCKED | libc::MAP_POPULATE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of nobody's.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        let map = File::open("/proc/self/pagemap")?;
        let mut physical = Vec::new();
        for page in 0..PAGES {
            let mut word = [0; 8];
            map.read_exact_at(&mut word, ((base as usize / PAGE + page) * 8) as u64)?;
            // Bits 0 to 54 are the page's number, 63 that there is one (Documentation/admin-guide/mm/pagemap.rst).
            let entry = u64::from_le_bytes(word);
            if entry >> 63 == 0 || entry << 9 == 0 {
                return Err("where its memory lies is not told: root is needed".into());
            }
            physical.push((entry & ((1 << 55) - 1)) * PAGE as u64);
        }
        Ok(Self { base: base.cast(), physical })
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.physical.len()
    }

    /// Where a page lies.
    pub fn physical(&self, page: usize) -> u64 {
        self.physical.get(page % PAGES).copied().unwrap_or_default()
    }

    /// Writes into a page; what goes beyond it is left out.
    pub fn write(&self, page: usize, offset: usize, bytes: &[u8]) {
        let offset = offset % PAGE;
        for (place, byte) in (offset..PAGE).zip(bytes) {
            // SAFETY: the place is in the page, and the page is mapped; devices may write there at the same time.
            unsafe { self.base.add(page % PAGES * PAGE + place).write_volatile(*byte) };
        }
    }

    /// Something that a device may be told is memory for so many bytes: mostly ours, so that the attack does not
    /// end itself, and rarely what lies behind that; else a device's, beyond the end, or at the end of what can be
    /// named.
    pub fn some_address(&self, length: u32, random: &mut Random) -> u64 {
        let room = (PAGE as u64).saturating_sub(length.into());
        let room = if random.once_in(4096) { PAGE as u64 - 1 } else { room };
        let offset = random.below(room + 1);
        match random.below(16) {
            0 => 0xd000_0000 + random.below(0x1_0000),
            1 => u64::MAX - offset,
            2 => (1 << 40) + offset,
            3 => 0xbfff_f000 + random.below(0x2000),
            _ => self.physical(random.number() as usize) + offset,
        }
    }
}
