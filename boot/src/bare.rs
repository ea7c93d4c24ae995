//! The bare back end: a kernel on CPUs and memory taken from the running one, with no hypervisor.
//!
//! [`Instance::start`] takes CPUs from the host, fills memory with kernel, initramfs and tables, and
//! sends a CPU there. [`Instance::adopt`] finds one that another process started. Isolation is by
//! construction, not by hardware: the second kernel knows of nothing but its own CPUs and memory,
//! but runs with full privilege.

mod acpi;
mod cpus;
mod host_kernel;
mod instance;
mod load;
mod low_memory;
mod real_mode;
mod spec;
mod sys;
mod trampoline;

pub use acpi::PHANTOM;
pub use cpus::{Cpu, CpuError, Starter, Stopped};
pub use instance::Instance;
pub use low_memory::{LowMemory, LowWindow, NoWindow};
pub use real_mode::RealModeCode;
pub use spec::{Failure, Record, Spec, StartError, Step};
pub use sys::{DevMemError, HotplugError, LowMemoryError, TscClock, is_online, read_low_memory};
