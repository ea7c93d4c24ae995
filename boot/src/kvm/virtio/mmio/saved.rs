//! A device with its registers and queues: saved, and what another is made from it.
//!
//! What was saved comes from a file, so it is not trusted: another device is made only into what a driver could
//! have brought it to.

use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueState, QueueT as _};

use super::{CONFIGURATION, Mmio, Registers, USED, status};

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    kind: u32,
    status: u32,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    queue_select: u32,
    interrupt_status: u32,
    queues: Vec<SavedQueue>,
    /// The device's own.
    device: Vec<u8>,
}

/// What a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedQueue {
    size: u16,
    ready: bool,
    descriptors: u64,
    available: u64,
    used: u64,
    next_available: u16,
    next_used: u16,
}

/// Why a device cannot be made what another was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// another kind
    #[error("a device of kind {saved} was saved, and kind {here} is here")]
    Kind {
        /// What was saved.
        saved: u32,
        /// What is here.
        here: u32,
    },
    /// another number of queues
    #[error("a device of {saved} queues was saved, and there are {here}")]
    Queues {
        /// How many were saved.
        saved: usize,
        /// How many are here.
        here: usize,
    },
    /// something that no driver could have brought about
    #[error("the saved {0} makes no sense")]
    Senseless(&'static str),
    /// the device's own
    #[error("its own state makes no sense")]
    Own,
}

impl Mmio {
    /// Holds it: what it is working on is finished, and nothing new is begun, whatever comes from outside. Its
    /// driver must be held before.
    pub fn hold(&self) {
        let mut registers = self.lock();
        match registers.works() {
            true => registers.serve(|device, queues| device.settle(queues)),
            // Nobody waits for what it may still be working on.
            false => registers.device.reset(),
        }
        registers.held = true;
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.lock().held = false;
        self.look_again();
    }

    /// What it is; it must be held.
    pub fn save(&self) -> Saved {
        let registers = self.lock();
        let queues = registers.queues.iter().map(SavedQueue::of).collect();
        Saved {
            kind: registers.device.kind(),
            status: registers.status,
            device_features_select: registers.device_features_select,
            driver_features_select: registers.driver_features_select,
            driver_features: registers.driver_features,
            queue_select: registers.queue_select,
            interrupt_status: registers.interrupt_status,
            queues,
            device: registers.device.save(),
        }
    }

    /// Makes it what another was; nobody must have driven it yet. It begins with what is in its queues when it is
    /// notified next, and raises its interrupt again where it was raised: it may have been on its way.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]; it is of no use then.
    pub fn restore(&self, saved: &Saved) -> Result<(), RestoreError> {
        self.lock().restore(saved)
    }
}

impl Registers {
    fn restore(&mut self, saved: &Saved) -> Result<(), RestoreError> {
        let here = self.device.kind();
        if saved.kind != here {
            return Err(RestoreError::Kind { saved: saved.kind, here });
        }
        if saved.queues.len() != self.queues.len() {
            let (saved, here) = (saved.queues.len(), self.queues.len());
            return Err(RestoreError::Queues { saved, here });
        }
        if !possible(saved.status) || saved.interrupt_status & !(USED | CONFIGURATION) != 0 {
            return Err(RestoreError::Senseless("status"));
        }
        self.device.restore(&saved.device).map_err(|_| RestoreError::Own)?;
        self.driver_features = saved.driver_features;
        if saved.status & status::FEATURES_OK != 0 && !self.agreed() {
            return Err(RestoreError::Senseless("choice of features"));
        }
        let ready = saved.status & status::DRIVER_OK != 0;
        for (queue, saved) in self.queues.iter_mut().zip(&saved.queues) {
            *queue =
                saved.queue(queue.max_size(), self.driver_features & super::EVENT_INDEX != 0)?;
            if ready && queue.ready() && !queue.is_valid(&self.memory) {
                return Err(RestoreError::Senseless("place of a queue"));
            }
        }
        self.status = saved.status;
        self.device_features_select = saved.device_features_select;
        self.driver_features_select = saved.driver_features_select;
        self.queue_select = saved.queue_select;
        self.interrupt_status = saved.interrupt_status;
        if self.works() {
            self.device.activate(self.driver_features);
        }
        if self.interrupt_status != 0 {
            (self.interrupt)();
        }
        Ok(())
    }
}

