//! A disk (virtio 1.2, section 5.2).
//!
//! Requests are read once, checked, and handed to an [`Engine`], which has the disk; their data goes straight
//! between it and the guest's memory. What the guest writes never says what kind of disk it is: that, its size
//! and its name come from whoever opened it.

mod engine;
mod request;
mod threads;
mod uring;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_memory::{Bytes as _, GuestAddress};

use super::{Device, Queues, Spoilt};
use crate::memory::PartitionMemory;
use crate::units::Bytes;
pub use engine::{Disk, Engine, engine};
use engine::{Job, Kind};
use request::{Parsed, Status};

/// The number of its kind.
const KIND: u32 = 2;
/// The most descriptors of its queue, and the most pieces that the data of one request may have.
const QUEUE: u16 = 256;
const MOST_PIECES: u32 = QUEUE as u32 - 2;
/// The unit of places and sizes.
pub const SECTOR: u64 = 512;
/// The most that one request may give back to the disk or fill with zeros.
const MOST_AT_ONCE: Bytes = Bytes::gib(1);

/// Features (section 5.2.3).
mod feature {
    pub const SEGMENTS: u64 = 1 << 2;
    pub const READ_ONLY: u64 = 1 << 5;
    pub const BLOCK_SIZE: u64 = 1 << 6;
    pub const FLUSH: u64 = 1 << 9;
    pub const DISCARD: u64 = 1 << 13;
    pub const WRITE_ZEROES: u64 = 1 << 14;
}

/// The configuration (section 5.2.4), as far as drivers are told of it.
mod config {
    pub const CAPACITY: usize = 0;
    pub const MOST_SEGMENTS: usize = 12;
    pub const BLOCK_SIZE: usize = 20;
    pub const DISCARD_SECTORS: usize = 36;
    pub const DISCARD_SEGMENTS: usize = 40;
    pub const DISCARD_ALIGNMENT: usize = 44;
    pub const ZERO_SECTORS: usize = 48;
    pub const ZERO_SEGMENTS: usize = 52;
    pub const SIZE: usize = 60;
}

/// What a disk has done, since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests to read.
    pub reads: AtomicU64,
    /// Bytes read.
    pub bytes_read: AtomicU64,
    /// Requests to write.
    pub writes: AtomicU64,
    /// Bytes written.
    pub bytes_written: AtomicU64,
    /// Requests to flush.
    pub flushes: AtomicU64,
    /// Requests that failed, whosever fault it was.
    pub failed: AtomicU64,
}

/// The names of what it counts, in their order.
pub const COUNTS: [&str; 6] =
    ["reads", "bytes_read", "writes", "bytes_written", "flushes", "failed"];

/// A request that the engine works on.
struct Pending {
    status: GuestAddress,
    kind: Kind,
    length: u64,
}

/// The device.
pub struct Blk {
    disk: Disk,
    engine: Box<dyn Engine>,
    pending: BTreeMap<u16, Pending>,
    counts: Arc<Counts>,
}

impl Blk {
    /// A disk that an engine has opened.
    pub fn new(disk: Disk, engine: Box<dyn Engine>, counts: Arc<Counts>) -> Self {
        Self { disk, engine, pending: BTreeMap::new(), counts }
    }

