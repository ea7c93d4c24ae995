//! The consumer's end.

use std::sync::atomic::Ordering;

use serde::de::DeserializeOwned;

use super::{ALIGNMENT, End, Geometry, RingError, SMALL, index};
use crate::frame::{HEADER, decode_whole, frame_length};
use crate::shared::SharedMemory;

/// The end that takes bytes out.
#[derive(Debug)]
pub struct Consumer {
    end: End,
    frame: Vec<u8>,
}

impl Consumer {
    /// Takes up the consumer's end where the last one left it.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`], or [`RingError::Corrupt`] where the indices in memory cannot be.
    pub fn attach(memory: &SharedMemory, geometry: Geometry) -> Result<Self, RingError> {
        let (mut end, head, tail) = End::attach(memory, geometry)?;
        end.own = tail;
        end.peer = head;
        Ok(Self { end, frame: vec![0; SMALL] })
    }

    /// Takes up the consumer's end of a ring whose indices may be spoilt: gives up what is in it, and
    /// sets our index to the peer's.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`].
    pub fn attach_afresh(memory: &SharedMemory, geometry: Geometry) -> Result<Self, RingError> {
        let head = index(memory, geometry, geometry.head)?.load(Ordering::Acquire);
        index(memory, geometry, geometry.tail)?.store(head, Ordering::Release);
        Self::attach(memory, geometry)
    }

    /// Bytes that can be taken out now.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`].
    pub fn available(&mut self) -> Result<usize, RingError> {
        let tail = self.end.own;
        let known = self.end.peer.wrapping_sub(tail);
        if known > 0 {
            return Ok(known as usize);
        }
        let head = self.end.index(self.end.geometry.head)?.load(Ordering::Acquire);
        let available = head.wrapping_sub(tail);
        if available > self.end.geometry.size as u64 {
            return Err(RingError::Corrupt { head, tail });
        }
        self.end.peer = head;
        Ok(available as usize)
    }

    /// Whether there may be something to take out: one load, for polling. What it is, or what is
    /// wrong with it, [`Consumer::next_frame`] says.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.end.peer != self.end.own
            || index(&self.end.memory, self.end.geometry, self.end.geometry.head)
                .is_ok_and(|head| head.load(Ordering::Acquire) != self.end.own)
    }

    fn advance(&mut self, count: usize) -> Result<(), RingError> {
        let tail = self.end.own.wrapping_add(count as u64);
        self.end.index(self.end.geometry.tail)?.store(tail, Ordering::Release);
        self.end.own = tail;
        Ok(())
    }

    /// Takes out as many bytes as there are and fit, and says how many. For rings that carry plain
    /// bytes; a ring of frames takes [`Consumer::next_frame`] only.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`].
    pub fn pop(&mut self, into: &mut [u8]) -> Result<usize, RingError> {
        let count = self.available()?.min(into.len());
        let Some(into) = into.get_mut(..count) else { return Ok(0) };
        if !self.end.read(self.end.own, into) {
            return Err(self.end.geometry.error());
        }
        self.advance(count)?;
        Ok(count)
    }

    /// The next message, `None` where the ring is empty.
    ///
    /// The frame is copied out before it is looked at, so the peer cannot change it meanwhile.
    ///
    /// # Errors
    ///
    /// Any error is final until [`Consumer::discard`]; nothing has been taken out.
    // Inlined, so that a message is built where the caller wants it and not moved there.
    #[inline(always)]
    pub fn next_frame<M: DeserializeOwned>(&mut self) -> Result<Option<M>, RingError> {
        let length = self.copy_frame()?;
        if length == 0 {
            return Ok(None);
        }
        let message = decode_whole(self.frame.get(..length).unwrap_or_default())?;
        self.advance(length.next_multiple_of(ALIGNMENT))?;
        Ok(Some(message))
    }

    /// Copies the next frame to the front of `self.frame` and gives its length; 0 where the ring is
    /// empty.
    fn copy_frame(&mut self) -> Result<usize, RingError> {
        let available = self.available()?;
        if available == 0 {
            return Ok(0);
        }
        // One copy of what a small frame takes; a longer one is copied again, whole.
        let first = self.frame.get_mut(..available.min(SMALL)).unwrap_or_default();
        if !self.end.read(self.end.own, first) {
            return Err(self.end.geometry.error());
        }
        let Some(header) = first.first_chunk::<HEADER>().copied() else {
            return Err(RingError::Torn { available, length: HEADER });
        };
        let length = frame_length(header)?;
        let padded = length.next_multiple_of(ALIGNMENT);
        if available < padded {
            return Err(RingError::Torn { available, length: padded });
        }
        if length > SMALL {
            self.copy_long(header, length)?;
        }
        Ok(length)
    }

    #[cold]
    fn copy_long(&mut self, header: [u8; HEADER], length: usize) -> Result<(), RingError> {
        if self.frame.len() < length {
            self.frame.resize(length, 0);
        }
        let frame = self.frame.get_mut(..length).unwrap_or_default();
        if !self.end.read(self.end.own, frame) {
            return Err(self.end.geometry.error());
        }
        // The peer may have changed the length since it was checked: the checked one counts.
        if let Some(first) = frame.first_chunk_mut::<HEADER>() {
            *first = header;
        }
        Ok(())
    }

    /// Throws away all that is in the ring, which ends at a border between frames, and says how many
    /// bytes that was. After an error, or to begin afresh. Where the peer's index is impossible, ours
    /// is set to it.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`].
    pub fn discard(&mut self) -> Result<u64, RingError> {
        let head = self.end.index(self.end.geometry.head)?.load(Ordering::Acquire);
        let count = head.wrapping_sub(self.end.own);
        self.end.index(self.end.geometry.tail)?.store(head, Ordering::Release);
        self.end.own = head;
        self.end.peer = head;
        Ok(count)
    }
}
