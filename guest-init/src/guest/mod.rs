//! guest-init at work: one thread, one loop.

mod messages;
mod timers;

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use protocol::image::ImageConfig;
use protocol::{SessionId, Stop};

use crate::link::Link;
use crate::measure::innermost_pid;
use crate::pacing::{Pace, SPIN, Step};
use crate::session::{self, Session};
use crate::sys::files::Proc;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::Process;
use crate::workload::{self, Supervised};

/// Sessions at a time.
const SESSIONS: usize = 64;
/// Between heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long the image's workloads wait for the keeper's configuration.
const CONFIGURE: Duration = Duration::from_secs(10);
/// Messages taken in one turn, so that the file descriptors get their turn too.
const BATCH: usize = 64;
/// File descriptors are looked at this often even while messages keep coming.
const POLL: Duration = Duration::from_millis(1);
/// The largest read, in bytes.
const BUFFER: usize = 16 * 1024;

const SIGHUP: u8 = libc::SIGHUP as u8;
const SIGTERM: u8 = libc::SIGTERM as u8;
const SIGKILL: u8 = libc::SIGKILL as u8;

/// What guest-init needs of the machine it runs on.
#[derive(Debug)]
pub struct Setting {
    /// guest-init's own view of processes.
    pub proc: Proc,
    /// The cgroup that programs go into.
    pub cgroup: Option<File>,
    /// The init of the programs' PID namespace; without one programs share guest-init's.
    pub namespace_init: Option<Process>,
    /// What the image says.
    pub image: ImageConfig,
    /// What could not be done before the keeper could be told.
    pub warnings: Vec<String>,
}

/// How a partition ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How the kernel is to stop.
    pub stop: Stop,
    /// Why, for people.
    pub reason: String,
}

#[derive(Debug, Clone, Copy)]
enum Name {
    Session(SessionId, session::Part),
    Workload(usize, workload::Part),
    NamespaceInit,
}

/// A shutdown under way.
#[derive(Debug)]
struct Shutdown {
    ending: Ending,
    deadline: Instant,
}

/// All of guest-init's state.
#[derive(Debug)]
pub struct Guest {
    setting: Setting,
    link: Link,
    sessions: Vec<Session>,
    workloads: Vec<Supervised>,
    /// Until when the configuration is waited for; `None` once the workloads have been started.
    configure_by: Option<Instant>,
    ready: bool,
    sequence: u64,
    next_heartbeat: Instant,
    shutdown: Option<Shutdown>,
    pace: Pace,
    polled: Instant,
    poll: PollSet<Name>,
    buffer: Vec<u8>,
}

impl Guest {
    /// Begins: says hello. Without a keeper the image's workloads are due at once.
    pub fn new(setting: Setting, link: Link) -> Self {
        let now = Instant::now();
        let wait = if link.is_connected() { CONFIGURE } else { Duration::ZERO };
        let mut guest = Self {
            setting,
            link,
            sessions: Vec::new(),
            workloads: Vec::new(),
            configure_by: Some(now + wait),
            ready: false,
            sequence: 0,
            next_heartbeat: now,
            shutdown: None,
            pace: Pace::new(now),
            polled: now,
            poll: PollSet::default(),
            buffer: vec![0; BUFFER],
        };
        guest.greet();
        guest
    }

    /// Works until the partition is to end.
    pub fn run(&mut self) -> Ending {
        loop {
            if let Some(ending) = self.turn() {
                return ending;
            }
        }
    }

    /// The way to the keeper, for the last words.
    pub fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// The init of the programs' PID namespace, where it lives.
    pub fn namespace_init(&self) -> Option<&Process> {
        self.setting.namespace_init.as_ref()
    }

    /// What is mounted, as in `/proc/mounts`.
    pub fn mounts(&self) -> String {
        let mut text = String::new();
        self.setting.proc.read("self/mounts", &mut text);
        text
    }

