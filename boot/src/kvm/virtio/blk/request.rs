//! Requests as drivers write them (section 5.2.6), read once and checked.

use virtio_queue::DescriptorChain;
use vm_memory::{Bytes as _, GuestAddress};

use super::engine::{Disk, Kind};
use super::{MOST_AT_ONCE, SECTOR};
use crate::kvm::virtio::buffers::{self, MOST_PIECES, Piece};
use crate::memory::PartitionMemory;

/// What a driver is told in the last byte of its request.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Ok = 0,
    /// It could not be done.
    Failed = 1,
    /// There is nothing like it.
    Unsupported = 2,
}

/// Types of request.
mod kind {
    pub const READ: u32 = 0;
    pub const WRITE: u32 = 1;
    pub const FLUSH: u32 = 4;
    pub const GET_NAME: u32 = 8;
    pub const DISCARD: u32 = 11;
    pub const WRITE_ZEROES: u32 = 13;
}

/// Type, a reserved word, and the sector.
const HEADER: usize = 16;
/// A range of a request to discard: sector, number of sectors, flags.
const RANGE: usize = 16;
/// A request.
pub struct Parsed {
    /// What it is known by.
    pub head: u16,
    /// Where the driver looks for the status; `None` where it left no room.
    pub status: Option<GuestAddress>,
    /// What it asks for, or what it is told instead.
    pub asked: Result<Asked, Status>,
}

/// What is asked for.
pub enum Asked {
    /// The disk's name, to be written here.
    Name(Vec<(GuestAddress, u32)>),
    /// Something that an engine does.
    Job {
        /// What.
        kind: Kind,
        /// Where on the disk.
        offset: u64,
        /// How much.
        length: u64,
        /// From or to where.
        pieces: Vec<Piece>,
    },
}

type Pieces = Vec<(GuestAddress, u32)>;

impl Parsed {
    /// Reads a request of this disk, from the memory that its chain refers to.
    pub fn new(
        chain: DescriptorChain<&PartitionMemory>,
        memory: &PartitionMemory,
        disk: &Disk,
    ) -> Self {
        let head = chain.head_index();
        let (mut readable, mut writable) = (Pieces::new(), Pieces::new());
        for descriptor in chain.filter(|descriptor| descriptor.len() > 0) {
            let list = if descriptor.is_write_only() { &mut writable } else { &mut readable };
            list.push((descriptor.addr(), descriptor.len()));
        }
        let status = split_last_byte(&mut writable);
        let asked = match (take::<HEADER>(&mut readable, memory), readable.len() + writable.len()) {
            (Some(header), pieces) if pieces <= MOST_PIECES => {
                asked(&header, &readable, &writable, memory, disk)
            }
            _ => Err(Status::Failed),
        };
        Self { head, status, asked }
    }
}

fn asked(
    header: &[u8; HEADER],
    readable: &Pieces,
    writable: &Pieces,
    memory: &PartitionMemory,
    disk: &Disk,
) -> Result<Asked, Status> {
    let [a, b, c, d, _, _, _, _, sector @ ..] = *header;
    let sector = u64::from_le_bytes(sector);
    let data = |kind, list: &Pieces| {
        let length = list.iter().map(|(_, length)| u64::from(*length)).sum();
        let offset = on_disk(sector, length, disk)?;
        Ok(Asked::Job { kind, offset, length, pieces: mapped(list, memory)? })
    };
    match u32::from_le_bytes([a, b, c, d]) {
        kind::READ => data(Kind::Read, writable),
        kind::WRITE | kind::DISCARD | kind::WRITE_ZEROES if disk.read_only => Err(Status::Failed),
        kind::WRITE => data(Kind::Write, readable),
        kind::FLUSH => {
            Ok(Asked::Job { kind: Kind::Flush, offset: 0, length: 0, pieces: Vec::new() })
        }
        kind::GET_NAME => Ok(Asked::Name(writable.clone())),
        kind::DISCARD => range(Kind::Discard, readable, memory, disk),
        kind::WRITE_ZEROES => range(Kind::Zero, readable, memory, disk),
        _ => Err(Status::Unsupported),
    }
}

/// A request that names its range in its data.
fn range(
    kind: Kind,
    readable: &Pieces,
    memory: &PartitionMemory,
    disk: &Disk,
) -> Result<Asked, Status> {
    /// That the blocks may be given back as well, which is what is done anyway.
    const UNMAP: u32 = 1;
    let mut readable = readable.clone();
    let range = take::<RANGE>(&mut readable, memory).ok_or(Status::Failed)?;
    // We said that there is one range at most.
    if !readable.is_empty() {
        return Err(Status::Failed);
    }
    let [a, b, c, d, e, f, g, h, i, j, k, l, flags @ ..] = range;
    let allowed = if kind == Kind::Zero { UNMAP } else { 0 };
    if u32::from_le_bytes(flags) & !allowed != 0 {
        return Err(Status::Unsupported);
    }
    let length = u64::from(u32::from_le_bytes([i, j, k, l])) * SECTOR;
    if length == 0 || length > MOST_AT_ONCE.0 {
        return Err(Status::Failed);
    }
    let offset = on_disk(u64::from_le_bytes([a, b, c, d, e, f, g, h]), length, disk)?;
    Ok(Asked::Job { kind, offset, length, pieces: Vec::new() })
}

/// Where a range begins, in bytes, if all of it is on the disk.
fn on_disk(sector: u64, length: u64, disk: &Disk) -> Result<u64, Status> {
    let offset = sector.checked_mul(SECTOR).ok_or(Status::Failed)?;
    let end = offset.checked_add(length).ok_or(Status::Failed)?;
    let block = u64::from(disk.block);
    let fits = end <= disk.size.0 && offset.is_multiple_of(block) && length.is_multiple_of(block);
    if fits { Ok(offset) } else { Err(Status::Failed) }
}

/// Where the pieces are in our mapping.
fn mapped(pieces: &Pieces, memory: &PartitionMemory) -> Result<Vec<Piece>, Status> {
    let piece = |(address, length): &(GuestAddress, u32)| {
        buffers::mapped(*address, *length, memory).ok_or(Status::Failed)
    };
    pieces.iter().map(piece).collect()
}

/// Takes the first bytes of the pieces: reads them, and leaves the rest.
fn take<const N: usize>(pieces: &mut Pieces, memory: &PartitionMemory) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut had = 0;
    while had < N {
        let (address, length) = pieces.first_mut()?;
        let some = (*length as usize).min(N - had);
        memory.read_slice(bytes.get_mut(had..had + some)?, *address).ok()?;
        had += some;
        *length -= some as u32;
        *address = GuestAddress(address.0.checked_add(some as u64)?);
        if *length == 0 {
            pieces.remove(0);
        }
    }
    Some(bytes)
}

/// Takes the last byte of the pieces away, and tells where it is.
fn split_last_byte(pieces: &mut Pieces) -> Option<GuestAddress> {
    let (address, length) = pieces.last_mut()?;
    *length -= 1;
    let at = GuestAddress(address.0.checked_add(u64::from(*length))?);
    if *length == 0 {
        pieces.pop();
    }
    Some(at)
}
