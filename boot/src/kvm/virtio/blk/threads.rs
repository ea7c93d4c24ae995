//! A disk by way of a thread that does one request after the other, for kernels without io_uring.

use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::mpsc::{Receiver, Sender, channel};

use vmm_sys_util::eventfd::EventFd;

use super::engine::{Disk, Engine, Job, Kind};
use crate::kvm::filters::{self, Thread};

/// The engine.
pub struct Threads {
    begin: Sender<Job>,
    done: Receiver<(u16, io::Result<u32>)>,
    event: EventFd,
    /// Requests that were begun and not heard of.
    working: usize,
    /// What was heard of while it was waited for.
    heard: Vec<(u16, io::Result<u32>)>,
}

impl Threads {
    /// One for this disk.
    ///
    /// # Errors
    ///
    /// What eventfd(2) and clone(2) say.
    pub fn new(disk: &Disk) -> io::Result<Self> {
        let (begin, jobs) = channel::<Job>();
        let (tell, done) = channel();
        let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        let (disk, told) = (disk.clone(), event.try_clone()?);
        std::thread::Builder::new().name("disk".to_owned()).spawn(move || {
            // A thread that cannot be kept from the rest does nothing: its requests fail.
            if filters::restrict(Thread::Devices).is_err() {
                return;
            }
            // It ends with the engine.
            for job in jobs {
                let _ = tell.send((job.head, work(&disk, &job)));
                let _ = told.write(1);
            }
        })?;
        Ok(Self { begin, done, event, working: 0, heard: Vec::new() })
    }
}

impl Engine for Threads {
    fn begin(&mut self, job: Job) -> io::Result<()> {
        self.begin.send(job).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.working += 1;
        Ok(())
    }

    fn submit(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finished(&mut self, hear: &mut dyn FnMut(u16, io::Result<u32>)) {
        // Read before the queue is looked at: what comes after is told again.
        let _ = self.event.read();
        for (head, result) in self.heard.drain(..) {
            hear(head, result);
        }
        while let Ok((head, result)) = self.done.try_recv() {
            self.working -= 1;
            hear(head, result);
        }
    }

    fn wait(&mut self) {
        if self.working > 0
            && let Ok(heard) = self.done.recv()
        {
            self.working -= 1;
            self.heard.push(heard);
        }
    }

    fn event(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    fn drain(&mut self) {
        self.heard.clear();
        while self.working > 0 && self.done.recv().is_ok() {
            self.working -= 1;
        }
    }
}

fn work(disk: &Disk, job: &Job) -> io::Result<u32> {
    let (fd, offset, count) = (disk.file.as_raw_fd(), job.offset as i64, job.pieces.len() as i32);
    // SAFETY: the same layout, as it is transparent.
    let pieces: *const libc::iovec = job.pieces.as_ptr().cast();
    let result = match job.kind {
        // SAFETY: the pieces are in mappings that last, and nobody makes references to what is there.
        Kind::Read => unsafe { libc::preadv(fd, pieces, count, offset) },
        // SAFETY: as above.
        Kind::Write => unsafe { libc::pwritev(fd, pieces, count, offset) },
        Kind::Flush => return disk.file.sync_data().map(|()| 0),
        Kind::Discard | Kind::Zero => {
            let mode = disk.fallocate_mode(job.kind);
            // SAFETY: no pointers are passed.
            let result = unsafe { libc::fallocate(fd, mode, offset, job.length as i64) };
            result as isize
        }
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        moved => Ok(moved as u32),
    }
}
