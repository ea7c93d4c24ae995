//! What the host's kernel does with the memory below 1 MiB.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use super::dev_mem::{DevMemError, PhysicalWindow};
use crate::bare::low_memory::{LowMemory, LowWindow, RANGE};
use crate::bare::real_mode::RealModeCode;
use crate::iomem;
use crate::memory::Segment;
use crate::units::{Bytes, PhysAddr};

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum LowMemoryError {
    /// one of the files cannot be read
    #[error("{path} cannot be read")]
    Read {
        /// Which.
        path: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// it cannot be looked at
    #[error(transparent)]
    DevMem(#[from] DevMemError),
}

const IOMEM: &str = "/proc/iomem";
const KPAGEFLAGS: &str = "/proc/kpageflags";
const PAGE: u32 = 4096;

/// Set aside at boot and managed by nobody (`KPF_RESERVED`, include/linux/kernel-page-flags.h).
const RESERVED: u64 = 1 << 32;

/// Reads which pages below 1 MiB are RAM that the host's kernel set aside at boot, and finds its own
/// real-mode code there; in the windows of partitions there is theirs.
///
/// # Errors
///
/// [`LowMemoryError`] where that needs rights that we lack.
pub fn read_low_memory(windows: &[LowWindow]) -> Result<LowMemory, LowMemoryError> {
    let failed = |path| move |source| LowMemoryError::Read { path, source };
    let map = iomem::parse(&fs::read_to_string(IOMEM).map_err(failed(IOMEM))?);
    let ram: Vec<Segment> = map
        .iter()
        .filter(|resource| resource.depth == 0 && iomem::is_ram(resource))
        .map(|resource| resource.place)
        .collect();
    let flags = File::open(KPAGEFLAGS).map_err(failed(KPAGEFLAGS))?;
    let mut free_pages = Vec::new();
    for page in RANGE.step_by(PAGE as usize) {
        let mut word = [0; 8];
        let at = u64::from(page / PAGE) * 8;
        flags.read_exact_at(&mut word, at).map_err(failed(KPAGEFLAGS))?;
        let place = Segment { start: PhysAddr(page.into()), size: Bytes(PAGE.into()) };
        let is_ram = ram.iter().any(|ram| ram.contains(place));
        if is_ram && u64::from_le_bytes(word) & RESERVED != 0 {
            free_pages.push(page);
        }
    }
    let mut memory = vec![0; RANGE.len()];
    PhysicalWindow::map(PhysAddr(RANGE.start.into()), RANGE.len())?.read(0, &mut memory);
    let host_code = RealModeCode::find_all(&memory, RANGE.start)
        .find(|code| !windows.iter().any(|window| window.contains(code.trampoline)));
    Ok(LowMemory { free_pages, host_code })
}
