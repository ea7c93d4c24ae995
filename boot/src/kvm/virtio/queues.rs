//! The queues of a device, as the device sees them.

use virtio_queue::{DescriptorChain, Queue, QueueOwnedT as _, QueueT as _, Writer};
use vm_memory::{Bytes as _, GuestAddress};

use crate::memory::PartitionMemory;

/// The used ring: flags and index, then elements of a head and a length (virtio 1.2, section 2.7.8).
const USED_HEADER: u64 = 4;
const USED_ELEMENT: u64 = 8;

/// A driver has written something into a queue that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the driver's queue makes no sense")]
pub struct Spoilt;

/// The queues of a device whose driver is ready.
pub struct Queues<'a> {
    memory: &'a PartitionMemory,
    queues: &'a mut [Queue],
    /// Whether something was used that the driver wants to hear of.
    interrupt: bool,
    /// Requests that were done.
    finished: u64,
}

/// What a driver asks for: memory to be written.
pub struct Request<'a> {
    /// Names it when it is done.
    pub head: u16,
    /// What the driver is to be given.
    pub writer: Writer<'a>,
}

impl<'a> Queues<'a> {
    /// Queues in this memory.
    pub fn new(memory: &'a PartitionMemory, queues: &'a mut [Queue]) -> Self {
        Self { memory, queues, interrupt: false, finished: 0 }
    }

    /// The guest's memory.
    pub fn memory(&self) -> &'a PartitionMemory {
        self.memory
    }

    /// The next request in a queue; `None` where there is no more, and for a queue that the driver does not
    /// use.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn next(&mut self, queue: u16) -> Result<Option<Request<'a>>, Spoilt> {
        let Some(chain) = self.next_chain(queue)? else { return Ok(None) };
        let head = chain.head_index();
        let writer = chain.writer(self.memory).map_err(|_| Spoilt)?;
        Ok(Some(Request { head, writer }))
    }

    /// The next request as its descriptors.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn next_chain(
        &mut self,
        queue: u16,
    ) -> Result<Option<DescriptorChain<&'a PartitionMemory>>, Spoilt> {
        let memory = self.memory;
        let Some(queue) = self.queues.get_mut(usize::from(queue)) else { return Ok(None) };
        if !queue.ready() {
            return Ok(None);
        }
        // More than the queue holds cannot be in it.
        let mut chains = queue.iter(memory).map_err(|_| Spoilt)?;
        Ok(chains.next())
    }

    /// A request is done, and so many bytes were written for it.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn done(&mut self, queue: u16, head: u16, written: u32) -> Result<(), Spoilt> {
        let Some(queue) = self.queues.get_mut(usize::from(queue)) else { return Err(Spoilt) };
        queue.add_used(self.memory, head, written).map_err(|_| Spoilt)?;
        self.finished += 1;
        self.interrupt |= queue.needs_notification(self.memory).map_err(|_| Spoilt)?;
        Ok(())
    }

    /// Some requests are done that the driver has to see together, with so many bytes written for each.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn done_together(&mut self, queue: u16, requests: &[(u16, u32)]) -> Result<(), Spoilt> {
        let Some(((last, written), before)) = requests.split_last() else { return Ok(()) };
        let Some(ring) = self.queues.get_mut(usize::from(queue)) else { return Err(Spoilt) };
        let (next, size) = (ring.next_used(), ring.size());
        if size == 0 || requests.len() > usize::from(size) {
            return Err(Spoilt);
        }
        // Behind what the driver is told of, until the last is.
        for (place, (head, written)) in (0..).zip(before) {
            let slot = u64::from(next.wrapping_add(place) % size);
            let at = ring.used_ring().checked_add(USED_HEADER + slot * USED_ELEMENT);
            let element = [u32::from(*head).to_le_bytes(), written.to_le_bytes()].concat();
            let at = GuestAddress(at.ok_or(Spoilt)?);
            self.memory.write_slice(&element, at).map_err(|_| Spoilt)?;
        }
        ring.set_next_used(next.wrapping_add(before.len() as u16));
        self.finished += before.len() as u64;
        self.done(queue, *last, *written)?;
        // What it asks for may lie among those that it was not told of one by one.
        self.interrupt |= !before.is_empty();
        Ok(())
    }

    /// Puts the last requests back that were taken: they are the next ones again.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn untake(&mut self, queue: u16, count: u16) -> Result<(), Spoilt> {
        let Some(queue) = self.queues.get_mut(usize::from(queue)) else { return Err(Spoilt) };
        queue.set_next_avail(queue.next_avail().wrapping_sub(count));
        Ok(())
    }

    /// Takes all requests of a queue, one after the other. The driver need not tell of those that come
    /// meanwhile. `work` says how many bytes it has written.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn take_all(
        &mut self,
        queue: u16,
        mut work: impl FnMut(&mut Request<'a>) -> u32,
    ) -> Result<(), Spoilt> {
        loop {
            self.tell_of_new(queue, false)?;
            while let Some(mut request) = self.next(queue)? {
                let written = work(&mut request);
                self.done(queue, request.head, written)?;
            }
            // One that came between the last look and this is not told of.
            if !self.tell_of_new(queue, true)? {
                return Ok(());
            }
        }
    }

    /// Whether the driver is to tell of new requests. Where it is, returns whether there are some already.
    ///
    /// # Errors
    ///
    /// [`Spoilt`]
    pub fn tell_of_new(&mut self, queue: u16, tell: bool) -> Result<bool, Spoilt> {
        let Some(queue) = self.queues.get_mut(usize::from(queue)) else { return Ok(false) };
        if !queue.ready() {
            return Ok(false);
        }
        match tell {
            true => queue.enable_notification(self.memory).map_err(|_| Spoilt),
            false => queue.disable_notification(self.memory).map(|()| false).map_err(|_| Spoilt),
        }
    }

    /// Whether the driver is to be interrupted.
    pub fn interrupt(&self) -> bool {
        self.interrupt
    }

    /// How many requests were done.
    pub fn finished(&self) -> u64 {
        self.finished
    }
}
