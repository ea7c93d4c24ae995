//! End-to-end scenarios: a virtual server with a stock kernel, `partitiond` in it, and a person at
//! its shell. The scenarios themselves are in `scenarios/`.

mod programs;
mod server;

pub use server::{Server, Setup};
