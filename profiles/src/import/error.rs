//! What keeps a source from being imported.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::remark::Place;

/// So many are told; a damaged file could have a thousand.
const MOST: usize = 50;

/// One thing that is wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// no path at all
    #[error("nothing to import: name a sysctl.d file or folder, or a tuned.conf")]
    Nothing,
    /// sysctl.d and TuneD at once
    #[error(
        "sysctl.d files and TuneD profiles are imported one kind at a time: call once for each"
    )]
    Mixed,
    /// the file system says no
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// neither file nor folder
    #[error("{0} is not a file: name the file itself, or its folder")]
    NotAFile(PathBuf),
    /// a folder without anything to import
    #[error("{0} has no file that ends in .conf")]
    Empty(PathBuf),
    /// beyond [`MAX_SCRIPT`](crate::diagnostic::MAX_SCRIPT)
    #[error(
        "{path} is too large: it has {size}, and at most 1 MiB is read. Is this the right file?"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size, for people.
        size: String,
    },
    /// bytes that are not text
    #[error("{at}: byte {offset} is not UTF-8: save the file as UTF-8 text")]
    NotUtf8 {
        /// Where.
        at: Place,
        /// Bytes from the start of the file.
        offset: usize,
    },
    /// a character that no such file has
    #[error("{at}: a {name} stands here: this is not a text file, or a damaged one")]
    Character {
        /// Where.
        at: Place,
        /// Which: `NUL`, `U+001B`.
        name: String,
    },
    /// too much for one run
    #[error("{path} brings the import to more than {most} {what}: this cannot be meant")]
    TooMuch {
        /// The file.
        path: PathBuf,
        /// How many may be there.
        most: usize,
        /// Of what.
        what: &'static str,
    },
    /// too many files in one run
    #[error("{0} asks for more than {1} files: this cannot be meant")]
    TooMany(PathBuf, usize),
    /// a line that is none of its format
    #[error("{at}: `{line}` is {wanted}")]
    Line {
        /// Where.
        at: Place,
        /// What stands there.
        line: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// an include of a profile that is nowhere
    #[error("{at}: there is no TuneD profile `{name}`: looked in {}", listed(.looked))]
    NoProfile {
        /// Who includes it.
        at: Place,
        /// Its name.
        name: String,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// profiles that include each other
    #[error("{at}: profile `{name}` includes itself: {}", .circle.join(" → "))]
    Circle {
        /// The include that closes the circle.
        at: Place,
        /// Whose it is.
        name: String,
        /// The way round.
        circle: Vec<String>,
    },
    /// variables that grow without end
    #[error(
        "{at}: `{name}` grows beyond {most} bytes, or calls too many functions, as its variables are put in: define them shorter"
    )]
    Expansion {
        /// Where it is defined.
        at: Place,
        /// The variable or option.
        name: String,
        /// The bound.
        most: usize,
    },
    /// a script that could not be read again
    #[error(
        "the script would be larger than the 1 MiB that a script may have: import fewer files at once"
    )]
    Script,
    /// a defect of ours
    #[error("the script that came of it cannot be read ({0}): this is a defect, please report it")]
    Defect(String),
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Everything that keeps a source from being imported.
#[derive(Debug, Default)]
pub struct ImportError {
    /// Each, in the order in which they were found.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub dropped: usize,
}

impl ImportError {
    /// Takes in one more.
    pub(super) fn push(&mut self, problem: Problem) {
        if self.problems.len() < MOST {
            self.problems.push(problem);
        } else {
            self.dropped += 1;
        }
    }

    /// An error, if anything is wrong.
    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.problems.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Problem> for ImportError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], dropped: 0 }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if at == 0 { "" } else { "\n" })?;
        }
        if self.dropped > 0 {
            write!(f, "\nand {} more", self.dropped)?;
        }
        Ok(())
    }
}

impl std::error::Error for ImportError {}
