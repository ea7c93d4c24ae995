//! What is changed on the host for partitions, and put back after.

mod interrupts;
mod mounts;

pub use interrupts::{Steered, affinities, of_new, steer};
pub use mounts::{MountError, mount_hugetlbfs, unmount};

use std::fs;

/// The host's boot id.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Loads the `msr` module, where it is a module and not loaded. Whether it worked shows when the
/// device is opened.
pub fn load_msr() {
    if !std::path::Path::new("/dev/cpu/0/msr").exists() {
        let _ = std::process::Command::new("modprobe").arg("msr").status();
    }
}
