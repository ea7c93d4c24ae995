//! How the command ends: its exit statuses, and failures as people read them.

use std::error::Error;
use std::fmt::Display;

use crate::api::{Problem, ProblemKind};
use crate::client::{ClientError, DaemonError};
use crate::cluster::ClusterError;
use crate::errors::chain;
use images::definition::DefinitionError;

/// All that was asked for was done.
pub const OK: u8 = 0;
/// It was tried and went wrong.
pub const FAILED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// There is no such thing.
pub const NOT_FOUND: u8 = 3;
/// This machine cannot or may not do it.
pub const REFUSED: u8 = 4;
/// A file with errors.
pub const INVALID: u8 = 5;
/// `wait` waited for as long as it was told; as timeout(1).
pub const TIMEOUT: u8 = 124;
/// `exec` could not try to run the program; as env(1).
pub const EXEC_FAILED: u8 = 125;
/// A signal's number is added to this; as a shell has it.
pub const SIGNALED: u8 = 128;
/// Nobody reads standard output any more; as after SIGPIPE.
pub const BROKEN_PIPE: u8 = SIGNALED + 13;

/// Stands at the end of the long help.
pub const HELP: &str = "\
Exit status:
  0    all that was asked for was done
  1    it was tried and went wrong
  2    the command line makes no sense
  3    there is no such partition, image or rig (exec and console, too)
  4    this machine cannot or may not do it; `partitiond doctor` tells why
  5    the cluster file, or another file that was named, has errors
  124  wait: not within the time given
  141  nobody reads standard output any more

  profile has its own: 0 clean, 1 wrong or refused, 2 something would change

  exec and console end as the program did: with its own status, or 128+N after signal N;
  125: it could not be tried; 126: it cannot be executed; 127: it was not found.";

/// Why a command did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// For people; empty where everything has been said.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// It was tried and went wrong.
    pub fn failed(message: impl Display) -> Self {
        Self::with_status(FAILED, message)
    }

    /// With this exit status.
    pub fn with_status(status: u8, message: impl Display) -> Self {
        Self { status, message: message.to_string(), hint: None }
    }

    /// An error with all its causes.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self::failed(chain(error))
    }

    /// Nothing is left to say.
    pub fn silent(status: u8) -> Self {
        Self { status, message: String::new(), hint: None }
    }

    /// With a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With another exit status.
    pub fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }
}

/// The exit status for a kind of problem.
pub fn status_of(kind: ProblemKind) -> u8 {
    match kind {
        ProblemKind::NotFound => NOT_FOUND,
        ProblemKind::Invalid => INVALID,
        ProblemKind::Refused => REFUSED,
        ProblemKind::Busy | ProblemKind::Failed => FAILED,
    }
}

impl From<&Problem> for Failure {
    fn from(problem: &Problem) -> Self {
        Self {
            status: status_of(problem.kind),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem(problem) => Self::from(&problem),
            ClientError::NotRunning(_) => Self::failed(&error).hint(
                "`partitiond up FILE` starts one; so does `partitiond serve` in the foreground",
            ),
            ClientError::Connect { error: ref cause, .. }
                if cause.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Self::failed(&error).hint("run as root, or as a member of the socket's group")
            }
            error if error.is_not_found() => Self::with_status(NOT_FOUND, error),
            error => Self::of(&error),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        Self::failed(error)
    }
}

impl From<rig::RigError> for Failure {
    fn from(error: rig::RigError) -> Self {
        let status = match &error {
            rig::RigError::State(rig::StateError::NotRunning(_)) => NOT_FOUND,
            rig::RigError::Topology(_) => USAGE,
            _ => FAILED,
        };
        Self::of(&error).status(status)
    }
}

impl From<rig::ClientError> for Failure {
    fn from(error: rig::ClientError) -> Self {
        Self::of(&error)
    }
}

impl From<images::store::StoreError> for Failure {
    fn from(error: images::store::StoreError) -> Self {
        use images::store::StoreError as Error;
        let status = match &error {
            Error::Unknown(_) => NOT_FOUND,
            Error::Name(_) | Error::Ambiguous(_) => USAGE,
            _ => FAILED,
        };
        Self::of(&error).status(status)
    }
}

impl Failure {
    /// A cluster file with errors, as people read them.
    pub fn cluster(error: &ClusterError, color: bool) -> Self {
        Self::rendered(&error.render(color))
    }

    /// Likewise the definition of an image.
    pub fn definition(error: &DefinitionError, color: bool) -> Self {
        Self::rendered(&error.render(color))
    }

    fn rendered(text: &str) -> Self {
        // The rendering says `error` itself.
        Self { status: INVALID, message: format!("\n{}", text.trim_end()), hint: None }
    }
}
