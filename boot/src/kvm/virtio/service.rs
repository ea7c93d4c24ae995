//! The thread that serves all devices: it waits for what drivers tell of and for what comes from outside.

use std::io;
use std::os::fd::{AsRawFd as _, RawFd};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

use super::mmio::Mmio;

/// Events that are taken at once.
const AT_ONCE: usize = 32;

/// What is waited for.
enum Waiting {
    /// A driver has put something into a queue.
    Notified { device: Mmio, queue: u16, event: EventFd },
    /// Something outside of a device.
    Outside { device: Mmio, watched: usize },
}

/// All that one thread waits for.
pub struct Service {
    epoll: Epoll,
    waiting: Vec<Waiting>,
}

impl Service {
    /// One without devices.
    ///
    /// # Errors
    ///
    /// What epoll_create1(2) says.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new()?, waiting: Vec::new() })
    }

    /// Serves a device as well. `events` are written to for each of its queues, by the number of it.
    ///
    /// # Errors
    ///
    /// What epoll_ctl(2) says.
    pub fn add(&mut self, device: &Mmio, events: Vec<EventFd>) -> io::Result<()> {
        for (queue, event) in (0..).zip(events) {
            let descriptor = event.as_raw_fd();
            let waiting = Waiting::Notified { device: device.clone(), queue, event };
            self.wait(descriptor, EventSet::IN, waiting)?;
        }
        for (watched, descriptor) in device.watched().into_iter().enumerate() {
            // Once for each change: what a driver makes no room for would be told of for ever.
            let changes = EventSet::IN | EventSet::OUT | EventSet::EDGE_TRIGGERED;
            self.wait(descriptor, changes, Waiting::Outside { device: device.clone(), watched })?;
        }
        Ok(())
    }

    fn wait(&mut self, descriptor: RawFd, what: EventSet, waiting: Waiting) -> io::Result<()> {
        let event = EpollEvent::new(what, self.waiting.len() as u64);
        self.epoll.ctl(ControlOperation::Add, descriptor, event)?;
        self.waiting.push(waiting);
        Ok(())
    }

    /// Serves for as long as the process lives.
    ///
    /// # Errors
    ///
    /// What epoll_wait(2) says.
    pub fn run(&self) -> io::Result<std::convert::Infallible> {
        let mut events = [EpollEvent::default(); AT_ONCE];
        loop {
            let count = match self.epoll.wait(-1, &mut events) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            for event in events.iter().take(count) {
                match self.waiting.get(event.data() as usize) {
                    Some(Waiting::Notified { device, queue, event }) => {
                        // Read before the queue is looked at: what comes after is told again. That somebody
                        // else was faster is no error.
                        let _ = event.read();
                        device.notified(*queue);
                    }
                    Some(Waiting::Outside { device, watched }) => device.changed(*watched),
                    None => {}
                }
            }
        }
    }
}
