//! An answer that comes as one JSON object a line, for as long as it takes.

use std::marker::PhantomData;
use std::time::Duration;

use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::ClientError;
use super::request::Answer;

/// The longest line, in bytes. The largest is the plan of a large machine.
const MAX_LINE: usize = 32 << 20;

/// Objects as they arrive. Dropping it closes the connection.
pub struct Lines<'a, T> {
    runtime: &'a Runtime,
    answer: Answer,
    buffer: Vec<u8>,
    ended: bool,
    object: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Lines<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<'a, T: DeserializeOwned> Lines<'a, T> {
    pub(super) fn new(runtime: &'a Runtime, answer: Answer) -> Self {
        Self { runtime, answer, buffer: Vec::new(), ended: false, object: PhantomData }
    }

    /// A whole line out of what has come; the rest at the end counts as one.
    fn line(&mut self) -> Option<Vec<u8>> {
        if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let rest = self.buffer.split_off(at + 1);
            return Some(std::mem::replace(&mut self.buffer, rest));
        }
        (self.ended && !self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer))
    }

    /// The next object of what has come already.
    fn at_hand(&mut self) -> Option<Result<T, ClientError>> {
        while let Some(line) = self.line() {
            // An empty line keeps a connection alive.
            if !line.trim_ascii().is_empty() {
                return Some(serde_json::from_slice(&line).map_err(ClientError::Unreadable));
            }
        }
        None
    }

    /// Takes in what the connection gave; what is wrong with it comes back.
    fn arrived(&mut self, piece: Result<Option<Bytes>, ClientError>) -> Result<(), ClientError> {
        let error = match piece {
            Ok(Some(piece)) if self.buffer.len() + piece.len() > MAX_LINE => {
                ClientError::TooLong(MAX_LINE >> 20)
            }
            Ok(Some(piece)) => {
                self.buffer.extend_from_slice(&piece);
                return Ok(());
            }
            Ok(None) => {
                self.ended = true;
                return Ok(());
            }
            Err(error) => error,
        };
        self.ended = true;
        self.buffer.clear();
        Err(error)
    }

    /// Waits until an object comes, at most for `patience`; what has come is not taken out. Whether
    /// there will be more: not where the answer has ended, or the supervisor is gone.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLong`].
    pub fn wait(&mut self, patience: Duration) -> Result<bool, ClientError> {
        if !self.buffer.is_empty() || self.ended {
            return Ok(!self.ended);
        }
        let piece = async { tokio::time::timeout(patience, self.answer.piece()).await };
        match self.runtime.block_on(piece) {
            Ok(piece) => match self.arrived(piece) {
                // One that is killed does not end its answer.
                Err(ClientError::Cut | ClientError::Gone(_)) => Ok(false),
                arrived => arrived.map(|()| !self.ended),
            },
            Err(_) => Ok(true),
        }
    }

    /// Forgets what has come.
    pub fn forget(&mut self) {
        self.buffer.clear();
    }
}

impl<T: DeserializeOwned> Iterator for Lines<'_, T> {
    type Item = Result<T, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(object) = self.at_hand() {
                return Some(object);
            }
            if self.ended {
                return None;
            }
            let piece = self.runtime.block_on(self.answer.piece());
            if let Err(error) = self.arrived(piece) {
                return Some(Err(error));
            }
        }
    }
}