    fn config(&self) -> [u8; config::SIZE] {
        let mut bytes = [0; config::SIZE];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + value.len()) {
                place.copy_from_slice(value);
            }
        };
        let sectors = (MOST_AT_ONCE.0 / SECTOR) as u32;
        put(config::CAPACITY, &(self.disk.size.0 / SECTOR).to_le_bytes());
        put(config::MOST_SEGMENTS, &MOST_PIECES.to_le_bytes());
        put(config::BLOCK_SIZE, &self.disk.block.to_le_bytes());
        put(config::DISCARD_SECTORS, &sectors.to_le_bytes());
        put(config::DISCARD_SEGMENTS, &1_u32.to_le_bytes());
        put(config::DISCARD_ALIGNMENT, &(self.disk.block / SECTOR as u32).to_le_bytes());
        put(config::ZERO_SECTORS, &sectors.to_le_bytes());
        put(config::ZERO_SEGMENTS, &1_u32.to_le_bytes());
        bytes
    }

    /// Begins a request; what needs no engine is done at once.
    fn begin(&mut self, parsed: Parsed, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        let Parsed { head, status, asked } = parsed;
        // Without a place for it nobody can be told of anything.
        let Some(status) = status else { return queues.done(0, head, 0) };
        // A driver that has two requests of one name has spoilt its queue.
        if self.pending.contains_key(&head) {
            return Err(Spoilt);
        }
        match asked {
            Ok(request::Asked::Name(pieces)) => {
                let written = self.tell_name(&pieces, queues.memory());
                self.finish(head, status, Status::Ok, written, queues)
            }
            Ok(request::Asked::Job { kind, offset, length, pieces }) => {
                let pending = Pending { status, kind, length };
                self.pending.insert(head, pending);
                match self.engine.begin(Job { head, kind, offset, length, pieces }) {
                    Ok(()) => Ok(()),
                    Err(_) => {
                        self.pending.remove(&head);
                        self.finish(head, status, Status::Failed, 0, queues)
                    }
                }
            }
            Err(refused) => self.finish(head, status, refused, 0, queues),
        }
    }

    fn tell_name(&self, pieces: &[(GuestAddress, u32)], memory: &PartitionMemory) -> u32 {
        const LONGEST: usize = 20;
        let mut name = [0; LONGEST];
        for (to, from) in name.iter_mut().zip(self.disk.name.bytes()) {
            *to = from;
        }
        let mut told = 0;
        for (address, length) in pieces {
            let length = (*length as usize).min(LONGEST - told);
            let piece = name.get(told..told + length).unwrap_or_default();
            if memory.write_slice(piece, *address).is_err() {
                break;
            }
            told += length;
        }
        told as u32
    }

    fn finish(
        &mut self,
        head: u16,
        at: GuestAddress,
        status: Status,
        written: u32,
        queues: &mut Queues<'_>,
    ) -> Result<(), Spoilt> {
        if status != Status::Ok {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
        }
        let byte = status as u8;
        let told = queues.memory().write_obj(byte, at).is_ok();
        queues.done(0, head, written + u32::from(told))
    }

    /// Tells the driver of what the engine has done.
    fn reap(&mut self, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        let mut finished = Vec::new();
        self.engine.finished(&mut |head, result| finished.push((head, result)));
        for (head, result) in finished {
            let Some(Pending { status, kind, length }) = self.pending.remove(&head) else {
                continue;
            };
            // Less than was asked for is what a disk does that has become shorter.
            let whole = result.is_ok_and(|done| !kind.moves_data() || u64::from(done) == length);
            let written = if whole && kind == Kind::Read { length as u32 } else { 0 };
            if whole {
                self.count(kind, length);
            }
            let said = if whole { Status::Ok } else { Status::Failed };
            self.finish(head, status, said, written, queues)?;
        }
        Ok(())
    }

    fn count(&self, kind: Kind, length: u64) {
        let Counts { reads, bytes_read, writes, bytes_written, flushes, failed: _ } = &*self.counts;
        let (requests, bytes) = match kind {
            Kind::Read => (reads, Some(bytes_read)),
            Kind::Write => (writes, Some(bytes_written)),
            Kind::Flush => (flushes, None),
            Kind::Discard | Kind::Zero => return,
        };
        requests.fetch_add(1, Ordering::Relaxed);
        if let Some(bytes) = bytes {
            bytes.fetch_add(length, Ordering::Relaxed);
        }
    }
}

impl Device for Blk {
    fn kind(&self) -> u32 {
        KIND
    }

    fn features(&self) -> u64 {
        let always = feature::SEGMENTS | feature::BLOCK_SIZE | feature::FLUSH;
        always
            | match self.disk.read_only {
                true => feature::READ_ONLY,
                false => feature::DISCARD | feature::WRITE_ZEROES,
            }
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let config = self.config();
        let bytes = usize::try_from(offset).ok().and_then(|offset| config.get(offset..));
        for (to, from) in data.iter_mut().zip(bytes.unwrap_or_default()) {
            *to = *from;
        }
    }

    fn serve(&mut self, queue: u16, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        loop {
            queues.tell_of_new(queue, false)?;
            while let Some(chain) = queues.next_chain(queue)? {
                let parsed = Parsed::new(chain, queues.memory(), &self.disk);
                self.begin(parsed, queues)?;
            }
            self.engine.submit().map_err(|_| Spoilt)?;
            if !queues.tell_of_new(queue, true)? {
                return self.reap(queues);
            }
        }
    }

    fn watched(&self) -> Vec<RawFd> {
        vec![self.engine.event()]
    }

    fn changed(&mut self, _watched: usize, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        self.reap(queues)
    }

    fn settle(&mut self, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        while !self.pending.is_empty() {
            self.engine.wait();
            self.reap(queues)?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.engine.drain();
        self.pending.clear();
    }

    fn counts(&self) -> Vec<u64> {
        let Counts { reads, bytes_read, writes, bytes_written, flushes, failed } = &*self.counts;
        let all = [reads, bytes_read, writes, bytes_written, flushes, failed];
        all.map(|counter| counter.load(Ordering::Relaxed)).to_vec()
    }
}

/// Opens an engine for a disk: io_uring where this kernel has it and lets us, else a thread.
///
/// # Errors
///
/// What the kernel says of both.
pub fn open(disk: Disk) -> io::Result<Blk> {
    let engine = engine(&disk)?;
    Ok(Blk::new(disk, engine, Arc::default()))
}

#[cfg(test)]
mod tests;
