//! Running on a chosen CPU.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::units::CpuId;

/// Runs `work` on `cpu` and returns to where the thread might run before. Where the kernel does not
/// let us, `work` runs wherever it does.
pub fn on_cpu<T>(cpu: CpuId, work: impl FnOnce() -> T) -> T {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).ok();
    let mut only = CpuSet::new();
    let pinned = only.set(cpu.0 as usize).is_ok() && sched_setaffinity(this, &only).is_ok();
    let result = work();
    if let (true, Some(before)) = (pinned, before) {
        let _ = sched_setaffinity(this, &before);
    }
    result
}
