//! A ring of bytes in shared memory: one producer, one consumer, neither trusting the other.
//!
//! `head` counts the bytes ever put in and is written by the producer alone; `tail` counts the bytes
//! ever taken out and is written by the consumer alone. Both run freely as `u64` and stand in cache
//! lines of their own. A side keeps its own index to itself and only publishes it: what the peer
//! writes there has no effect. Of the peer's index it believes nothing but what lies between its own
//! and one ring's length away; anything else is [`RingError::Corrupt`].
//!
//! # Frames in a ring
//!
//! Every frame starts on a border of [`ALIGNMENT`] bytes, so that it is copied by whole words; what
//! lies between its end and the next border means nothing.
//!
//! # A side may die at any moment and attach again
//!
//! A ring that carries frames keeps this invariant: **`head` and `tail` always stand on a border
//! between frames.** [`Producer::push_frame`] moves `head` once, after the whole frame is in the
//! ring; [`Consumer::next_frame`] copies a whole frame out and then moves `tail` once. A side that
//! dies in between has published nothing, so whoever attaches next goes on exactly at a border: a
//! frame is never torn, doubled or reordered. What can be lost with a consumer is the one frame that
//! it had taken and not yet acted upon.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::{
    FrameError, HEADER, MAX_FRAME, decode_whole, encode_into, encode_small, frame_length,
};
use crate::shared::SharedMemory;

/// Frames start at multiples of this many bytes.
pub const ALIGNMENT: usize = 8;

/// Frames of at most this many bytes take no detour over the heap.
const SMALL: usize = 64;

/// Why a ring cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// the geometry is impossible
    #[error(
        "a ring of {size} bytes at {data:#x}, indices at {head:#x} and {tail:#x}, does not fit \
         its memory: the two sides were built from different layouts"
    )]
    Geometry {
        /// Offset of the bytes.
        data: usize,
        /// Their number; a power of two.
        size: usize,
        /// Offset of `head`.
        head: usize,
        /// Offset of `tail`.
        tail: usize,
    },
    /// the peer wrote an index that cannot be
    #[error(
        "the other side of a ring wrote an impossible index (head {head}, tail {tail}): close the \
         channel, and attach again with a new generation"
    )]
    Corrupt {
        /// Bytes ever put in.
        head: u64,
        /// Bytes ever taken out.
        tail: u64,
    },
    /// the peer published a part of a frame
    #[error("the other side of a ring published {available} bytes of a frame of {length}")]
    Torn {
        /// Bytes there.
        available: usize,
        /// Bytes that the frame's header names.
        length: usize,
    },
    /// the bytes are no frame
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Where a ring lies in its memory. Offsets and sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Where the bytes start; a multiple of 8.
    pub data: usize,
    /// How many; a power of two, at least one frame of the largest size.
    pub size: usize,
    /// Where `head` stands; a multiple of 8.
    pub head: usize,
    /// Where `tail` stands; a multiple of 8.
    pub tail: usize,
}

impl Geometry {
    fn error(self) -> RingError {
        let Self { data, size, head, tail } = self;
        RingError::Geometry { data, size, head, tail }
    }
}

fn index(
    memory: &SharedMemory,
    geometry: Geometry,
    offset: usize,
) -> Result<&AtomicU64, RingError> {
    memory.u64(offset).ok_or_else(|| geometry.error())
}

/// What both ends hold.
#[derive(Debug)]
struct End {
    memory: SharedMemory,
    geometry: Geometry,
    data: SharedMemory,
    /// Our own index.
    own: u64,
    /// The peer's index as last read and found possible.
    peer: u64,
}

impl End {
    fn attach(memory: &SharedMemory, geometry: Geometry) -> Result<(Self, u64, u64), RingError> {
        let Geometry { data, size, head, tail } = geometry;
        let bytes = memory.slice(data, size).ok_or_else(|| geometry.error())?;
        if !size.is_power_of_two() || size < HEADER + MAX_FRAME {
            return Err(geometry.error());
        }
        let head = index(memory, geometry, head)?.load(Ordering::Acquire);
        let tail = index(memory, geometry, tail)?.load(Ordering::Acquire);
        if head.wrapping_sub(tail) > size as u64 {
            return Err(RingError::Corrupt { head, tail });
        }
        let end = Self { memory: memory.clone(), geometry, data: bytes, own: 0, peer: 0 };
        Ok((end, head, tail))
    }

    fn index(&self, offset: usize) -> Result<&AtomicU64, RingError> {
        index(&self.memory, self.geometry, offset)
    }

    /// Where the byte number `index` stands, and how many follow it before the ring wraps.
    fn place(&self, index: u64) -> (usize, usize) {
        let at = (index & (self.geometry.size as u64 - 1)) as usize;
        (at, self.geometry.size - at)
    }

    fn read(&self, index: u64, into: &mut [u8]) -> bool {
        let (at, room) = self.place(index);
        if into.len() <= room {
            return self.data.read(at, into);
        }
        let (first, second) = into.split_at_mut(room);
        self.data.read(at, first) && self.data.read(0, second)
    }

    fn write(&self, index: u64, from: &[u8]) -> bool {
        let (at, room) = self.place(index);
        if from.len() <= room {
            return self.data.write(at, from);
        }
        let (first, second) = from.split_at(room);
        self.data.write(at, first) && self.data.write(0, second)
    }
}

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