/// Whether a driver could have brought a device there: each state follows another.
fn possible(bits: u32) -> bool {
    use status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FAILED, FEATURES_OK, NEEDS_RESET};
    let all = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | NEEDS_RESET | FAILED;
    let follows = [
        (DRIVER, ACKNOWLEDGE),
        (FEATURES_OK, DRIVER),
        (DRIVER_OK, FEATURES_OK),
        (NEEDS_RESET, DRIVER_OK),
    ];
    bits & !all == 0
        && follows.iter().all(|(state, before)| bits & state == 0 || bits & before != 0)
}

impl SavedQueue {
    fn of(queue: &Queue) -> Self {
        Self {
            size: queue.size(),
            ready: queue.ready(),
            descriptors: queue.desc_table(),
            available: queue.avail_ring(),
            used: queue.used_ring(),
            next_available: queue.next_avail(),
            next_used: queue.next_used(),
        }
    }

    fn queue(&self, max_size: u16, event_idx_enabled: bool) -> Result<Queue, RestoreError> {
        let state = QueueState {
            max_size,
            next_avail: self.next_available,
            next_used: self.next_used,
            event_idx_enabled,
            size: self.size,
            ready: self.ready,
            desc_table: self.descriptors,
            avail_ring: self.available,
            used_ring: self.used,
        };
        Queue::try_from(state).map_err(|_| RestoreError::Senseless("queue"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::register;
    use super::super::tests::{ask, bench};
    use super::*;
    use crate::kvm::virtio::mmio::NOTIFY;
    use std::sync::atomic::Ordering;
    use virtio_queue::mock::MockSplitQueue;

    #[test]
    fn a_device_goes_on_in_another() {
        let mut first = bench();
        let memory = first.memory.clone();
        let queue = MockSplitQueue::new(&memory, 16);
        first.agree();
        first.set_up(&queue);
        first.ready();
        ask(&queue);
        first.write(NOTIFY, 0);
        first.mmio.hold();
        let saved = first.mmio.save();
        ask(&queue);
        first.write(NOTIFY, 0);
        assert_eq!(first.mmio.save(), saved, "it is held");
        let text = serde_json::to_string(&saved).unwrap();

        let mut second = bench();
        for page in 0..256 {
            let mut bytes = [0; 4096];
            vm_memory::Bytes::read_slice(&memory, &mut bytes, vm_memory::GuestAddress(page * 4096))
                .unwrap();
            vm_memory::Bytes::write_slice(
                &second.memory,
                &bytes,
                vm_memory::GuestAddress(page * 4096),
            )
            .unwrap();
        }
        second.mmio.restore(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(second.mmio.save(), saved);
        assert_eq!(second.interrupts.load(Ordering::SeqCst), 1, "it may have been on its way");
        assert_eq!(second.read(register::STATUS), 15);
        second.write(NOTIFY, 0);
        assert_eq!(second.mmio.counts().0.requests, 1, "nothing is done twice");
        first.mmio.go_on();
        assert_eq!(first.mmio.counts().0.requests, 2);
    }

    /// GHSA-875g-mfp6-g7f9: what was saved is what somebody wrote.
    #[test]
    fn what_no_driver_could_have_brought_about_is_refused() {
        let mut first = bench();
        let memory = first.memory.clone();
        let queue = MockSplitQueue::new(&memory, 16);
        first.agree();
        first.set_up(&queue);
        first.ready();
        first.mmio.hold();
        let good = first.mmio.save();
        bench().mmio.restore(&good).unwrap();
        let spoilt: [fn(&mut Saved); 12] = [
            |saved| saved.kind = 2,
            |saved| saved.queues.clear(),
            |saved| saved.queues.extend(saved.queues.clone()),
            |saved| saved.status = 4,
            |saved| saved.status |= 0x100,
            |saved| saved.interrupt_status = 4,
            |saved| saved.driver_features = 0,
            |saved| saved.driver_features |= 1 << 40,
            |saved| saved.queues[0].size = 3,
            |saved| saved.queues[0].size = 32_768,
            |saved| saved.queues[0].used = u64::MAX - 7,
            |saved| saved.device = vec![1],
        ];
        for (number, spoil) in spoilt.iter().enumerate() {
            let mut saved = good.clone();
            spoil(&mut saved);
            assert!(bench().mmio.restore(&saved).is_err(), "number {number}");
        }
    }
}
