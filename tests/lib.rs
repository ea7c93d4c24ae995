//! End-to-end scenarios: a virtual server with a stock kernel, `partitiond` in it, and a person at
//! its shell. The scenarios themselves are in `scenarios/`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a scenario ends where something does not work"
)]

pub mod figures;
pub mod kernels;
pub mod machine;
mod programs;
mod random;
mod retry;
mod server;
pub mod tar;

pub use programs::{Programs, programs};
pub use random::Random;
pub use retry::scenario;
pub use server::{HostState, ImageFiles, Lives, Server, Setup, image_files};
