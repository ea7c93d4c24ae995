//! Requests as places of our mapping of the guest's memory: what a driver wrote into its descriptors is read once
//! and checked, and what follows goes by what was checked.

use virtio_queue::DescriptorChain;
use vm_memory::{GuestAddress, GuestMemoryBackend as _};

use crate::memory::PartitionMemory;

/// Pieces that readv(2) and writev(2) take at once.
pub const MOST_PIECES: usize = 1024;

/// A piece of a guest's memory, mapped for as long as the process lives.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Piece(pub libc::iovec);

// SAFETY: it is a place of shared memory that nobody makes references to, in no thread.
unsafe impl Send for Piece {}

/// A request's memory.
#[derive(Debug)]
pub struct Buffer {
    /// Names it when it is done.
    pub head: u16,
    /// What the driver gives, in its order.
    pub readable: Vec<Piece>,
    /// What the driver is to be given.
    pub writable: Vec<Piece>,
}

/// A request that names what is no memory, or more pieces than there may be. It can still be handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Names it.
    pub head: u16,
}

impl Buffer {
    /// Reads a request's descriptors.
    ///
    /// # Errors
    ///
    /// [`Wrong`]
    pub fn new(
        chain: DescriptorChain<&PartitionMemory>,
        memory: &PartitionMemory,
    ) -> Result<Self, Wrong> {
        let head = chain.head_index();
        let mut buffer = Self { head, readable: Vec::new(), writable: Vec::new() };
        for descriptor in chain.filter(|descriptor| descriptor.len() > 0) {
            let piece =
                mapped(descriptor.addr(), descriptor.len(), memory).ok_or(Wrong { head })?;
            let list = match descriptor.is_write_only() {
                true => &mut buffer.writable,
                false => &mut buffer.readable,
            };
            list.push(piece);
        }
        match buffer.readable.len().max(buffer.writable.len()) {
            ..=MOST_PIECES => Ok(buffer),
            _ => Err(Wrong { head }),
        }
    }
}

/// Where a piece of the guest's memory is in our mapping; `None` where it is none.
pub fn mapped(address: GuestAddress, length: u32, memory: &PartitionMemory) -> Option<Piece> {
    let slice = memory.get_slice(address, length as usize).ok()?;
    let iov_base = slice.ptr_guard_mut().as_ptr().cast();
    Some(Piece(libc::iovec { iov_base, iov_len: slice.len() }))
}

/// All bytes of some pieces.
pub fn length(pieces: &[Piece]) -> usize {
    pieces.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.0.iov_len))
}

/// Writes bytes at `offset` of pieces, as far as they go.
pub fn put(pieces: &[Piece], offset: usize, bytes: &[u8]) {
    let (mut skip, mut rest) = (offset, bytes);
    for Piece(piece) in pieces {
        if skip >= piece.iov_len {
            skip -= piece.iov_len;
            continue;
        }
        let (now, later) = rest.split_at(rest.len().min(piece.iov_len - skip));
        // SAFETY: the piece is mapped as long as the process lives, `skip` and what follows lie within it, and
        // nobody makes references to what is there.
        unsafe {
            let to = piece.iov_base.cast::<u8>().add(skip);
            std::ptr::copy(now.as_ptr(), to, now.len());
        }
        (skip, rest) = (0, later);
        if rest.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::Bytes as _;

    #[test]
    fn bytes_are_written_across_pieces_and_no_further() {
        let memory = PartitionMemory::from_ranges(&[(GuestAddress(0), 4096)]).unwrap();
        let piece = |at, length| mapped(GuestAddress(at), length, &memory).unwrap();
        let pieces = [piece(100, 3), piece(200, 1), piece(300, 2)];
        assert_eq!(length(&pieces), 6);
        put(&pieces, 2, &[1, 2, 3, 4, 5, 6]);
        let read = |at| memory.read_obj::<[u8; 4]>(GuestAddress(at)).unwrap();
        assert_eq!((read(100), read(200), read(300)), ([0, 0, 1, 0], [2, 0, 0, 0], [3, 4, 0, 0]));
        put(&pieces, 6, &[9]);
        put(&[], 0, &[9]);
        assert_eq!(read(100), [0, 0, 1, 0]);
        assert!(mapped(GuestAddress(4095), 2, &memory).is_none());
        assert!(mapped(GuestAddress(u64::MAX), 2, &memory).is_none());
    }
}
