//! The kernel: its files, its network devices, and which boot of which kernel this is.

mod containers;
mod files;
mod held;
mod huge;
mod kernel;
mod netlink;
mod network;
mod tasks;

pub use files::Files;
pub use held::Held;
pub use kernel::Kernel;
pub use network::Network;
pub use tasks::Tasks;

use std::{fs, io};

/// Where Linux says which boot this is: another number after each.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Where Linux says which kernel this is.
const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// Which boot of which kernel something is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Another text after each boot.
    pub boot: String,
    /// What `uname -r` says.
    pub release: Option<String>,
}

impl Machine {
    /// The kernel that runs.
    ///
    /// # Errors
    ///
    /// Where procfs is not mounted.
    pub fn running() -> io::Result<Self> {
        Ok(Self {
            boot: fs::read_to_string(BOOT_ID)?.trim().to_owned(),
            release: Some(fs::read_to_string(RELEASE)?.trim().to_owned()),
        })
    }
}
