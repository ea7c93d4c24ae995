//! What an image says to guest-init, and where in its root file system: written by the image builder,
//! read by guest-init.

use serde::{Deserialize, Serialize};

use crate::Workload;

/// The directory that belongs to guest-init, relative to the root.
pub const DIRECTORY: &str = ".partition";

/// Where guest-init is. The kernel's command line must say `rdinit=/.partition/init`.
pub const INIT: &str = ".partition/init";

/// Where the [`ImageConfig`] is, as JSON.
pub const CONFIGURATION: &str = ".partition/image.json";

/// How an image configures the partition that boots it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// What the partition runs.
    #[serde(default)]
    pub workloads: Vec<Workload>,
    /// Kernel modules to load before that, in this order, by name. Those that the kernel has built
    /// in are not among them.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Environment of everything that runs in the partition, from the image's own configuration.
    #[serde(default)]
    pub env: Vec<(String, String)>,
}
