//! What an image says to guest-init: `/.partition/image.json`.

use serde::{Deserialize, Serialize};

/// The directory of a partition that belongs to guest-init.
pub const DIRECTORY: &str = ".partition";

/// Where guest-init is. The kernel's command line must say `rdinit=/.partition/init`.
pub const INIT: &str = ".partition/init";

/// Where the configuration is, as JSON.
pub const CONFIGURATION: &str = ".partition/image.json";

/// How an image configures the partition that boots it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// What the partition runs.
    #[serde(default)]
    pub workloads: Vec<protocol::Workload>,
    /// Kernel modules to load before that, in this order, by name. Those that the kernel has built
    /// in are not among them.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Environment of everything that runs in the partition, from the image's own configuration.
    #[serde(default)]
    pub env: Vec<(String, String)>,
}
