//! The only place of the bare back end that touches `/dev`, `/proc`, `/sys` and raw memory.

mod cpu_hotplug;
mod dev_mem;
mod low_memory;
mod msr;
mod pinned;
mod tsc;

pub use cpu_hotplug::{HotplugError, is_online, set_online};
pub use dev_mem::{DevMemError, PhysicalWindow, lock_low_memory};
pub use low_memory::{LowMemoryError, read_low_memory};
pub use msr::{Msr, MsrError};
pub use pinned::on_cpu;
pub use tsc::TscClock;
