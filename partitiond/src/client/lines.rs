//! An answer that comes as one JSON object a line, for as long as it takes.

use std::marker::PhantomData;

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
}

impl<T: DeserializeOwned> Iterator for Lines<'_, T> {
    type Item = Result<T, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(line) = self.line() {
                // An empty line keeps a connection alive.
                if !line.trim_ascii().is_empty() {
                    return Some(serde_json::from_slice(&line).map_err(ClientError::Unreadable));
                }
            }
            if self.ended {
                return None;
            }
            match self.runtime.block_on(self.answer.piece()) {
                Ok(Some(piece)) if self.buffer.len() + piece.len() > MAX_LINE => {
                    self.ended = true;
                    self.buffer.clear();
                    return Some(Err(ClientError::TooLong(MAX_LINE >> 20)));
                }
                Ok(Some(piece)) => self.buffer.extend_from_slice(&piece),
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    self.buffer.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}
