//! Walking the log ring of a kernel that may be running, dead or hostile.

use super::anchor::{Anchor, ID_MASK, field};
use super::{ReadMemory, Record};
use crate::units::PhysAddr;

/// Virtual address of the kernel image (`__START_KERNEL_map`, arch/x86/include/asm/page_64_types.h).
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// Virtual address of the direct map with four-level page tables and no KASLR
/// (`__PAGE_OFFSET_BASE_L4`). A partition's kernel is entered behind the code that would choose
/// another.
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;

/// `struct prb_desc`: state and id, begin and next of its text.
const DESCRIPTOR: u64 = 24;

/// `struct printk_info`, by what kernels have made of it: with the fields of 5.10 to 7.2, and with
/// room for more.
const INFO_SIZES: [u64; 4] = [88, 96, 104, 112];

/// Records that one call returns at most.
const MAX_RECORDS: usize = 8192;

/// Bytes of text that one call returns at most. The texts of a true ring do not overlap; a hostile
/// one's may, and 1 MiB of its memory would become 512 MiB of ours.
const MAX_TEXT: usize = 2 << 20;

/// Descriptors that one call looks at, at most twice: a ring may claim 16 million of them, and be read
/// ten times a second. A true ring has hardly any without a record.
const MAX_LOOKS: usize = 1 << 16;

/// Records by which the form of a ring is recognised.
const SAMPLE: usize = 17;

/// The log of one partition's kernel.
#[derive(Clone, Debug)]
pub struct KernelLog {
    anchor: Anchor,
    /// From where the kernel is linked to where it was loaded, wrapping.
    offset: u64,
}

/// Why a log cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// the kernel has written over it
    #[error("the partition's kernel log is damaged ({0})")]
    Damaged(&'static str),
    /// records whose numbers do not follow each other, whatever size is assumed
    #[error("the records of this kernel's log have an unknown form")]
    UnknownForm,
}

/// A ring as it is right now.
struct Ring {
    count: u64,
    descriptors: PhysAddr,
    infos: PhysAddr,
    head: u64,
    tail: u64,
    text_size: u64,
    text: PhysAddr,
}

struct Descriptor {
    id: u64,
    begin: u64,
    next: u64,
}

impl KernelLog {
    /// The log of a kernel linked at `linked_at` and loaded at `loaded_at`.
    pub fn new(anchor: Anchor, linked_at: PhysAddr, loaded_at: PhysAddr) -> Self {
        Self { anchor, offset: loaded_at.0.wrapping_sub(linked_at.0) }
    }

    /// The records that are there from number `from` on, oldest first, at most 8,192 and 2 MiB of
    /// text. A record that is being written is left for the next call.
    ///
    /// # Errors
    ///
    /// [`LogError`] where the ring in memory is not one.
    pub fn read(&self, memory: &dyn ReadMemory, from: u64) -> Result<Vec<Record>, LogError> {
        let ring = self.ring(memory)?;
        let readable = |start: u64| {
            let ids = ring.ids(start).take(MAX_LOOKS);
            ids.filter_map(|id| ring.descriptor(memory, id))
        };
        let sample: Vec<Descriptor> = readable(0).take(SAMPLE).collect();
        let Some(info_size) = ring.info_size(memory, &sample) else {
            return if sample.is_empty() { Ok(Vec::new()) } else { Err(LogError::UnknownForm) };
        };
        // Numbers follow each other as ids do: what is known already need not be looked at.
        let known = sample.first().and_then(|first| {
            let oldest = ring.number(memory, first.id, info_size)?;
            let before = first.id.wrapping_sub(ring.tail) & ID_MASK;
            before.checked_add(from.saturating_sub(oldest))
        });
        let mut room = MAX_TEXT;
        Ok(readable(known.unwrap_or(0))
            .filter_map(|descriptor| ring.record(memory, &descriptor, info_size, from))
            .map_while(|record| {
                room = room.checked_sub(record.text.len())?;
                Some(record)
            })
            .take(MAX_RECORDS)
            .collect())
    }

    fn ring(&self, memory: &dyn ReadMemory) -> Result<Ring, LogError> {
        let fixed = self.ring_at(memory, self.anchor.ring)?;
        // A kernel with many CPUs moves to a larger ring early in boot.
        let moved = self.anchor.pointers.iter().find_map(|pointer| {
            let target = u64_at(memory, self.physical(*pointer)?)?;
            (target != self.anchor.ring)
                .then(|| self.ring_at(memory, target).ok())
                .flatten()
                .filter(|ring| ring.count > fixed.count || ring.text_size > fixed.text_size)
        });
        Ok(moved.unwrap_or(fixed))
    }

