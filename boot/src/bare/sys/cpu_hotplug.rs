//! Taking CPUs offline and online through sysfs.

use std::{fs, io};

use crate::units::CpuId;

/// Why a CPU did not change hands.
#[derive(Debug, thiserror::Error)]
#[error("{cpu} could not be taken {}", if *online { "online" } else { "offline" })]
pub struct HotplugError {
    /// The CPU.
    pub cpu: CpuId,
    /// Where it should have gone.
    pub online: bool,
    /// What the kernel said.
    pub source: io::Error,
}

fn path(cpu: CpuId) -> String {
    format!("/sys/devices/system/cpu/cpu{}/online", cpu.0)
}

/// Whether the host's kernel runs on `cpu`. A CPU that cannot be taken offline is online.
pub fn is_online(cpu: CpuId) -> bool {
    fs::read_to_string(path(cpu)).map_or(true, |state| state.trim() == "1")
}

/// Takes `cpu` online or offline; nothing happens where it is so already.
///
/// # Errors
///
/// [`HotplugError`] with what the kernel said. `EIO` after ten seconds for a CPU that does not
/// answer; `EBUSY` for one that must stay.
pub fn set_online(cpu: CpuId, online: bool) -> Result<(), HotplugError> {
    if is_online(cpu) == online {
        return Ok(());
    }
    fs::write(path(cpu), if online { "1" } else { "0" }).map_err(|source| HotplugError {
        cpu,
        online,
        source,
    })
}
