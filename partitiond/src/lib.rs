//! The supervisor and command line of partitiond.

pub mod api;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod doctor;
pub mod durable;
pub mod errors;
pub mod host;
pub mod inventory;
pub mod keeper;
pub mod ledger;
pub mod lsp;
pub mod paths;
pub mod placement;
pub mod plan;
pub mod supervisor;
pub mod tuning;
