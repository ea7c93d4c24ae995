//! Why a supervisor did not do what it was asked for.

use std::io;
use std::path::PathBuf;

use hyper::StatusCode;

use crate::api::{Problem, ProblemKind};

/// Why a supervisor did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// nobody listens
    #[error("no supervisor answers at {0}")]
    NotRunning(String),
    /// the socket cannot be used
    #[error("cannot reach the supervisor at {place}: {error}")]
    Connect {
        /// The socket.
        place: String,
        /// What the system said.
        error: io::Error,
    },
    /// it answered that it does not do it
    #[error(transparent)]
    Problem(Problem),
    /// it answered with an error and no reason
    #[error("the supervisor answered {0} without a reason: is it another version of partitiond?")]
    Status(StatusCode),
    /// the connection broke
    #[error("the supervisor went away while it was asked: {0}")]
    Gone(#[from] hyper::Error),
    /// the stream ended in the middle
    #[error("the supervisor's answer ends in the middle: it was stopped or has failed")]
    Cut,
    /// no answer in time
    #[error("the supervisor did not answer within {0} s: it hangs, or the machine is overloaded")]
    Late(u64),
    /// it said something else than the interface says
    #[error("the supervisor's answer does not read: {0}. Is it another version of partitiond?")]
    Unreadable(serde_json::Error),
    /// more than anyone reads
    #[error("the supervisor's answer is longer than {0} MiB")]
    TooLong(usize),
    /// it does not speak frames
    #[error("the supervisor did not switch to frames: is it another version of partitiond?")]
    NotUpgraded,
    /// the request could not be made
    #[error("cannot ask the supervisor: {0}")]
    Request(#[from] hyper::http::Error),
    /// a file to send
    #[error("cannot read {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// no runtime
    #[error("cannot prepare a connection: {0}")]
    Runtime(io::Error),
}

impl ClientError {
    /// Whether there is no such thing.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.kind == ProblemKind::NotFound,
            Self::Status(status) => *status == StatusCode::NOT_FOUND,
            _ => false,
        }
    }

    /// Whether there is no supervisor at all.
    pub fn is_not_running(&self) -> bool {
        matches!(self, Self::NotRunning(_))
    }
}
