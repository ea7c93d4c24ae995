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

mod consumer;
mod producer;

use std::sync::atomic::{AtomicU64, Ordering};

pub use consumer::Consumer;
pub use producer::Producer;

use crate::frame::{FrameError, HEADER, MAX_FRAME};
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
