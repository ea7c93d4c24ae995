//! The producer's end.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::{ALIGNMENT, End, Geometry, RingError, SMALL, index};
use crate::frame::{encode_into, encode_small};
use crate::shared::SharedMemory;

/// The end that puts bytes in.
#[derive(Debug)]
pub struct Producer {
    end: End,
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
        end.peer = tail;
        Ok(Self { end, frame: Vec::new() })
    }

    /// Takes up the producer's end of a ring whose indices may be spoilt: gives up what is in it, and
    /// sets our index to the peer's.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`].
    pub fn attach_afresh(memory: &SharedMemory, geometry: Geometry) -> Result<Self, RingError> {
        let tail = index(memory, geometry, geometry.tail)?.load(Ordering::Acquire);
        index(memory, geometry, geometry.head)?.store(tail, Ordering::Release);
        Self::attach(memory, geometry)
    }

    /// Bytes that can be put in now.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`].
    pub fn room(&mut self) -> Result<usize, RingError> {
        let head = self.end.own;
        let tail = self.end.index(self.end.geometry.tail)?.load(Ordering::Acquire);
        let used = head.wrapping_sub(tail);
        if used > self.end.geometry.size as u64 {
            return Err(RingError::Corrupt { head, tail });
        }
        self.end.peer = tail;
        Ok(self.end.geometry.size - used as usize)
    }

    /// Room as last known, looked up again only where that is less than `wanted`: the peer's cache
    /// line is left alone while the ring has room.
    fn room_for(&mut self, wanted: usize) -> Result<usize, RingError> {
        let used = self.end.own.wrapping_sub(self.end.peer) as usize;
        let room = self.end.geometry.size.saturating_sub(used);
        if room >= wanted { Ok(room) } else { self.room() }
    }

    /// Puts `bytes` in and moves `head` on by `length`.
    fn publish(&mut self, bytes: &[u8], length: usize) -> Result<(), RingError> {
        if !self.end.write(self.end.own, bytes) {
            return Err(self.end.geometry.error());
        }
        let head = self.end.own.wrapping_add(length as u64);
        self.end.index(self.end.geometry.head)?.store(head, Ordering::Release);
        self.end.own = head;
        Ok(())
    }

    /// Puts in as many bytes as there is room for and says how many. For rings that carry plain
    /// bytes; a ring of frames takes [`Producer::push_frame`] only.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, RingError> {
        let count = self.room_for(bytes.len())?.min(bytes.len());
        self.publish(bytes.get(..count).unwrap_or_default(), count)?;
        Ok(count)
    }

    /// Puts in a whole frame (see [`crate::encode_into`]) or, where there is no room, nothing:
    /// `false`.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`].
    pub fn push_frame(&mut self, frame: &[u8]) -> Result<bool, RingError> {
        let length = frame.len().next_multiple_of(ALIGNMENT);
        if self.room_for(length)? < length {
            return Ok(false);
        }
        self.publish(frame, length)?;
        Ok(true)
    }

    /// Encodes one message and puts its frame in; `false` where there is no room.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`], [`RingError::Frame`] for a message that is too long.
    pub fn push_message<M: Serialize>(&mut self, message: &M) -> Result<bool, RingError> {
        let mut small = [0; SMALL];
        if let Some(length) = encode_small(message, &mut small) {
            // Whole words, as far as the next border: what lies behind the frame means nothing.
            let padded = small.get(..length.next_multiple_of(ALIGNMENT)).unwrap_or_default();
            return self.push_frame(padded);
        }
        let mut frame = std::mem::take(&mut self.frame);
        let pushed = encode_into(message, &mut frame)
            .map_err(RingError::from)
            .and_then(|()| self.push_frame(&frame));
        self.frame = frame;
        pushed
    }
}
