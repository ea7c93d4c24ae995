//! Frames that fit into a few words, encoded without memory to copy from.

use postcard::ser_flavors::Flavor;
use serde::Serialize;

use crate::frame::HEADER;

const WORD: usize = size_of::<u64>();

/// A frame of at most `N` words, ready to be stored word by word.
///
/// Bytes are put together in words at once: bytes that are stored one by one and loaded as words
/// right after make a processor wait until its stores are done, which costs more than encoding.
#[derive(Debug)]
pub(crate) struct SmallFrame<const N: usize> {
    words: [u64; N],
    /// Bytes so far.
    length: usize,
}

impl<const N: usize> SmallFrame<N> {
    /// One message as a frame; `None` where it does not fit (or cannot be encoded at all, which
    /// [`crate::encode_into`] then tells).
    #[inline(always)]
    pub(crate) fn encode<M: Serialize>(message: &M) -> Option<Self> {
        let mut frame = Self { words: [0; N], length: HEADER };
        postcard::serialize_with_flavor(message, &mut frame).ok()?;
        let length = u32::try_from(frame.length - HEADER).ok()?;
        *frame.words.first_mut()? |= u64::from(length);
        Some(frame)
    }

    /// The words, little-endian; what lies behind the frame is zero.
    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64; N] {
        &self.words
    }

    /// Adds the lower `count` bytes of `bytes`, of which the others are zero.
    #[inline(always)]
    fn add(&mut self, bytes: u64, count: usize) -> postcard::Result<()> {
        let (at, shift) = (self.length / WORD, self.length % WORD);
        self.length += count;
        if self.length > N * WORD {
            return Err(postcard::Error::SerializeBufferFull);
        }
        if let Some(word) = self.words.get_mut(at) {
            *word |= bytes << (shift * 8);
        }
        if shift + count > WORD
            && let Some(word) = self.words.get_mut(at + 1)
        {
            *word = bytes >> ((WORD - shift) * 8);
        }
        Ok(())
    }
}

// Not for the frame itself: it would be moved, and so loaded, right after it was stored.
impl<const N: usize> Flavor for &mut SmallFrame<N> {
    type Output = ();

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.add(byte.into(), 1)
    }

    #[inline(always)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        for piece in bytes.chunks(WORD) {
            let word = piece.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.add(word, piece.len())?;
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToGuest, ToHost, encode};

    fn bytes(frame: &SmallFrame<7>) -> Vec<u8> {
        frame.words().iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    proptest::proptest! {
        #[test]
        fn a_small_frame_is_the_frame(sequence: u64, text in ".{0,60}", line: Vec<u8>) {
            let stream = crate::Stream::Stderr;
            for message in [
                ToHost::Pong { sequence },
                ToHost::Warning { text: text.clone() },
                ToHost::Log { workload: text.clone(), stream, line: line.clone() },
            ] {
                let frame = encode(&message).unwrap();
                match SmallFrame::<7>::encode(&message) {
                    None => assert!(frame.len() > 56),
                    Some(small) => {
                        let mut padded = frame.clone();
                        padded.resize(56, 0);
                        assert_eq!(bytes(&small), padded);
                    }
                }
            }
        }
    }

    #[test]
    fn frames_that_just_fit_and_just_do_not() {
        for (length, fits) in [(49, true), (50, true), (51, false), (5000, false)] {
            // Variant and session take a byte each, the length another or two.
            let data = vec![7; length - 1];
            let message = ToGuest::Input { session: crate::SessionId(1), data };
            assert_eq!(encode(&message).unwrap().len() <= 56, fits, "{length}");
            assert_eq!(SmallFrame::<7>::encode(&message).is_some(), fits, "{length}");
        }
    }
}
