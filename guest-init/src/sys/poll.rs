//! Waiting for file descriptors.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// What one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read, or the end.
    Read,
    /// Room to write, or the end.
    Write,
}

/// A set of file descriptors, each with something to know it by. Made anew for each wait; keeps its
/// allocations.
#[derive(Debug)]
pub struct PollSet<T> {
    descriptors: Vec<libc::pollfd>,
    names: Vec<T>,
}

impl<T> Default for PollSet<T> {
    fn default() -> Self {
        Self { descriptors: Vec::new(), names: Vec::new() }
    }
}

impl<T: Copy> PollSet<T> {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.descriptors.clear();
        self.names.clear();
    }

    /// Adds one. It must stay open until the wait is over, or the wait reports it as ready.
    pub fn add(&mut self, fd: BorrowedFd<'_>, interest: Interest, name: T) {
        let events = match interest {
            Interest::Read => libc::POLLIN,
            Interest::Write => libc::POLLOUT,
        };
        self.descriptors.push(libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 });
        self.names.push(name);
    }

    /// Waits until one is ready or the time is over.
    pub fn wait(&mut self, timeout: Duration) {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        };
        // SAFETY: pointer and length are those of one vector; the timeout lives through the call.
        let ready = unsafe {
            libc::ppoll(
                self.descriptors.as_mut_ptr(),
                self.descriptors.len() as libc::nfds_t,
                &timeout,
                std::ptr::null(),
            )
        };
        if ready < 0 {
            // Interrupted: nothing is ready.
            for descriptor in &mut self.descriptors {
                descriptor.revents = 0;
            }
        }
    }

    /// Those that the last wait found ready.
    pub fn ready(&self) -> impl Iterator<Item = T> + '_ {
        self.descriptors
            .iter()
            .zip(&self.names)
            .filter(|(descriptor, _)| descriptor.revents != 0)
            .map(|(_, name)| *name)
    }
}
