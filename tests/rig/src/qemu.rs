//! QEMU: which one, with which arguments, and its machine protocol.

mod command;
mod provide;
mod qmp;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use command::arguments;
pub use provide::{QemuVersion, provide};
pub use qmp::{Qmp, QmpError};

/// A QEMU that can be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qemu {
    /// the program and the arguments that must come first
    pub program: Vec<String>,
    /// environment that it needs
    pub environment: Vec<(String, String)>,
}

impl Qemu {
    /// The `qemu-system-x86_64` of the system, or another one at this path.
    pub fn system(path: PathBuf) -> Self {
        Self { program: vec![path.display().to_string()], environment: Vec::new() }
    }
}
