//! A disk by way of io_uring: many requests at once, and one system call for all that came together.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};

use io_uring::{IoUring, opcode, squeue, types};
use vmm_sys_util::eventfd::EventFd;

use super::engine::{Disk, Engine, Job, Kind};

/// Requests that are worked on at once: as many as a queue holds.
const ENTRIES: u32 = super::QUEUE as u32;

/// The engine.
pub struct Uring {
    ring: IoUring,
    disk: Disk,
    event: EventFd,
    /// What is worked on: the kernel reads the pieces, so they stay where they are.
    working: BTreeMap<u16, Job>,
}

impl Uring {
    /// One for this disk.
    ///
    /// # Errors
    ///
    /// What io_uring_setup(2) and io_uring_register(2) say.
    pub fn new(disk: &Disk) -> io::Result<Self> {
        let ring = IoUring::new(ENTRIES)?;
        let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        ring.submitter().register_eventfd(event.as_raw_fd())?;
        Ok(Self { ring, disk: disk.clone(), event, working: BTreeMap::new() })
    }

    fn entry(&self, job: &Job) -> squeue::Entry {
        let fd = types::Fd(self.disk.file.as_raw_fd());
        let pieces: *const libc::iovec = job.pieces.as_ptr().cast();
        let count = job.pieces.len() as u32;
        let entry = match job.kind {
            Kind::Read => opcode::Readv::new(fd, pieces, count).offset(job.offset).build(),
            Kind::Write => opcode::Writev::new(fd, pieces, count).offset(job.offset).build(),
            Kind::Flush => opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build(),
            Kind::Discard | Kind::Zero => opcode::Fallocate::new(fd, job.length)
                .offset(job.offset)
                .mode(self.disk.fallocate_mode(job.kind))
                .build(),
        };
        entry.user_data(job.head.into())
    }
}

impl Engine for Uring {
    fn begin(&mut self, job: Job) -> io::Result<()> {
        let (head, entry) = (job.head, self.entry(&job));
        // The pieces stay where they are when their list moves.
        self.working.insert(head, job);
        loop {
            // SAFETY: the list of pieces lives until the entry has finished, and the pieces as long as the
            // process; nobody makes references to what is there.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            if let Err(error) = self.ring.submit() {
                self.working.remove(&head);
                return Err(error);
            }
        }
    }

    fn submit(&mut self) -> io::Result<()> {
        match self.ring.submit() {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn finished(&mut self, hear: &mut dyn FnMut(u16, io::Result<u32>)) {
        // Read before the queue is looked at: what comes after is told again.
        let _ = self.event.read();
        for entry in self.ring.completion() {
            let head = entry.user_data() as u16;
            self.working.remove(&head);
            let result = match entry.result() {
                error @ ..0 => Err(io::Error::from_raw_os_error(-error)),
                moved => Ok(moved as u32),
            };
            hear(head, result);
        }
    }

    fn event(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    fn wait(&mut self) {
        if self.working.is_empty() {
            return;
        }
        // Nothing may go on with a guest's memory: there is no other way than to wait.
        if let Err(error) = self.ring.submit_and_wait(1)
            && error.kind() != io::ErrorKind::Interrupted
        {
            std::process::abort();
        }
    }

    fn drain(&mut self) {
        while !self.working.is_empty() {
            self.wait();
            self.finished(&mut |_, _| ());
        }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        self.drain();
    }
}
