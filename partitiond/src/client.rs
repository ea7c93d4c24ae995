//! Speaks to a supervisor: HTTP over a byte stream, one connection for each request.
//!
//! The stream is a unix socket of this machine, or of a rig ([`Transport`]); nothing else here knows
//! the difference. All calls block.

mod body;
mod daemon;
mod error;
mod lines;
mod request;
mod sys;
mod transport;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use transaction::agent::{self, Question};
use transaction::engine::Report;

use crate::api::{
    DownRequest, Event, FRAMES, LogEntry, MachineReport, PartitionStatus, PlanAnswer, Progress,
    SnapshotRequest, StoredImage, UpRequest, Version,
};
use crate::tuning::Errand;
use body::Payload;
pub use daemon::{Daemon, DaemonError};
pub use error::ClientError;
pub use lines::Lines;
use request::Answer;
pub use sys::in_own_session;
pub use transport::{LocalSocket, RigSocket, Transport};

/// How long a supervisor may take to accept a connection and to begin its answer to a question that
/// needs no work.
const PATIENCE: Duration = Duration::from_secs(30);

/// A supervisor.
pub struct Client {
    transport: Box<dyn Transport>,
    runtime: Runtime,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.transport.describe()).finish()
    }
}

impl Client {
    /// The supervisor behind `transport`. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Runtime`] where this process has no descriptors left.
    pub fn new(transport: Box<dyn Transport>) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Runtime)?;
        Ok(Self { transport, runtime })
    }

    /// Where the supervisor is, for people.
    pub fn place(&self) -> String {
        self.transport.describe()
    }

    /// The runtime that drives the connections: whoever gets one from [`Client::exec`] uses it.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Who answers.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotRunning`] where nobody does. Every method below fails in these ways: as
    /// here, with [`ClientError::Problem`] where the supervisor refuses, and where the connection
    /// breaks.
    pub fn version(&self) -> Result<Version, ClientError> {
        self.get("/v1/version")
    }

    /// The machine that the supervisor divides.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn machine(&self) -> Result<MachineReport, ClientError> {
        self.get("/v1/machine")
    }

    /// What `up` would do.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn plan(&self, request: &UpRequest) -> Result<PlanAnswer, ClientError> {
        self.ask(Method::POST, "/v1/plan", json(request)?)
    }

    /// Brings a cluster up; the answer ends with [`Progress::Done`].
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn up(&self, request: &UpRequest) -> Result<Lines<'_, Progress>, ClientError> {
        self.stream(Method::POST, "/v1/up", json(request)?)
    }

    /// Ends partitions; the answer ends with [`Progress::Done`].
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn down(&self, request: &DownRequest) -> Result<Lines<'_, Progress>, ClientError> {
        self.stream(Method::POST, "/v1/down", json(request)?)
    }

    /// Writes all that a partition is into a new folder on the supervisor's machine.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn snapshot(&self, name: &str, request: &SnapshotRequest) -> Result<(), ClientError> {
        let path = format!("/v1/partitions/{}/snapshot", segment(name));
        self.runtime.block_on(self.open(Method::POST, &path, json(request)?, None)).map(drop)
    }

    /// All partitions.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn partitions(&self) -> Result<Vec<PartitionStatus>, ClientError> {
        self.get("/v1/partitions")
    }

    /// One partition.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn partition(&self, name: &str) -> Result<PartitionStatus, ClientError> {
        self.get(&format!("/v1/partitions/{}", segment(name)))
    }

    /// A partition's log.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn log(&self, name: &str, follow: bool) -> Result<Lines<'_, LogEntry>, ClientError> {
        let path = format!("/v1/partitions/{}/log?follow={follow}", segment(name));
        self.stream(Method::GET, &path, Payload::Empty)
    }

    /// What happened.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn events(&self, follow: bool) -> Result<Lines<'_, Event>, ClientError> {
        self.stream(Method::GET, &format!("/v1/events?follow={follow}"), Payload::Empty)
    }

    /// The images in the supervisor's store.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn images(&self) -> Result<Vec<StoredImage>, ClientError> {
        self.get("/v1/images")
    }

    /// Whether the supervisor's store has this content.
    ///
    /// # Errors
    ///
    /// See [`Client::version`]; that it lacks it is none.
    pub fn has_blob(&self, digest: &str) -> Result<bool, ClientError> {
        let path = format!("/v1/blobs/{}", segment(digest));
        match self.runtime.block_on(self.open(Method::GET, &path, Payload::Empty, None)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the supervisor's store some content; `sent` hears how many bytes went.
    ///
    /// # Errors
    ///
    /// See [`Client::version`]; [`ClientError::File`] where `path` cannot be read.
    pub fn put_blob(
        &self,
        digest: &str,
        path: &Path,
        sent: impl Fn(u64) + Send + 'static,
    ) -> Result<(), ClientError> {
        let payload = Payload::file(path, Box::new(sent))?;
        let path = format!("/v1/blobs/{}", segment(digest));
        self.runtime.block_on(self.open(Method::PUT, &path, payload, None)).map(drop)
    }

    /// Gives an image whose blobs are there a name.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn put_image(&self, name: &str, manifest: Vec<u8>) -> Result<StoredImage, ClientError> {
        let path = format!("/v1/images/{}", segment(name));
        self.ask(Method::PUT, &path, Payload::Bytes(manifest.into()))
    }

    /// Takes an image away.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn remove_image(&self, name: &str) -> Result<(), ClientError> {
        let path = format!("/v1/images/{}", segment(name));
        self.runtime.block_on(self.open(Method::DELETE, &path, Payload::Empty, None)).map(drop)
    }

    /// Ends the supervisor; partitions run on.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn stop(&self) -> Result<(), ClientError> {
        self.runtime.block_on(self.open(Method::POST, "/v1/stop", Payload::Empty, None)).map(drop)
    }

    /// Asks a partition's kernel.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn question(&self, name: &str, question: &Question) -> Result<agent::Answer, ClientError> {
        let path = format!("/v1/partitions/{}/kernel", segment(name));
        self.ask(Method::POST, &path, json(question)?)
    }

    /// Brings a profile into force on a partition, which is looked after from then on.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn tune(&self, name: &str, errand: &Errand) -> Result<Report, ClientError> {
        let path = format!("/v1/partitions/{}/profile", segment(name));
        self.ask(Method::POST, &path, json(errand)?)
    }

    /// A connection that carries frames of one session to and from a partition, and the bytes that
    /// came on it already.
    ///
    /// # Errors
    ///
    /// See [`Client::version`].
    pub fn exec(&self, name: &str) -> Result<(UnixStream, Vec<u8>), ClientError> {
        let path = format!("/v1/partitions/{}/exec", segment(name));
        self.runtime.block_on(async {
            let answer = self.open(Method::POST, &path, Payload::Empty, Some(FRAMES)).await?;
            answer.upgrade().await
        })
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, Payload::Empty)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<T, ClientError> {
        self.runtime.block_on(async {
            let answer = self.open(method, path, payload, None).await?;
            serde_json::from_slice(&answer.whole().await?).map_err(ClientError::Unreadable)
        })
    }

    fn stream<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<Lines<'_, T>, ClientError> {
        let answer = self.runtime.block_on(self.open(method, path, payload, None))?;
        Ok(Lines::new(&self.runtime, answer))
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
        upgrade: Option<&str>,
    ) -> Result<Answer, ClientError> {
        let stream = self.transport.connect()?;
        request::send(stream, method, path, payload, upgrade).await
    }
}

fn json<T: Serialize>(value: &T) -> Result<Payload, ClientError> {
    serde_json::to_vec(value)
        .map(|bytes| Payload::Bytes(bytes.into()))
        .map_err(ClientError::Unreadable)
}

/// A name as one segment of a path: whatever a person types stays one (RFC 3986, "unreserved").
fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            // A segment of dots alone would mean another path.
            b'.' if name.bytes().any(|other| other != b'.') => ".".to_owned(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
