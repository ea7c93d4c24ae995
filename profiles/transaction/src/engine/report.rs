//! What the engine says it has done.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::journal::{Damaged, Reading};
use crate::plan::{Origin, Target};
use crate::store::{Confinement, StoreError};

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It held already.
    Unchanged,
    /// It was written, and reads back so.
    Written,
    /// The kernel made something else of it, which the plan allows.
    Rounded,
    /// The kernel took the write and kept what it had, which the plan allows.
    Ignored,
    /// Only the next boot can bring it about.
    AtNextBoot,
    /// It was not its turn yet when another step failed.
    NotReached,
    /// It failed.
    Failed,
}

/// What became of one step, in detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// The setting.
    pub setting: String,
    /// Where it is.
    pub target: Target,
    /// What was read before.
    pub before: Option<Reading>,
    /// What was written, if anything was.
    pub written: Option<String>,
    /// What was read back.
    pub read: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// How long writing and reading back took, in nanoseconds.
    pub nanoseconds: u64,
}

/// What became of a plan that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The transaction's number.
    pub number: u32,
    /// The profile.
    pub profile: String,
    /// The steps, in the plan's order.
    pub steps: Vec<StepReport>,
    /// How long all of it took, in nanoseconds.
    pub nanoseconds: u64,
    /// How the writing process was confined; none where it was this one.
    pub confinement: Option<Confinement>,
    /// What else there is to tell.
    pub notes: Vec<String>,
}

/// Why a transaction was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A write failed.
    #[error("{setting} could not be written: {error}")]
    Write {
        /// Which setting.
        setting: String,
        /// Why.
        error: StoreError,
    },
    /// It could not be read back.
    #[error("{setting} was written and cannot be read back: {error}")]
    ReadBack {
        /// Which setting.
        setting: String,
        /// Why.
        error: StoreError,
    },
    /// It reads something else.
    #[error("{setting} was written as {wanted:?} and reads {read:?}: the kernel did not take it")]
    Differs {
        /// Which setting.
        setting: String,
        /// What was written.
        wanted: String,
        /// What is read.
        read: String,
    },
    /// It was in force, and then no longer.
    #[error(
        "{setting} was {wanted:?} and became {read:?} while later steps were taken: one of them changes it"
    )]
    Moved {
        /// Which setting.
        setting: String,
        /// What was written.
        wanted: String,
        /// What is read.
        read: String,
    },
    /// It reads as it should, and has no effect.
    #[error(
        "{setting} reads as written, but {shown_by} shows {read:?} where it should show {expected:?}"
    )]
    NoEffect {
        /// Which setting.
        setting: String,
        /// Where its effect is seen.
        shown_by: String,
        /// What should be there.
        expected: String,
        /// What is.
        read: String,
    },
    /// The journal failed.
    #[error("success could not be recorded: {0}")]
    Journal(String),
}

/// Something that is not as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which setting.
    pub setting: String,
    /// Where it is.
    pub target: Target,
    /// What it was.
    pub before: Reading,
    /// What it is, or why that cannot be told.
    pub is: Result<Reading, String>,
}

/// What the way back came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// What is not as it was, although it should be.
    pub differences: Vec<Difference>,
    /// Latches that were set, and stay so until the next boot.
    pub until_next_boot: Vec<Difference>,
    /// What somebody else has changed since, and was left alone.
    pub left_alone: Vec<Difference>,
    /// How many rounds of writing it took after the first.
    pub rounds: u32,
}

/// A transaction that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its number.
    pub number: u32,
    /// What went wrong.
    pub cause: Cause,
    /// The line of the profile that asked for it.
    pub origin: Option<Origin>,
    /// What had been done by then.
    pub steps: Vec<StepReport>,
    /// What the way back came to.
    pub restored: Restored,
    /// How the writing process was confined; none where it was this one.
    pub confinement: Option<Confinement>,
    /// What else there is to tell.
    pub notes: Vec<String>,
}

/// A reason why a plan cannot be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which setting.
    pub setting: String,
    /// Why.
    pub why: String,
    /// The line of the profile that asked for it.
    pub origin: Option<Origin>,
}

/// A setting that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Which setting.
    pub setting: String,
    /// Where it is.
    pub target: Target,
    /// What it should read.
    pub expected: Reading,
    /// What it reads, or why that cannot be told.
    pub is: Result<Reading, String>,
    /// The line of the profile that asked for it.
    pub origin: Origin,
}

/// How a kernel stands to a plan that was applied to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// How many settings are what they should be.
    pub holding: usize,
    /// Those that are not.
    pub drifts: Vec<Drift>,
    /// Those that cannot be read.
    pub unreadable: Vec<String>,
    /// Those that only the next boot brings about.
    pub at_next_boot: Vec<String>,
}

/// What became of a transaction that was asked back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// Its number.
    pub number: u32,
    /// The profile.
    pub profile: String,
    /// What the way back came to.
    pub restored: Restored,
    /// How the writing process was confined; none where it was this one.
    pub confinement: Option<Confinement>,
}

/// A transaction that was found unfinished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Its number.
    pub number: u32,
    /// The profile.
    pub profile: String,
    /// What the way back came to; none where its kernel is gone and there was nothing to do.
    pub restored: Option<Restored>,
}

/// What was found and done at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// What was unfinished, newest first.
    pub unfinished: Vec<Recovered>,
    /// The newest that is in force.
    pub in_force: Option<u32>,
    /// Files that are no journals.
    pub damaged: Vec<Damaged>,
    /// What else there is to tell.
    pub notes: Vec<String>,
}

impl fmt::Display for Reading {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(to, "{value:?}"),
            Self::Absent => to.write_str("not there"),
            Self::WriteOnly => to.write_str("not readable"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} was {} and is ", self.setting, self.before)?;
        match &self.is {
            Ok(reading) => write!(to, "{reading}"),
            Err(error) => write!(to, "unknown: {error}"),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} should be {} and is ", self.setting, self.expected)?;
        match &self.is {
            Ok(reading) => write!(to, "{reading}"),
            Err(error) => write!(to, "unknown: {error}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.setting, self.why)?;
        match &self.origin {
            Some(origin) if origin.line > 0 => write!(to, " ({}:{})", origin.file, origin.line),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.cause)?;
        match &self.origin {
            Some(origin) if origin.line > 0 => write!(to, " ({}:{})", origin.file, origin.line)?,
            _ => {}
        }
        if self.restored.differences.is_empty() {
            to.write_str("; everything was set back as it was")?;
        } else {
            to.write_str("; everything was set back, except: ")?;
            list(to, &self.restored.differences)?;
        }
        if !self.restored.until_next_boot.is_empty() {
            to.write_str("; until the next boot: ")?;
            list(to, &self.restored.until_next_boot)?;
        }
        self.notes.iter().try_for_each(|note| write!(to, "; {note}"))
    }
}

fn list(to: &mut fmt::Formatter<'_>, differences: &[Difference]) -> fmt::Result {
    for (at, difference) in differences.iter().enumerate() {
        write!(to, "{}{difference}", if at == 0 { "" } else { ", " })?;
    }
    Ok(())
}
