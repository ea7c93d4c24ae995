//! What a request carries.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::ClientError;

/// Bytes read from a file at once.
const CHUNK: usize = 256 * 1024;

/// Hears how many bytes were sent.
pub type Sent = Box<dyn Fn(u64) + Send>;

/// What a request carries.
pub enum Payload {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// A file, sent as it is read.
    File { file: File, left: u64, sent: Sent },
}

impl Payload {
    /// A file, as long as it is now.
    pub fn file(path: &Path, sent: Sent) -> Result<Self, ClientError> {
        let failed = |error| ClientError::File { path: path.to_owned(), error };
        let file = File::open(path).map_err(failed)?;
        let left = file.metadata().map_err(failed)?.len();
        Ok(Self::File { file, left, sent })
    }

    /// Whether it is JSON (an image's manifest is, too).
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::File { .. } => "application/octet-stream",
            Self::Empty | Self::Bytes(_) => "application/json",
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File { file, left, sent } => {
                // Reading blocks, which is fine: nothing else runs on this thread.
                let mut chunk = Vec::with_capacity(CHUNK);
                match file.take((*left).min(CHUNK as u64)).read_to_end(&mut chunk) {
                    Ok(0) => Poll::Ready(Some(Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file became shorter while it was read",
                    )))),
                    Ok(read) => {
                        *left = left.saturating_sub(read as u64);
                        sent(read as u64);
                        Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
                    }
                    Err(error) => Poll::Ready(Some(Err(error))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty | Self::File { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { left, .. } => *left,
        })
    }
}
