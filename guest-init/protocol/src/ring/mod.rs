//! A ring of frames in shared memory: one producer, one consumer, neither trusting the other.
//!
//! # Lines
//!
//! A ring is an array of lines of 64 bytes, the unit in which processors hand memory to each other:
//! eight bytes of stamp, then [`PAYLOAD`] bytes of a frame. A frame takes as many lines as it needs,
//! and begins a new one. Lines are numbered from the beginning of time, `u64`, running freely; line
//! `n` stands at place `n` modulo the ring's length.
//!
//! The stamp of line `n` says *a frame begins at line n, and all of it is there* where it is exactly
//! `stamp(n)`; anything else says nothing at all. No two lines have the same stamp, so what an
//! earlier lap left is never taken for news; and only stamps are ever written where stamps stand, so
//! nothing that a frame carries can pass for one, whoever chose its bytes.
//!
//! Thus a small message travels in **one** line: the stamp that the consumer polls brings the message
//! with it. Of a round trip there are four transfers, each way the sender taking its line and the
//! receiver fetching it, as many as a bare word polled both ways costs.
//!
//! # Indices
//!
//! `head` is the line after the last frame, written by the producer alone; `tail` the line after the
//! last frame taken out, written by the consumer alone. Neither is on a message's way: the producer
//! reads `tail` only where the room that it knows of is used up, once a lap; the consumer reads `head`
//! once in a while, where nothing comes. A side keeps its own index to itself and only publishes
//! it: what the peer writes there has no effect. Of the peer's index it believes nothing but what lies
//! within the ring; anything else is [`RingError::Corrupt`].
//!
//! # Order
//!
//! - The producer writes a frame's bytes, then its stamp with *release*. The consumer reads the stamp
//!   with *acquire*, then the bytes: it sees all of them.
//! - The consumer has copied a frame out before it publishes `tail` with *release*; the producer reads
//!   `tail` with *acquire* before it writes into those lines again: nothing is overwritten while read.
//! - The producer writes the stamp, then `head` with *release*. Who reads a `head` with *acquire* sees
//!   the stamp of every frame before it: a consumer that finds no stamp at its own line and a `head`
//!   elsewhere has lost the producer, and says so.
//!
//! A consumer reads each byte of a frame once, into memory of its own, and looks at it only there; the
//! frame's length is the one of that copy. A peer that writes meanwhile gets nonsense decoded.
//!
//! # A side may die at any moment and attach again
//!
//! **A stamped frame is whole, and `tail` always stands on a border between frames.** A producer that
//! dies before the stamp has published nothing; one that dies between stamp and `head` leaves a `head`
//! one frame behind, which whoever attaches sees by that frame's stamp. A consumer copies a
//! whole frame out and then moves `tail` once. So whoever attaches next goes on exactly at a border: a
//! frame is never torn, doubled or reordered. What can be lost with a consumer is the one frame that
//! it had taken and not yet acted upon.

mod consumer;
mod line;
mod producer;

use std::sync::atomic::{AtomicU64, Ordering};

pub use consumer::Consumer;
pub use line::PAYLOAD;
pub use producer::Producer;

use self::line::Line;
use crate::frame::{FrameError, HEADER, MAX_FRAME, frame_length};
use crate::shared::{LINE, SharedMemory};

/// Why a ring cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// the geometry is impossible
    #[error(
        "a ring of {size} bytes at {data:#x}, indices at {head:#x} and {tail:#x}, does not fit \
         its memory: the two sides were built from different layouts"
    )]
    Geometry {
        /// Offset of the lines.
        data: usize,
        /// Their bytes; a power of two.
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
        /// The line after the last frame put in.
        head: u64,
        /// The line after the last frame taken out.
        tail: u64,
    },
    /// the bytes are no frame
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Where a ring lies in its memory. Offsets and sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Where the lines start; a multiple of 64.
    pub data: usize,
    /// How many bytes they take; a power of two, at least one frame of the largest size.
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

    #[inline]
    fn lines(self) -> u64 {
        (self.size / LINE) as u64
    }
}

/// Makes a ring empty, whatever was in the memory. Before either side attaches.
///
/// # Errors
///
/// [`RingError::Geometry`].
pub fn clear(memory: &SharedMemory, geometry: Geometry) -> Result<(), RingError> {
    index(memory, geometry, geometry.head)?.store(0, Ordering::Relaxed);
    index(memory, geometry, geometry.tail)?.store(0, Ordering::Relaxed);
    End::new(memory, geometry)?.erase()
}

/// Says that a frame begins at line `number`. Never 0, which is what fresh memory holds.
#[inline]
fn stamp(number: u64) -> u64 {
    number << 1 | 1
}

/// How many lines a frame of so many bytes takes.
#[inline]
fn lines_of(length: usize) -> u64 {
    length.div_ceil(PAYLOAD) as u64
}

#[inline]
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
}

impl End {
    fn new(memory: &SharedMemory, geometry: Geometry) -> Result<Self, RingError> {
        let Geometry { data, size, .. } = geometry;
        let lines = memory.slice(data, size).ok_or_else(|| geometry.error())?;
        if !size.is_power_of_two()
            || !data.is_multiple_of(LINE)
            || geometry.lines() < lines_of(HEADER + MAX_FRAME)
        {
            return Err(geometry.error());
        }
        Ok(Self { memory: memory.clone(), geometry, data: lines, own: 0 })
    }

    /// Takes up an end of a ring, with the ring's head and tail.
    fn attach(memory: &SharedMemory, geometry: Geometry) -> Result<(Self, u64, u64), RingError> {
        let end = Self::new(memory, geometry)?;
        let tail = end.index(geometry.tail)?.load(Ordering::Acquire);
        let head = end.settle(end.head()?)?;
        if head.wrapping_sub(tail) > geometry.lines() {
            return Err(RingError::Corrupt { head, tail });
        }
        Ok((end, head, tail))
    }

    #[inline]
    fn index(&self, offset: usize) -> Result<&AtomicU64, RingError> {
        index(&self.memory, self.geometry, offset)
    }

    /// The line of this number.
    #[inline]
    fn line(&self, number: u64) -> Result<Line<'_>, RingError> {
        let place = (number & (self.geometry.lines() - 1)) as usize;
        self.data.line(place * LINE).map(Line::new).ok_or_else(|| self.geometry.error())
    }

    /// Whether a whole frame begins at the line of this number.
    #[inline]
    fn is_stamped(&self, number: u64) -> Result<bool, RingError> {
        Ok(self.line(number)?.stamp().load(Ordering::Acquire) == stamp(number))
    }

    /// `head` as published.
    fn head(&self) -> Result<u64, RingError> {
        Ok(self.index(self.geometry.head)?.load(Ordering::Acquire))
    }

    /// A published `head`, moved behind the frame that begins there where that has its stamp: its
    /// producer has died before it could publish that, or is about to.
    fn settle(&self, head: u64) -> Result<u64, RingError> {
        if !self.is_stamped(head)? {
            return Ok(head);
        }
        let mut header = [0; HEADER];
        self.line(head)?.read(&mut header);
        Ok(frame_length(header).map_or(head, |length| head.wrapping_add(lines_of(length))))
    }

    /// Takes all stamps away.
    fn erase(&self) -> Result<(), RingError> {
        for number in 0..self.geometry.lines() {
            self.line(number)?.stamp().store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}
