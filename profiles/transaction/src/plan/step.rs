//! One step of a plan: everything that is known of one setting's change.

use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::compare::Compare;

/// One setting's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The setting's name in the catalogue, with the device in brackets where there are several:
    /// `block.scheduler[vda]`.
    pub setting: String,
    /// What is written to.
    pub target: Target,
    /// What it read, or what was in force, when the plan was made; none in a plan made without
    /// looking at a machine.
    #[serde(default)]
    pub old: Option<String>,
    /// What is written, in canonical form, without a line feed.
    pub new: String,
    /// How what is read back compares with what was written.
    #[serde(default)]
    pub compare: Compare,
    /// How the old state comes back.
    #[serde(default)]
    pub undo: Undo,
    /// How the change takes effect.
    #[serde(default)]
    pub class: Class,
    /// Whether a write that fails may have changed something: for whoever reads the plan. The engine
    /// undoes failed writes in any case.
    #[serde(default)]
    pub may_change_on_error: bool,
    /// Whether it may be there only once an earlier step was taken, as the settings of an I/O scheduler.
    #[serde(default)]
    pub appears: bool,
    /// What else must be seen for the change to be in effect.
    #[serde(default)]
    pub effect: Option<Effect>,
    /// What asked for it.
    pub origin: Origin,
}

/// How a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// At once, and back again.
    #[default]
    Runtime,
    /// At once, and never back before the next boot.
    OneWay,
    /// It does something; there is no state to compare or bring back.
    Action,
    /// With the next boot: carried and reported, never written.
    Reboot,
}

/// How the old state comes back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// By what means.
    #[serde(default)]
    pub how: How,
    /// What moves along when the setting is written, and is to be brought back behind it.
    #[serde(default)]
    pub also: Vec<Coupled>,
}

/// By what means the old state comes back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By writing the old value.
    #[default]
    Write,
    /// By writing the twin's old value where this one's was `unset`: the kernel holds one of two
    /// forms, shows `unset` for the other, and does not take `unset` as a value.
    Twin {
        /// The other form.
        twin: Coupled,
        /// What the form reads that is not in force: `0`.
        unset: String,
        /// Any other value that the twin takes. Some kernels act on a twin's write only if its value
        /// changes; where it has its old value already, this one is written first.
        #[serde(default)]
        nudge: Option<String>,
    },
    /// Not at all: what was done stays done.
    Nothing,
    /// By the next boot only.
    NextBoot,
}

/// A setting that another one's change touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupled {
    /// Its name in the catalogue.
    pub setting: String,
    /// Where it is.
    pub target: Target,
    /// How its reading compares with what was written.
    #[serde(default)]
    pub compare: Compare,
}

/// Another place that shows whether a change is in effect: `cpuset.cpus.effective`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// Where it is read.
    pub target: Target,
    /// What it must read.
    pub expected: String,
    /// How the two compare.
    #[serde(default)]
    pub compare: Compare,
}

/// The line that asked for something.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The profile.
    pub profile: String,
    /// The file it is written in.
    #[serde(default)]
    pub file: String,
    /// The line, from 1; 0 where there is none.
    #[serde(default)]
    pub line: u32,
}

/// What a profile asks for and this kernel does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotApplicable {
    /// The setting's name in the catalogue.
    pub setting: String,
    /// Why, as an operator reads it.
    pub reason: String,
    /// What asked for it.
    pub origin: Origin,
}

impl Undo {
    /// Everything besides the setting itself that undoing it may write.
    pub fn coupled(&self) -> impl Iterator<Item = &Coupled> {
        let twin = match &self.how {
            How::Twin { twin, .. } => Some(twin),
            How::Write | How::Nothing | How::NextBoot => None,
        };
        twin.into_iter().chain(&self.also)
    }
}
