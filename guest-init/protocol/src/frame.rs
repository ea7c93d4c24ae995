//! Frames: a length, then one message.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the length that stands before each message.
pub const HEADER: usize = 4;

/// The largest message, in bytes, its length field not counted.
pub const MAX_FRAME: usize = 32 * 1024;

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// the length field names more than [`MAX_FRAME`]
    #[error("a frame of {0} bytes: at most {MAX_FRAME} are allowed")]
    TooLong(usize),
    /// the bytes are not a message of this protocol
    #[error("a frame that holds no message of this protocol: {0}")]
    Malformed(postcard::Error),
    /// more bytes than its message takes
    #[error("a frame with {0} bytes behind its message")]
    Trailing(usize),
}

/// Takes bytes as they come from a transport and gives whole messages back.
///
/// ```
/// use protocol::{FrameDecoder, ToGuest, encode};
///
/// let mut decoder = FrameDecoder::new();
/// let frame = encode(&ToGuest::Ping { sequence: 7 }).unwrap();
/// let (first, rest) = frame.split_at(3);
/// decoder.push(first);
/// assert_eq!(decoder.next::<ToGuest>(), Ok(None));
/// decoder.push(rest);
/// assert_eq!(decoder.next(), Ok(Some(ToGuest::Ping { sequence: 7 })));
/// ```
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    taken: usize,
}

impl FrameDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that arrived. The caller drains [`FrameDecoder::next`] between calls, so that no
    /// more than one unfinished frame and one read's worth of bytes are ever held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, `None` where more bytes are needed.
    ///
    /// # Errors
    ///
    /// Any error is final: the stream cannot be followed further, and the channel is to be closed.
    #[expect(clippy::should_implement_trait, reason = "the message type is chosen by the caller")]
    pub fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let pending = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((message, length)) = decode(pending)? else {
            return Ok(None);
        };
        self.taken += length;
        Ok(Some(message))
    }

    /// Bytes held that no message has used yet.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.taken
    }
}

/// The length of the whole frame, header included, that starts with this header.
///
/// # Errors
///
/// [`FrameError::TooLong`] where the header names more than [`MAX_FRAME`].
#[inline]
pub fn frame_length(header: [u8; HEADER]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(header) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    Ok(HEADER + length)
}

/// The one decoder: the message of the frame that `bytes` start with, and how many bytes the frame
/// takes; `None` where the frame is not all there. Every transport ends here.
///
/// # Errors
///
/// Bytes that are no frame. The stream cannot be followed further.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<Option<(M, usize)>, FrameError> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = frame_length(*header)?;
    let Some(frame) = bytes.get(..length) else {
        return Ok(None);
    };
    Ok(decode_whole(frame, |error| error)?.map(|message| (message, length)))
}

/// The message of a frame that is all there and no longer than its header says, which the caller has
/// read. Always `Some` where it is `Ok`: what callers give back in their turn, so that the message
/// need not be moved again.
#[inline(always)]
pub(crate) fn decode_whole<M, E>(
    frame: &[u8],
    wrap: impl Fn(FrameError) -> E,
) -> Result<Option<M>, E>
where
    M: DeserializeOwned,
{
    let body = frame.get(HEADER..).unwrap_or_default();
    let mut decoder = postcard::Deserializer::from_bytes(body);
    let decoded = M::deserialize(&mut decoder);
    let rest = decoder.finalize().map_or(0, <[u8]>::len);
    match decoded {
        Ok(_) if rest > 0 => Err(wrap(FrameError::Trailing(rest))),
        Ok(message) => Ok(Some(message)),
        Err(error) => Err(wrap(FrameError::Malformed(error))),
    }
}

/// One message as a frame.
///
/// # Errors
///
/// [`FrameError::TooLong`] where the message takes more than [`MAX_FRAME`] bytes.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameError> {
    let mut frame = Vec::with_capacity(64);
    encode_into(message, &mut frame)?;
    Ok(frame)
}

/// Replaces the contents of `frame` by one message as a frame; keeps its allocation.
///
/// # Errors
///
/// [`FrameError::TooLong`] where the message takes more than [`MAX_FRAME`] bytes.
pub fn encode_into<M: Serialize>(message: &M, frame: &mut Vec<u8>) -> Result<(), FrameError> {
    frame.clear();
    frame.extend_from_slice(&[0; HEADER]);
    let mut encoded =
        postcard::to_extend(message, std::mem::take(frame)).map_err(FrameError::Malformed)?;
    let length = encoded.len() - HEADER;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    if let Some(header) = encoded.first_chunk_mut::<HEADER>() {
        *header = (length as u32).to_le_bytes();
    }
    *frame = encoded;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToGuest, ToHost};

    #[test]
    fn a_frame_larger_than_allowed_is_refused_before_it_arrives() {
        let mut decoder = FrameDecoder::new();
        decoder.push(&u32::MAX.to_le_bytes());
        assert_eq!(decoder.next::<ToHost>(), Err(FrameError::TooLong(u32::MAX as usize)));
    }

    #[test]
    fn bytes_behind_a_message_are_an_error() {
        let mut frame = encode(&ToGuest::Ping { sequence: 1 }).unwrap();
        frame.push(0);
        frame[0] += 1;
        let mut decoder = FrameDecoder::new();
        decoder.push(&frame);
        assert_eq!(decoder.next::<ToGuest>(), Err(FrameError::Trailing(1)));
    }

    #[test]
    fn a_message_that_is_too_long_is_not_sent() {
        let message = ToGuest::Input { session: crate::SessionId(1), data: vec![0; MAX_FRAME] };
        assert!(matches!(encode(&message), Err(FrameError::TooLong(_))));
    }

    proptest::proptest! {
        #[test]
        fn frames_survive_any_splitting(sequences: Vec<u64>, cuts: Vec<u8>) {
            let stream: Vec<u8> = sequences
                .iter()
                .flat_map(|sequence| encode(&ToGuest::Ping { sequence: *sequence }).unwrap())
                .collect();
            let mut decoder = FrameDecoder::new();
            let mut received = Vec::new();
            let mut rest = &stream[..];
            let mut cuts = cuts.into_iter().cycle();
            while !rest.is_empty() {
                let cut = usize::from(cuts.next().unwrap_or(3)).clamp(1, rest.len());
                decoder.push(&rest[..cut]);
                rest = &rest[cut..];
                while let Some(message) = decoder.next::<ToGuest>().unwrap() {
                    received.push(message);
                }
            }
            let sent: Vec<_> =
                sequences.into_iter().map(|sequence| ToGuest::Ping { sequence }).collect();
            proptest::prop_assert_eq!(received, sent);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut decoder = FrameDecoder::new();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next::<ToHost>() {}
        }
    }
}
