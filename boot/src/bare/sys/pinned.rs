//! Running on a chosen CPU.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::units::CpuId;

/// Runs `work` on `cpu` and returns to where the thread might run before. Where the kernel does not
/// let us run there, nothing is done and nothing returned.
pub fn on_cpu<T>(cpu: CpuId, work: impl FnOnce() -> T) -> Option<T> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).ok()?;
    let mut only = CpuSet::new();
    only.set(cpu.0 as usize).ok()?;
    sched_setaffinity(this, &only).ok()?;
    let result = work();
    let _ = sched_setaffinity(this, &before);
    Some(result)
}
