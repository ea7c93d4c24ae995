//! The supervisor and command line of partitiond.

pub mod cluster;
pub mod inventory;
pub mod placement;
pub mod plan;
