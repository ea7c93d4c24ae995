//! A text that may differ from kernel to kernel.

use serde::Deserialize;

use super::kernel::{Flavour, Kernel};
use super::version::KernelRange;

/// One text for all kernels, or several, of which the first that fits a kernel is meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ByKernel {
    /// The same in all kernels.
    One(String),
    /// Different ones.
    Several(Vec<Case>),
}

/// One of the texts that differ.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The versions this is about; all if left out.
    #[serde(default)]
    pub kernels: KernelRange,
    /// The flavours this is about; all if empty.
    #[serde(default)]
    pub flavours: Vec<Flavour>,
    /// The text.
    pub is: String,
}

impl ByKernel {
    /// The text for one kernel, if there is one.
    pub fn of(&self, kernel: &Kernel) -> Option<&str> {
        match self {
            Self::One(text) => Some(text),
            Self::Several(cases) => cases
                .iter()
                .find(|case| kernel.is_within(case.kernels, &case.flavours))
                .map(|case| case.is.as_str()),
        }
    }

    /// All texts.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::One(text) => vec![text],
            Self::Several(cases) => cases.iter().map(|case| case.is.as_str()).collect(),
        }
    }
}
