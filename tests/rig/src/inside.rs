//! What the outside writes into the initramfs for the agent to find.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the [`Setup`] lies inside, as JSON.
pub const SETUP: &str = "/etc/rig.json";

/// What the agent does before it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// host name of the rig
    pub hostname: String,
    /// modules to load, in this order
    pub modules: Vec<Module>,
}

/// A kernel module to load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// where it lies inside, decompressed
    pub path: PathBuf,
    /// its parameters, as `insmod` takes them
    pub parameters: String,
}
