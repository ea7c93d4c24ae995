//! One line of a ring: a stamp and a piece of a frame.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::shared::{LINE, WORD};

/// Bytes of a frame that one line carries.
pub const PAYLOAD: usize = LINE - WORD;

/// The words of that.
pub(super) const PAYLOAD_WORDS: usize = PAYLOAD / WORD;

/// A line in shared memory.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    stamp: &'a AtomicU64,
    payload: &'a [AtomicU64; PAYLOAD_WORDS],
}

impl<'a> Line<'a> {
    #[inline(always)]
    pub(super) fn new(words: &'a [AtomicU64; LINE / WORD]) -> Self {
        let [stamp, payload @ ..] = words;
        Self { stamp, payload }
    }

    /// The stamp. What it orders stands in the documentation of the module above.
    #[inline(always)]
    pub(super) fn stamp(self) -> &'a AtomicU64 {
        self.stamp
    }

    /// The payload's first bytes, at most as many as there are. Orders nothing.
    #[inline(always)]
    pub(super) fn read(self, into: &mut [u8]) {
        for (word, piece) in self.payload.iter().zip(into.chunks_mut(WORD)) {
            let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            match <&mut [u8; WORD]>::try_from(&mut *piece) {
                Ok(whole) => *whole = bytes,
                Err(_) => piece.iter_mut().zip(bytes).for_each(|(to, from)| *to = from),
            }
        }
    }

    /// Replaces the payload by these words, little-endian. Orders nothing.
    #[inline(always)]
    pub(super) fn write_words(self, from: &[u64; PAYLOAD_WORDS]) {
        for (word, value) in self.payload.iter().zip(from) {
            word.store(value.to_le(), Ordering::Relaxed);
        }
    }

    /// Replaces the payload by these bytes, at most as many as there are, and zeros behind them.
    /// Orders nothing.
    pub(super) fn write(self, from: &[u8]) {
        let mut words = [0; PAYLOAD_WORDS];
        for (word, piece) in words.iter_mut().zip(from.chunks(WORD)) {
            let mut bytes = [0; WORD];
            bytes.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
            *word = u64::from_le_bytes(bytes);
        }
        self.write_words(&words);
    }
}
