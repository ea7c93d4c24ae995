//! A whole virtual server in QEMU: sockets, NUMA nodes, CPUs and memory as asked, a stock kernel, and
//! inside it whatever the caller puts there. QEMU emulates (TCG), so it needs no rights and no KVM.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let spec: rig::RigSpec = todo!();
//! use rig::{KeptBy, Rig};
//!
//! let rig = Rig::start(&spec, KeptBy::Thread, |progress| eprintln!("{progress}"))?;
//! assert_eq!(rig.run(["nproc"])?.stdout, b"4\n");
//! rig.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! A **keeper** (a thread of the caller, or a process of its own) owns QEMU as a child that dies with
//! it, and one byte stream: a virtio-serial port, on whose inner end the **agent** (`rig-agent`, PID 1)
//! answers. The stream is multiplexed; a client connects to a unix socket in the rig's folder and has
//! a stream of its own, which starts with one [`wire::Request`].
//!
//! # Invariants
//!
//! - QEMU never outlives its keeper; a client that goes away ends its own programs and nothing else.
//! - Nothing is left behind: the initramfs has no name on disk, the rig's folder goes with the keeper,
//!   and the folder of a keeper that was killed is removed by the next [`Rig::list`] or start.
//! - What was not started is an error with the console's last lines, never a rig that does not answer.

pub mod async_file;
mod client;
pub mod flake;
mod initramfs;
pub mod inside;
pub mod keeper;
mod modules;
pub mod mux;
pub mod provide;
pub mod qemu;
mod rig;
mod spec;
mod state;
mod sys;
pub mod trace;
pub mod wire;

pub use client::{ClientError, Output, Running};
pub use initramfs::InitramfsError;
pub use modules::{LoadedModule, ModuleError, ModuleIndex};
pub use provide::ProvideError;
pub use rig::{KeptBy, Progress, Rig, RigError};
pub use spec::{GuestFile, InvalidName, InvalidTopology, KernelFiles, RigName, RigSpec, Topology};
pub use state::{RigDir, StateDir, StateError};
