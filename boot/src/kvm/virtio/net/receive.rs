//! The way of packets to the driver: its buffers are taken ahead, until the largest packet has room in them, as
//! nobody knows how large the next one is.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use super::super::buffers::{self, Buffer, MOST_PIECES, Piece};
use super::super::{Queues, Spoilt};

/// Where the header says over how many buffers the packet goes.
const COUNT_AT: usize = 10;

/// Whether there is room for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is, for the largest.
    Enough,
    /// The driver has to make some, and tells when it has.
    None,
}

/// Buffers that the driver has made ready.
#[derive(Default)]
pub struct Receiver {
    buffers: VecDeque<Buffer>,
    /// Bytes and pieces of all of them.
    bytes: usize,
    pieces: usize,
    /// Bytes of the largest packet, with its header.
    largest: usize,
    /// Whether a packet may go over several buffers.
    merged: bool,
}

impl Receiver {
    /// One for packets of at most so many bytes, with their header.
    pub fn new(largest: usize, merged: bool) -> Self {
        Self { largest, merged, ..Self::default() }
    }

    /// Takes buffers until the largest packet has room. Those that are none are handed back, and counted.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn make_room(
        &mut self,
        queue: u16,
        queues: &mut Queues<'_>,
        wrong: &mut u64,
    ) -> Result<Room, Spoilt> {
        loop {
            if self.has_room() {
                return Ok(Room::Enough);
            }
            queues.tell_of_new(queue, false)?;
            while !self.has_room()
                && let Some(chain) = queues.next_chain(queue)?
            {
                let head = chain.head_index();
                match Buffer::new(chain, queues.memory()) {
                    Ok(buffer) if self.takes(&buffer) => self.add(buffer),
                    _ => {
                        *wrong += 1;
                        queues.done(queue, head, 0)?;
                    }
                }
            }
            if self.has_room() {
                return Ok(Room::Enough);
            }
            // One that came between the last look and this is not told of.
            if !queues.tell_of_new(queue, true)? {
                return Ok(Room::None);
            }
        }
    }

    fn has_room(&self) -> bool {
        match self.merged {
            true => self.bytes >= self.largest,
            false => !self.buffers.is_empty(),
        }
    }

    /// Whether a buffer is one for packets: a header fits, and where it stands alone, all of one.
    fn takes(&self, buffer: &Buffer) -> bool {
        let room = buffers::length(&buffer.writable);
        let least = if self.merged { super::HEADER } else { self.largest };
        let pieces = self.pieces + buffer.writable.len();
        room >= least && (pieces <= MOST_PIECES || !self.merged)
    }

    fn add(&mut self, buffer: Buffer) {
        self.bytes += buffers::length(&buffer.writable);
        self.pieces += buffer.writable.len();
        self.buffers.push_back(buffer);
    }

    /// Reads a packet into the buffers. There must be room.
    ///
    /// # Errors
    ///
    /// What readv(2) says.
    pub fn read(&self, tap: &File) -> io::Result<usize> {
        let count = if self.merged { usize::MAX } else { 1 };
        let buffers = self.buffers.iter().take(count);
        let pieces: Vec<Piece> =
            buffers.flat_map(|buffer| buffer.writable.iter().copied()).collect();
        let count = pieces.len() as i32;
        // SAFETY: the pieces are in mappings that last, and nobody makes references to what is there.
        let read = unsafe { libc::readv(tap.as_raw_fd(), pieces.as_ptr().cast(), count) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    /// Forgets the buffers, and returns how many they were.
    pub fn forget(&mut self) -> u16 {
        let count = self.buffers.len() as u16;
        *self = Self::new(self.largest, self.merged);
        count
    }

    /// Hands a packet of `length` bytes over that was read.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn hand_over(
        &mut self,
        queue: u16,
        length: usize,
        queues: &mut Queues<'_>,
    ) -> Result<(), Spoilt> {
        let mut parts = Vec::new();
        let mut rest = length;
        while rest > 0
            && let Some(buffer) = self.buffers.pop_front()
        {
            let room = buffers::length(&buffer.writable);
            self.bytes -= room;
            self.pieces -= buffer.writable.len();
            let part = rest.min(room);
            rest -= part;
            parts.push((buffer, part));
        }
        if let Some((first, _)) = parts.first() {
            let count = parts.len() as u16;
            buffers::put(&first.writable, COUNT_AT, &count.to_le_bytes());
        }
        let parts: Vec<(u16, u32)> =
            parts.into_iter().map(|(buffer, part)| (buffer.head, part as u32)).collect();
        queues.done_together(queue, &parts)
    }
}