    fn ring_at(&self, memory: &dyn ReadMemory, address: u64) -> Result<Ring, LogError> {
        let mut bytes = [0; 80];
        let at = self.physical(address).ok_or(LogError::Damaged("its address"))?;
        if !memory.read(at, &mut bytes) {
            return Err(LogError::Damaged("its address"));
        }
        let text_at = if self.anchor.has_last_finalized { 48 } else { 40 };
        let (count_bits, size_bits) = (field::<4>(&bytes, 0), field::<4>(&bytes, text_at));
        if !(4..=24).contains(&count_bits) || !(8..=30).contains(&size_bits) {
            return Err(LogError::Damaged("its size"));
        }
        let pointer =
            |at| self.physical(field::<8>(&bytes, at)).ok_or(LogError::Damaged("a pointer in it"));
        Ok(Ring {
            count: 1 << count_bits,
            descriptors: pointer(8)?,
            infos: pointer(16)?,
            head: field::<8>(&bytes, 24) & ID_MASK,
            tail: field::<8>(&bytes, 32) & ID_MASK,
            text_size: 1 << size_bits,
            text: pointer(text_at + 8)?,
        })
    }

    fn physical(&self, address: u64) -> Option<PhysAddr> {
        if address >= KERNEL_MAP {
            Some(PhysAddr((address - KERNEL_MAP).wrapping_add(self.offset)))
        } else {
            address.checked_sub(DIRECT_MAP).map(PhysAddr)
        }
    }
}

impl Ring {
    /// The ids from the oldest to the newest record's but for the first `start`, never more than
    /// there are descriptors.
    fn ids(&self, start: u64) -> impl Iterator<Item = u64> {
        let last = self.head.wrapping_sub(self.tail) & ID_MASK;
        (start..=last.min(self.count - 1)).map(|index| (self.tail + index) & ID_MASK)
    }

    /// The number of the record with this id.
    fn number(&self, memory: &dyn ReadMemory, id: u64, info_size: u64) -> Option<u64> {
        u64_at(memory, self.infos.checked_add((id % self.count) * info_size)?)
    }

    /// The descriptor with this id, where it is there and its record is complete.
    fn descriptor(&self, memory: &dyn ReadMemory, id: u64) -> Option<Descriptor> {
        const COMMITTED: u64 = 1;
        const FINALIZED: u64 = 2;
        let mut bytes = [0; DESCRIPTOR as usize];
        let at = self.descriptors.checked_add((id % self.count) * DESCRIPTOR)?;
        if !memory.read(at, &mut bytes) {
            return None;
        }
        let state = field::<8>(&bytes, 0);
        let complete = matches!(state >> 62, COMMITTED | FINALIZED) && state & ID_MASK == id;
        complete.then(|| Descriptor {
            id,
            begin: field::<8>(&bytes, 8),
            next: field::<8>(&bytes, 16),
        })
    }

    /// The size of a `struct printk_info` with which the records' numbers follow each other.
    fn info_size(&self, memory: &dyn ReadMemory, readable: &[Descriptor]) -> Option<u64> {
        INFO_SIZES.into_iter().find(|size| {
            let number = |descriptor: &Descriptor| self.number(memory, descriptor.id, *size);
            let Some((first, rest)) = readable.split_first() else { return false };
            let Some(start) = number(first) else { return false };
            rest.iter().all(|descriptor| {
                let distance = descriptor.id.wrapping_sub(first.id) & ID_MASK;
                number(descriptor) == start.checked_add(distance)
            })
        })
    }

    fn record(
        &self,
        memory: &dyn ReadMemory,
        descriptor: &Descriptor,
        info_size: u64,
        from: u64,
    ) -> Option<Record> {
        let mut info = [0; 24];
        let at = self.infos.checked_add((descriptor.id % self.count) * info_size)?;
        if !memory.read(at, &mut info) {
            return None;
        }
        let sequence = field::<8>(&info, 0);
        if sequence < from {
            return None;
        }
        Some(Record {
            sequence,
            nanoseconds: field::<8>(&info, 8),
            level: (field::<1>(&info, 19) >> 5) as u8,
            text: self.text(memory, descriptor, field::<2>(&info, 16)).unwrap_or_default(),
        })
    }

    /// A record's text; `None` where it has none or has been overwritten since.
    fn text(
        &self,
        memory: &dyn ReadMemory,
        descriptor: &Descriptor,
        length: u64,
    ) -> Option<Vec<u8>> {
        let Descriptor { id, begin, next } = *descriptor;
        // Odd positions say that there is no text (`BLK_DATALESS`).
        if begin & 1 == 1 || next & 1 == 1 {
            return None;
        }
        // A block never straddles the end of the ring: it is moved to the start instead.
        let wrapped = begin / self.text_size != next.wrapping_sub(1) / self.text_size;
        let start = if wrapped { 0 } else { begin % self.text_size };
        let end = match next % self.text_size {
            0 => self.text_size,
            end => end,
        };
        let room = end.checked_sub(start)?.checked_sub(8)?;
        let at = self.text.checked_add(start)?;
        if u64_at(memory, at)? != id {
            return None;
        }
        let mut text = vec![0; length.min(room) as usize];
        memory.read(at.checked_add(8)?, &mut text).then_some(text)
    }
}

fn u64_at(memory: &dyn ReadMemory, at: PhysAddr) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(at, &mut bytes).then(|| u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests;
