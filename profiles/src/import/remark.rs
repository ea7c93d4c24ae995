//! What is said about an import, besides the script.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A line of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The file.
    #[serde(serialize_with = "as_text")]
    pub file: Arc<Path>,
    /// Line, from 1.
    pub line: u32,
}

fn as_text<S: Serializer>(path: &Arc<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Place {
    /// A line of a file.
    pub fn new(file: &Arc<Path>, line: u32) -> Self {
        Self { file: Arc::clone(file), line }
    }

    /// The first line of a file.
    pub fn start(file: PathBuf) -> Self {
        Self { file: file.into(), line: 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What became of something that a source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is in the script, but says not quite the same.
    Changed,
    /// It is in the script, and takes a guard that nobody asked for.
    NeedsGuard,
    /// It is in the script as a comment only: `check` would refuse it as it is.
    Withheld,
    /// It cannot be said, and is not in the script.
    LeftOut,
    /// Something else in the source takes its place.
    Overridden,
}

impl Fate {
    /// A heading for all that met it.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Changed => "In the script, but not quite as the source says it",
            Self::NeedsGuard => "In the script, but applied only with a guard",
            Self::Withheld => "Not in force: `check` would refuse it as it is",
            Self::LeftOut => "Not in the script",
            Self::Overridden => "Without effect in the source already",
        }
    }
}

/// Something about an import that is to be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Where the source says it.
    pub at: Place,
    /// The profile that it is about.
    pub profile: String,
    /// What the source says, shortened.
    pub what: String,
    /// What became of it.
    pub fate: Fate,
    /// Why.
    pub why: String,
}
