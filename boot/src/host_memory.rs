//! The host's memory for partitions: huge pages in files on hugetlbfs, the pools that they come from, and
//! what the host was booted without.
//!
//! Both back ends have their memory from here. `bare` addresses it by where it lies, `kvm` by where its guest
//! sees it.

mod gather;
mod hugetlb;
mod mapping;
mod pool;
mod reserved;

pub use hugetlb::{HugetlbError, HugetlbFile, NodeShare, PageSize, Run};
pub use mapping::{MapError, Piece, map, segments};
pub use pool::{Pool, PoolError, PoolsLock};
pub use reserved::{Reserved, ReservedError};
