//! The consumer's end.

use std::sync::atomic::Ordering;

use serde::de::DeserializeOwned;

use super::{End, Geometry, PAYLOAD, RingError, lines_of, stamp};
use crate::frame::{decode_whole, frame_length};
use crate::shared::SharedMemory;

/// Of so many looks that find nothing, one asks whether the producer is where we wait for it. Rarely:
/// the producer writes that cache line with every message.
const CHECK: u32 = 1024;

/// The end that takes frames out.
#[derive(Debug)]
pub struct Consumer {
    end: End,
    /// Looks that found nothing, running freely.
    idle: u32,
    /// A frame that takes more than one line.
    frame: Vec<u8>,
}

impl Consumer {
    /// Takes up the consumer's end where the last one left it.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`], or [`RingError::Corrupt`] where the indices in memory cannot be.
    pub fn attach(memory: &SharedMemory, geometry: Geometry) -> Result<Self, RingError> {
        let (mut end, _, tail) = End::attach(memory, geometry)?;
        end.own = tail;
        Ok(Self { end, idle: 0, frame: Vec::new() })
    }

    /// Takes up the consumer's end of a ring whose indices may be spoilt: gives up what is in it, and
    /// sets our index to the peer's.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`].
    pub fn attach_afresh(memory: &SharedMemory, geometry: Geometry) -> Result<Self, RingError> {
        let mut consumer = Self { end: End::new(memory, geometry)?, idle: 0, frame: Vec::new() };
        consumer.discard()?;
        Ok(consumer)
    }

    /// Whether there may be something to take out: one load, for polling. What it is, or what is
    /// wrong with it, [`Consumer::next_frame`] says.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.end.is_stamped(self.end.own).unwrap_or(false)
    }

    /// The next message, `None` where the ring is empty.
    ///
    /// The frame is copied out before it is looked at, so the peer cannot change it meanwhile.
    ///
    /// # Errors
    ///
    /// Any error is final until [`Consumer::discard`]; nothing has been taken out.
    #[inline(always)]
    pub fn next_frame<M: DeserializeOwned>(&mut self) -> Result<Option<M>, RingError> {
        self.take()
    }

    /// As [`Consumer::next_frame`], with the caller's error.
    // Inlined, and with one place where the message is given back: each time that a message is moved
    // right after it was decoded costs as much as decoding it, because it is loaded in other pieces
    // than it was stored in, and the processor waits for the stores.
    #[inline(always)]
    pub(crate) fn take<M, E>(&mut self) -> Result<Option<M>, E>
    where
        M: DeserializeOwned,
        E: From<RingError>,
    {
        let mut first = [0; PAYLOAD];
        let frame = match self.copy_frame(&mut first) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let lines = lines_of(frame.len());
        let decoded = decode_whole(frame, |error| E::from(RingError::Frame(error)));
        if decoded.is_ok() {
            self.advance(lines).map_err(E::from)?;
        }
        decoded
    }

    #[inline(always)]
    fn copy_frame<'a>(
        &'a mut self,
        first: &'a mut [u8; PAYLOAD],
    ) -> Result<Option<&'a [u8]>, RingError> {
        let line = self.end.line(self.end.own)?;
        if line.stamp().load(Ordering::Acquire) != stamp(self.end.own) {
            return self.nothing().map(|()| None);
        }
        line.read(first);
        let length = frame_length(first.first_chunk().copied().unwrap_or_default())?;
        if length <= PAYLOAD {
            return Ok(first.get(..length));
        }
        self.copy_long(first, length).map(Some)
    }

    #[inline(always)]
    fn advance(&mut self, lines: u64) -> Result<(), RingError> {
        let tail = self.end.own.wrapping_add(lines);
        self.end.index(self.end.geometry.tail)?.store(tail, Ordering::Release);
        self.end.own = tail;
        Ok(())
    }

    /// A frame of more than one line, whose first one has been copied out already.
    #[inline(never)]
    fn copy_long(&mut self, first: &[u8; PAYLOAD], length: usize) -> Result<&[u8], RingError> {
        self.frame.resize(length.max(PAYLOAD), 0);
        let (start, rest) = self.frame.split_at_mut(PAYLOAD);
        start.copy_from_slice(first);
        let mut number = self.end.own;
        for piece in rest.chunks_mut(PAYLOAD) {
            number = number.wrapping_add(1);
            self.end.line(number)?.read(piece);
        }
        Ok(&self.frame)
    }

    #[inline]
    fn nothing(&mut self) -> Result<(), RingError> {
        self.idle = self.idle.wrapping_add(1);
        if self.idle.is_multiple_of(CHECK) { self.check() } else { Ok(()) }
    }

    /// Whether the producer is where we wait for it. An honest one stands at our line, or has put a
    /// frame in since we looked, or has not published yet that it had put in the frame that we took
    /// last; what else it may say in `head` makes us wait for ever.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`].
    #[cold]
    pub fn check(&self) -> Result<(), RingError> {
        let tail = self.end.own;
        let head = self.end.head()?;
        // In this order: the stamp of a frame is there before a `head` behind it is.
        if head == tail || self.has_news() || self.end.settle(head)? == tail {
            return Ok(());
        }
        Err(RingError::Corrupt { head, tail })
    }

    /// Throws away all that is in the ring, which ends at a border between frames, and says how many
    /// lines that was. After an error, or to begin afresh. Where the peer's index is impossible, ours
    /// is set to it.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`].
    pub fn discard(&mut self) -> Result<u64, RingError> {
        let head = self.end.settle(self.end.head()?)?;
        let count = head.wrapping_sub(self.end.own);
        self.end.index(self.end.geometry.tail)?.store(head, Ordering::Release);
        self.end.own = head;
        Ok(count)
    }
}
