//! How the supervisor is reached.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rig::Rig;

use super::ClientError;

/// A way to a supervisor's socket.
pub trait Transport {
    /// A new connection.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotRunning`] where nobody listens, [`ClientError::Connect`] where the socket
    /// cannot be reached for another reason.
    fn connect(&self) -> Result<UnixStream, ClientError>;

    /// Where it leads, for people.
    fn describe(&self) -> String;
}

/// A socket of this machine.
#[derive(Clone, Debug)]
pub struct LocalSocket(pub PathBuf);

impl Transport for LocalSocket {
    fn connect(&self) -> Result<UnixStream, ClientError> {
        UnixStream::connect(&self.0).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning(self.describe())
            }
            _ => ClientError::Connect { place: self.describe(), error },
        })
    }

    fn describe(&self) -> String {
        self.0.display().to_string()
    }
}

/// A socket inside a rig.
#[derive(Clone, Debug)]
pub struct RigSocket {
    rig: Rc<Rig>,
    path: PathBuf,
}

impl RigSocket {
    /// The socket at `path` inside `rig`.
    pub fn new(rig: Rc<Rig>, path: &Path) -> Self {
        Self { rig, path: path.to_owned() }
    }
}

impl Transport for RigSocket {
    fn connect(&self) -> Result<UnixStream, ClientError> {
        self.rig.connect(&self.path).map_err(|error| match error {
            // The agent inside answers; it is the supervisor that does not.
            rig::ClientError::Refused(_) => ClientError::NotRunning(self.describe()),
            error => ClientError::Connect {
                place: self.describe(),
                error: io::Error::other(error.to_string()),
            },
        })
    }

    fn describe(&self) -> String {
        format!("{} in rig `{}`", self.path.display(), self.rig.name())
    }
}
