//! The producer's end.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::line::PAYLOAD_WORDS;
use super::{End, Geometry, PAYLOAD, RingError, lines_of, stamp};
use crate::frame::encode_into;
use crate::shared::SharedMemory;
use crate::small::SmallFrame;

/// The end that puts frames in.
#[derive(Debug)]
pub struct Producer {
    end: End,
    /// `tail` as last read and found possible.
    tail: u64,
    frame: Vec<u8>,
}

impl Producer {
    /// Takes up the producer's end where the last one left it.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`], or [`RingError::Corrupt`] where the indices in memory cannot be.
    pub fn attach(memory: &SharedMemory, geometry: Geometry) -> Result<Self, RingError> {
        let (mut end, head, tail) = End::attach(memory, geometry)?;
        end.own = head;
        end.index(geometry.head)?.store(head, Ordering::Release);
        Ok(Self { end, tail, frame: Vec::new() })
    }

    /// Takes up the producer's end of a ring whose indices may be spoilt: gives up what is in it, and
    /// sets our index to the peer's.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`].
    pub fn attach_afresh(memory: &SharedMemory, geometry: Geometry) -> Result<Self, RingError> {
        let mut end = End::new(memory, geometry)?;
        // What is given up lies where the next frames go: without its stamps it is gone.
        end.erase()?;
        let tail = end.index(geometry.tail)?.load(Ordering::Acquire);
        end.index(geometry.head)?.store(tail, Ordering::Release);
        end.own = tail;
        Ok(Self { end, tail, frame: Vec::new() })
    }

    /// Lines that can be filled now; a frame takes one for every [`PAYLOAD`] bytes begun.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`].
    pub fn room(&mut self) -> Result<u64, RingError> {
        let head = self.end.own;
        let tail = self.end.index(self.end.geometry.tail)?.load(Ordering::Acquire);
        let used = head.wrapping_sub(tail);
        if used > self.end.geometry.lines() {
            return Err(RingError::Corrupt { head, tail });
        }
        self.tail = tail;
        Ok(self.end.geometry.lines() - used)
    }

    /// Whether there is room for so many lines: as last known, looked up again only where that is too
    /// little. The consumer's cache line is left alone while the ring has room.
    #[inline]
    fn fits(&mut self, lines: u64) -> Result<bool, RingError> {
        let used = self.end.own.wrapping_sub(self.tail);
        if self.end.geometry.lines().saturating_sub(used) >= lines {
            return Ok(true);
        }
        Ok(self.room()? >= lines)
    }

    /// Puts in a whole frame (see [`crate::encode_into`]) or, where there is no room, nothing:
    /// `false`.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`].
    pub fn push_frame(&mut self, frame: &[u8]) -> Result<bool, RingError> {
        let lines = lines_of(frame.len());
        if !self.fits(lines)? {
            return Ok(false);
        }
        let begin = self.end.own;
        let (first, rest) = frame.split_at(frame.len().min(PAYLOAD));
        let mut number = begin;
        for piece in rest.chunks(PAYLOAD) {
            number = number.wrapping_add(1);
            self.end.line(number)?.write(piece);
        }
        let line = self.end.line(begin)?;
        line.write(first);
        line.stamp().store(stamp(begin), Ordering::Release);
        self.publish(lines)?;
        Ok(true)
    }

    /// Puts in a frame of one line.
    #[inline(always)]
    fn push_small(&mut self, words: &[u64; PAYLOAD_WORDS]) -> Result<bool, RingError> {
        if !self.fits(1)? {
            return Ok(false);
        }
        let line = self.end.line(self.end.own)?;
        line.write_words(words);
        line.stamp().store(stamp(self.end.own), Ordering::Release);
        self.publish(1)?;
        Ok(true)
    }

    /// Moves `head` behind a frame that has its stamp.
    #[inline(always)]
    fn publish(&mut self, lines: u64) -> Result<(), RingError> {
        let head = self.end.own.wrapping_add(lines);
        self.end.index(self.end.geometry.head)?.store(head, Ordering::Release);
        self.end.own = head;
        Ok(())
    }

    /// Encodes one message and puts its frame in; `false` where there is no room.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`], [`RingError::Frame`] for a message that is too long.
    #[inline]
    pub fn push_message<M: Serialize>(&mut self, message: &M) -> Result<bool, RingError> {
        if let Some(small) = SmallFrame::<PAYLOAD_WORDS>::encode(message) {
            return self.push_small(small.words());
        }
        self.push_long(message)
    }

    #[inline(never)]
    fn push_long<M: Serialize>(&mut self, message: &M) -> Result<bool, RingError> {
        let mut frame = std::mem::take(&mut self.frame);
        let pushed = encode_into(message, &mut frame)
            .map_err(RingError::from)
            .and_then(|()| self.push_frame(&frame));
        self.frame = frame;
        pushed
    }
}
