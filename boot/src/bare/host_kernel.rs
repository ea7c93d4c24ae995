//! Letting the host's kernel start a CPU of a partition.
//!
//! While it takes a CPU online, the host's kernel sends it to a trampoline of its own below 1 MiB. For
//! that moment a far jump to the partition's trampoline stands at the beginning of the host's. What
//! stood there is part of [`RealModeCode`], and so of the ledger: whoever dies within that moment
//! leaves a redirection that somebody else can put back.

use std::time::Duration;

use nix::fcntl::Flock;

use super::cpus::{Cpu, CpuError, wait};
use super::real_mode::{REDIRECTION, RealModeCode, is_redirected, redirection};
use super::sys::{self, PhysicalWindow};
use super::trampoline::Progress;
use crate::units::PhysAddr;

/// How long a CPU has to come to the partition's kernel. The host's kernel waits longer.
const PATIENCE: Duration = Duration::from_secs(8);

const PAGE: usize = 4096;

/// Puts the host's trampoline back where it is redirected and nobody is starting a CPU just now, for
/// which it waits, up to some ten seconds. Nobody redirects it as long as the result lives: whoever takes
/// a CPU online needs that, or the CPU runs into a partition.
///
/// # Errors
///
/// [`CpuError::DevMem`] where low memory cannot be reached.
pub fn restore(host: RealModeCode) -> Result<Flock<std::fs::File>, CpuError> {
    // Held by one who is starting a CPU; after his death until the kernel is done with the CPU.
    let alone = sys::lock_low_memory()?;
    let page = map(host)?;
    let mut entry = [0; REDIRECTION];
    page.read(0, &mut entry);
    if entry != host.entry && is_redirected(entry) {
        page.write(0, &host.entry);
    }
    Ok(alone)
}

/// Starts `boot` at the partition's trampoline. Returns when it is about to enter the kernel.
///
/// # Errors
///
/// [`CpuError`] where it does not get there.
pub fn start(
    host: RealModeCode,
    boot: Cpu,
    trampoline: u32,
    progress: &dyn Fn() -> Progress,
) -> Result<(), CpuError> {
    let alone = restore(host)?;
    let page = map(host)?;
    let mut memory = vec![0; page.len()];
    page.read(0, &mut memory);
    let still_there = RealModeCode::find_all(&memory, host.trampoline);
    if !still_there.into_iter().any(|code| code == host) {
        return Err(CpuError::NoHostTrampoline);
    }
    page.write(0, &redirection(trampoline));
    // The write returns only when the host's kernel has given up waiting, long after the start. Until
    // then the kernel takes no other CPU online, and nobody else's patience is to begin.
    let online = std::thread::spawn(move || {
        let result = sys::set_online(boot.id, true);
        drop(alone);
        result
    });
    let reached = wait(PATIENCE, progress);
    page.write(0, &host.entry);
    match reached {
        Progress::Entered => Ok(()),
        progress => {
            let _ = online.join();
            Err(CpuError::NoAnswer { cpu: boot.id, seconds: PATIENCE.as_secs(), progress })
        }
    }
}

fn map(host: RealModeCode) -> Result<PhysicalWindow, CpuError> {
    Ok(PhysicalWindow::map(PhysAddr(host.trampoline.into()), PAGE)?)
}