    /// One turn of the loop; waits where there is nothing to do.
    pub fn turn(&mut self) -> Option<Ending> {
        let now = Instant::now();
        if self.link.is_new_keeper() {
            self.meet_keeper(now);
        }
        self.receive(now);
        if self.link.echo() || self.link.flush() {
            self.pace.active(Instant::now());
        }
        let next = self.timers(now);
        if let Some(ending) = self.ending(now) {
            return Some(ending);
        }
        match self.pace.next(now, self.link.keeper_waits()) {
            Step::Spin(until) if self.link.is_connected() => {
                self.link.show(true);
                if now.duration_since(self.polled) >= POLL {
                    self.wait(Duration::ZERO, now);
                }
                self.spin(until);
            }
            step => {
                self.link.show(false);
                let rest = next.saturating_duration_since(now);
                let sleep = match step {
                    Step::Sleep(sleep) if self.link.is_connected() => sleep.min(rest),
                    _ => rest,
                };
                self.wait(sleep, now);
            }
        }
        None
    }

    /// Looks for messages without a system call; each one that comes makes it look on. The clock is
    /// read once a batch, not for each message: reading it costs as much as answering a ping.
    fn spin(&mut self, mut until: Instant) {
        let mut now = Instant::now();
        loop {
            let mut any = false;
            for _ in 0..BATCH {
                if !self.link.has_news() {
                    std::hint::spin_loop();
                    continue;
                }
                any = true;
                if let Some(message) = self.link.receive() {
                    self.handle(message, now);
                }
                self.link.echo();
            }
            now = Instant::now();
            if any {
                self.pace.active(now);
                until = now + SPIN;
            }
            if now >= until || now.duration_since(self.polled) >= POLL {
                return;
            }
        }
    }

    fn receive(&mut self, now: Instant) {
        for _ in 0..BATCH {
            let Some(message) = self.link.receive() else { return };
            self.pace.active(now);
            self.handle(message, now);
        }
    }

    /// Waits for file descriptors and serves those that are ready.
    fn wait(&mut self, timeout: Duration, now: Instant) {
        self.polled = now;
        self.poll.clear();
        for session in &self.sessions {
            let id = session.id();
            session.poll(&mut self.poll, self.link.is_clear(), |part| Name::Session(id, part));
        }
        for (index, workload) in self.workloads.iter().enumerate() {
            workload.poll(&mut self.poll, |part| Name::Workload(index, part));
        }
        if let Some(init) = &self.setting.namespace_init {
            self.poll.add(init.pidfd.as_fd(), Interest::Read, Name::NamespaceInit);
        }
        self.poll.wait(timeout);
        let now = Instant::now();
        let ready: Vec<Name> = self.poll.ready().collect();
        for name in ready {
            match name {
                Name::Session(id, part) => self.serve_session(id, part, now),
                Name::Workload(index, part) => self.serve_workload(index, part, now),
                Name::NamespaceInit => self.namespace_ended(now),
            }
        }
    }

    fn serve_session(&mut self, id: SessionId, part: session::Part, now: Instant) {
        let Some(at) = self.position(id) else { return };
        let Some(session) = self.sessions.get_mut(at) else { return };
        match part {
            session::Part::Input => session.feed(&mut self.link),
            session::Part::Output(stream) => {
                session.read(stream, &mut self.link, &mut self.buffer);
            }
            session::Part::Process => session.reap(now),
        }
    }

    fn serve_workload(&mut self, index: usize, part: workload::Part, now: Instant) {
        let Some(workload) = self.workloads.get_mut(index) else { return };
        match part {
            workload::Part::Pipe(number) => {
                workload.read(number, &mut self.link, &mut self.buffer);
            }
            workload::Part::Process => workload.reap(now, &mut self.link, &mut self.buffer),
        }
    }
}

/// A process id as programs see it; guest-init's number where the kernel does not say.
fn inner_pid(setting: &Setting, pid: u32) -> u32 {
    let mut text = String::new();
    setting.proc.read(&format!("{pid}/status"), &mut text);
    innermost_pid(&text).unwrap_or(pid)
}
