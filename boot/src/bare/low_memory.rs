//! Memory below 1 MiB. A CPU starts there in real mode, and a partition's kernel needs some of its
//! own for the CPUs that it starts itself.
//!
//! Since 5.13 Linux reserves all of it at boot and uses almost nothing. Whether a page is really
//! free of use is asked of `/proc/kpageflags`; a host that keeps pages there in use needs
//! `reservelow=640K` on its command line.

use serde::{Deserialize, Serialize};

use super::real_mode::{self, RealModeCode};
use super::trampoline;
use crate::memory::Segment;
use crate::units::{Bytes, PhysAddr};

/// RAM below 1 MiB that a partition's kernel gets. Its real-mode code takes about 28 KiB of it.
pub const RAM: u32 = 48 << 10;

const PAGE: u32 = 4096;
const WINDOW: u32 = trampoline::SIZE as u32 + RAM;

/// Where windows may lie: above what Linux never uses as ordinary memory because of BIOSes that
/// corrupt it (`CONFIG_X86_RESERVE_LOW`, 64 KiB), below the legacy video memory.
pub const RANGE: std::ops::Range<u32> = 0x10000..0xa0000;

/// A partition's share of the memory below 1 MiB: a trampoline, then RAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LowWindow {
    start: u32,
}

impl LowWindow {
    /// Physical address of the trampoline.
    pub fn trampoline(self) -> u32 {
        self.start
    }

    /// The RAM.
    pub fn ram(self) -> Segment {
        Segment {
            start: PhysAddr(u64::from(self.start) + trampoline::SIZE as u64),
            size: Bytes(RAM.into()),
        }
    }

    /// What a window takes.
    pub const SIZE: Bytes = Bytes(WINDOW as u64);

    /// Pages that a window has.
    pub const PAGES: usize = (WINDOW / PAGE) as usize;

    /// Whether the address is in the window.
    pub fn contains(self, address: u32) -> bool {
        (self.start..self.start + WINDOW).contains(&address)
    }

    fn pages(self) -> impl Iterator<Item = u32> {
        (self.start..self.start + WINDOW).step_by(PAGE as usize)
    }

    fn overlaps(self, other: Self) -> bool {
        self.start < other.start + WINDOW && other.start < self.start + WINDOW
    }
}

/// What is known of the memory below 1 MiB.
#[derive(Clone, Debug, Default)]
pub struct LowMemory {
    /// Pages in [`RANGE`] that are RAM and that the host's kernel does not use, ascending.
    pub free_pages: Vec<u32>,
    /// The host's own real-mode code.
    pub host_code: Option<RealModeCode>,
}

/// There is no window left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWindow {
    /// the host's kernel uses these pages
    #[error(
        "the host's kernel uses memory below 1 MiB that partitions need: boot it with `reservelow=640K`"
    )]
    InUse,
    /// other partitions have all of it
    #[error(
        "{0} partitions have all the memory below 1 MiB, where CPUs start: no more `bare` \
         partitions fit on this machine"
    )]
    Taken(usize),
}

impl LowMemory {
    /// The lowest free window that overlaps none of `taken`.
    ///
    /// # Errors
    ///
    /// [`NoWindow`] where there is none.
    pub fn window(&self, taken: &[LowWindow]) -> Result<LowWindow, NoWindow> {
        let usable = |page: &u32| {
            RANGE.contains(page)
                && self.host_code.is_none_or(|code| {
                    !(code.base..code.base.saturating_add(real_mode::MAX_SIZE)).contains(page)
                })
        };
        let free: std::collections::BTreeSet<u32> =
            self.free_pages.iter().copied().filter(usable).collect();
        let mut candidates = RANGE
            .step_by(PAGE as usize)
            .map(|start| LowWindow { start })
            .filter(|window| window.pages().all(|page| free.contains(&page)))
            .peekable();
        if candidates.peek().is_none() {
            return Err(NoWindow::InUse);
        }
        candidates
            .find(|window| taken.iter().all(|other| !window.overlaps(*other)))
            .ok_or(NoWindow::Taken(taken.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_free() -> LowMemory {
        LowMemory {
            free_pages: (0..0x9f).map(|page| page * PAGE).collect(),
            host_code: Some(RealModeCode { base: 0x98000, trampoline: 0x99000, entry: [0; 5] }),
        }
    }

    #[test]
    fn windows_fill_the_memory_without_touching() {
        let low = all_free();
        let mut taken = Vec::new();
        while let Ok(window) = low.window(&taken) {
            taken.push(window);
        }
        assert_eq!(taken.len(), 8);
        assert_eq!(taken[0].trampoline(), 0x10000);
        assert_eq!(taken[0].ram().start, PhysAddr(0x14000));
        assert!(taken.iter().all(|window| window.ram().end().0 <= 0x98000));
        assert_eq!(low.window(&taken), Err(NoWindow::Taken(8)));
    }

    #[test]
    fn pages_in_use_are_left_alone() {
        let mut low = all_free();
        low.free_pages.retain(|page| *page != 0x15000);
        assert_eq!(low.window(&[]).unwrap().trampoline(), 0x16000);
        low.free_pages.retain(|page| !(page / PAGE).is_multiple_of(4));
        assert_eq!(low.window(&[]), Err(NoWindow::InUse));
    }
}
