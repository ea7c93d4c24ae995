//! The supervisor and command line of partitiond.

pub mod api;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod doctor;
pub mod inventory;
pub mod plan;
