//! The supervisor and command line of partitiond.

pub mod cluster;
pub mod doctor;
pub mod inventory;
