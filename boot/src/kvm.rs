//! The `kvm` back end: a kernel in a virtual machine, isolated by hardware.
//!
//! [`Instance::start`] fills memory with kernel, initramfs and tables, and starts a process ([`vmm`]) that is
//! given this memory and `/dev/kvm` as descriptors, and knows nothing else. [`trial`] finds out whether this
//! machine's KVM can run a kernel.

mod acpi;
pub mod address_space;
pub mod bus;
mod cgroup;
mod control;
mod cpuid;
pub mod cpus;
pub mod devices;
mod disk;
mod filters;
mod instance;
mod jail;
pub mod machine;
pub mod message;
mod reach;
pub mod saved;
pub mod slots;
pub mod snapshot;
mod spec;
pub mod status;
mod tap;
mod topology;
pub mod trial;
pub mod vcpu;
pub mod virtio;
pub mod vm;
pub mod vmm;

pub use cgroup::CgroupError;
pub use disk::DiskError;
pub use filters::Mode as FilterMode;
pub use instance::Instance;
pub use snapshot::SnapshotError;
pub use spec::{DiskSpec, Failure, Record, Spec, StartError, Step, TapSpec};
pub use status::{Activity, Counters, Counts, DeviceActivity, StatusError};
pub use tap::TapError;
pub use topology::Topology;
