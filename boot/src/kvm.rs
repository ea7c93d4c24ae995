//! The `kvm` back end: a kernel in a virtual machine, isolated by hardware.
//!
//! [`trial`] finds out whether this machine's KVM can run one.

pub mod trial;
