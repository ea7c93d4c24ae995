//! A channel: messages both ways, over any transport.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::{FrameDecoder, FrameError, encode_into};
use crate::ring::{Consumer, Producer, RingError};

/// Bytes that a [`StreamChannel`] holds for a slow peer before it takes no more.
const BACKLOG: usize = 512 * 1024;

/// Bytes of one read.
const READ: usize = 16 * 1024;

/// Why a channel is of no use any longer.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// the ring is spoilt
    #[error(transparent)]
    Ring(#[from] RingError),
    /// the bytes are no frame
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// the stream failed
    #[error("the channel's stream failed: {0}")]
    Stream(#[from] std::io::Error),
    /// the other side has closed it
    #[error("the other side has closed the channel")]
    Closed,
}

/// Messages both ways. Nothing here waits.
pub trait Channel {
    /// Sends one message whole; `false`: there is no room now, nothing was sent.
    ///
    /// # Errors
    ///
    /// The channel is of no use any longer, or ([`FrameError::TooLong`]) the message is too long.
    fn send<M: Serialize>(&mut self, message: &M) -> Result<bool, ChannelError>;

    /// The next message, `None` where none has arrived.
    ///
    /// # Errors
    ///
    /// The channel is of no use any longer.
    fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ChannelError>;
}

/// A channel over two rings.
#[derive(Debug)]
pub struct RingChannel {
    producer: Producer,
    consumer: Consumer,
}

impl RingChannel {
    /// A channel that sends into one ring and receives from the other.
    pub fn new(producer: Producer, consumer: Consumer) -> Self {
        Self { producer, consumer }
    }

    /// Whether a message may be there: one load, for polling.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.consumer.has_news()
    }
}

impl Channel for RingChannel {
    fn send<M: Serialize>(&mut self, message: &M) -> Result<bool, ChannelError> {
        Ok(self.producer.push_message(message)?)
    }

    #[inline(always)]
    fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ChannelError> {
        self.consumer.take()
    }
}

/// A channel over a stream that does not block (a socket, vsock, a console).
#[derive(Debug)]
pub struct StreamChannel<S> {
    stream: S,
    decoder: FrameDecoder,
    outgoing: VecDeque<u8>,
    frame: Vec<u8>,
    read: Vec<u8>,
}

impl<S: Read + Write> StreamChannel<S> {
    /// A channel over `stream`, which must not block.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(),
            outgoing: VecDeque::new(),
            frame: Vec::new(),
            read: vec![0; READ],
        }
    }

    /// The stream, to wait for it.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Bytes that wait for the stream to take them.
    pub fn backlog(&self) -> usize {
        self.outgoing.len()
    }

    /// Writes what waits, as far as the stream takes it; `true` where nothing is left.
    ///
    /// # Errors
    ///
    /// The stream failed.
    pub fn flush(&mut self) -> Result<bool, ChannelError> {
        while !self.outgoing.is_empty() {
            let (first, _) = self.outgoing.as_slices();
            match self.stream.write(first) {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

impl<S: Read + Write> Channel for StreamChannel<S> {
    fn send<M: Serialize>(&mut self, message: &M) -> Result<bool, ChannelError> {
        self.flush()?;
        encode_into(message, &mut self.frame)?;
        if self.outgoing.len() + self.frame.len() > BACKLOG {
            return Ok(false);
        }
        self.outgoing.extend(&self.frame);
        self.flush()?;
        Ok(true)
    }

    fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ChannelError> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut self.read) {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(count) => self.decoder.push(self.read.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::ToGuest;

    #[test]
    fn a_stream_carries_messages_and_holds_back_a_flood() {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        other.set_nonblocking(true).unwrap();
        let (mut one, mut other) = (StreamChannel::new(one), StreamChannel::new(other));
        let mut sent = 0_u64;
        let data = vec![0; 16 * 1024];
        while one
            .send(&ToGuest::Input { session: crate::SessionId(1), data: data.clone() })
            .unwrap()
        {
            sent += 1;
        }
        assert!(one.backlog() <= BACKLOG);
        let mut received = 0;
        while received < sent {
            match other.receive::<ToGuest>().unwrap() {
                Some(ToGuest::Input { data, .. }) => {
                    assert_eq!(data.len(), 16 * 1024);
                    received += 1;
                }
                Some(message) => panic!("{message:?}"),
                None => drop(one.flush().unwrap()),
            }
        }
        drop(one);
        assert!(matches!(other.receive::<ToGuest>(), Err(ChannelError::Closed)));
    }
}
