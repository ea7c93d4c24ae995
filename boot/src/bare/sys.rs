//! The only place of the bare back end that touches `/dev`, `/proc`, `/sys` and raw memory.

mod cpu_hotplug;
mod dev_mem;
mod gather;
mod hugetlb;
mod low_memory;
mod mapping;
mod msr;
mod pinned;
mod pool;
mod reserved;
mod tsc;

pub use cpu_hotplug::{HotplugError, is_online, set_online};
pub use dev_mem::{DevMemError, PhysicalWindow, lock_low_memory};
pub use hugetlb::{HugetlbError, HugetlbFile, NodeShare, PageSize, Run};
pub use low_memory::{LowMemoryError, read_low_memory};
pub use mapping::{MapError, map, segments};
pub use msr::{Msr, MsrError};
pub use pinned::on_cpu;
pub use pool::{Pool, PoolError, PoolsLock};
pub use reserved::{Reserved, ReservedError};
pub use tsc::TscClock;
