//! Where settings are: one seam between the engine and the kernel, or a model of one.

use std::io;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::compare::{Compare, Verdict};
use crate::plan::{Reach, Target};

/// Something that settings can be read from and written to.
pub trait Store {
    /// Whether this store can read and write a target of this kind.
    fn reaches(&self, target: &Target) -> bool;

    /// Reads a value, without the line feed at its end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Absent`] where there is no such setting, else what went wrong.
    fn read(&mut self, target: &Target) -> Result<String, StoreError>;

    /// Writes a value, whole and at once.
    ///
    /// # Errors
    ///
    /// What the kernel said. **The state may have changed all the same.**
    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError>;

    /// Makes changes in their order, up to and with the first that does not come out as wanted; as many
    /// answers as were made. Where the last one is [`StoreError::Writer`], others may have been made.
    fn change_all(&mut self, changes: &[Change]) -> Vec<Changed> {
        let mut made = Vec::with_capacity(changes.len());
        for change in changes {
            let start = Instant::now();
            let written = self.write(&change.target, &change.value);
            let reads = written.is_ok() && change.compare != Compare::WriteOnly;
            let read = reads.then(|| self.read(&change.target));
            let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let changed = Changed { written, read, nanoseconds };
            let holds = change.holds(&changed);
            made.push(changed);
            if !holds {
                break;
            }
        }
        made
    }

    /// Reads several; as many answers as targets, in their order.
    fn read_all(&mut self, targets: &[Target]) -> Vec<Result<String, StoreError>> {
        targets.iter().map(|target| self.read(target)).collect()
    }

    /// The one name of a target that has several: `/sys/block/vda/…` is a link.
    ///
    /// # Errors
    ///
    /// As for reading.
    fn canonical(&mut self, target: &Target) -> Result<Target, StoreError> {
        Ok(target.clone())
    }

    /// Told before anything is read or written what will be.
    ///
    /// # Errors
    ///
    /// Where the store cannot confine itself to that.
    fn prepare(&mut self, _reach: &[Reach]) -> Result<(), StoreError> {
        Ok(())
    }

    /// How the writer is confined; none where it is not a process of its own.
    fn confinement(&self) -> Option<Confinement> {
        None
    }
}

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What to.
    pub target: Target,
    /// The value.
    pub value: String,
    /// How what is read then compares with it.
    pub compare: Compare,
    /// What was read before, if it can be read.
    pub before: Option<String>,
}

impl Change {
    /// Whether it came out as wanted.
    pub fn holds(&self, changed: &Changed) -> bool {
        match (&changed.written, &changed.read) {
            (Ok(()), Some(Ok(read))) => self.judge(read) != Verdict::Differs,
            (Ok(()), None) => true,
            (Err(_), _) | (Ok(()), Some(Err(_))) => false,
        }
    }

    /// What to make of what is read.
    pub fn judge(&self, read: &str) -> Verdict {
        self.compare.judge(&self.value, read, self.before.as_deref())
    }
}

/// What came of writing a value and reading it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Whether it was written.
    pub written: Result<(), StoreError>,
    /// What is read then, if it was and can be.
    pub read: Option<Result<String, StoreError>>,
    /// How long both took.
    pub nanoseconds: u64,
}

/// How the process is confined that writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The version of Landlock's interface that is in force, or why there is none: Linux 5.10 lacks it.
    pub landlock: Result<u32, String>,
    /// Whether a filter of system calls is in force, or why not.
    pub seccomp: Result<(), String>,
}

/// Why a setting could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreError {
    /// No such setting.
    #[error("this kernel has no such setting")]
    Absent,
    /// The kernel refused.
    #[error("the kernel says: {}", io::Error::from_raw_os_error(*.0))]
    Kernel(i32),
    /// The kernel refused, in its own words.
    #[error("the kernel says: {} ({})", .1, io::Error::from_raw_os_error(*.0))]
    Said(i32, String),
    /// The kernel answers over netlink, and the answer is none.
    #[error("asked over netlink, the kernel gives no answer: {0}")]
    Netlink(String),
    /// It is not there to be set, and why: the driver has no such thing, or it could not be put back.
    #[error("{0}")]
    Unsupported(String),
    /// Only part of the value was taken.
    #[error("the kernel took {taken} of {bytes} bytes")]
    Short {
        /// What it took.
        taken: usize,
        /// What it was given, with the line feed.
        bytes: usize,
    },
    /// More than a value may have.
    #[error("the value is longer than {0} bytes")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("the value is no text")]
    NotText,
    /// Not a file that can hold a setting.
    #[error("there is something else than a file of a setting at this path")]
    NotAFile,
    /// Another file system than there should be.
    #[error("{0}")]
    NotMounted(String),
    /// A kind of target that this store does not know, or a path outside its roots.
    #[error("nothing here can reach it")]
    OutOfReach,
    /// The process that should have done it did not.
    #[error("the writing process failed: {0}")]
    Writer(String),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            // ENOENT; ENODEV and ENXIO where the device is gone.
            Some(2 | 6 | 19) => Self::Absent,
            Some(errno) => Self::Kernel(errno),
            None => Self::Writer(error.to_string()),
        }
    }
}
