//! guest-init at work: one thread, one loop.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use protocol::{
    Configuration, ExecRequest, Hello, SessionId, Stop, ToGuest, ToHost, VERSION, Workload,
};

use crate::configuration::image::{Image, merge};
use crate::link::Link;
use crate::measure::{Texts, innermost_pid, meminfo, signals, uptime_ms};
use crate::pacing::{Pace, SPIN, Step};
use crate::program::{Program, Request, StartError, prepare};
use crate::session::{self, Session};
use crate::sys::files::{Proc, read_or_empty};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::{Process, reap_strays};
use crate::sys::{kmsg, machine};
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
    pub image: Image,
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
        self.link.echo();
        if self.link.flush() {
            self.pace.active(now);
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

    fn greet(&mut self) {
        let mut text = String::new();
        self.setting.proc.read("meminfo", &mut text);
        self.link.send(ToHost::Hello(Hello {
            version: VERSION,
            boot_id: read_or_empty("/proc/sys/kernel/random/boot_id").trim_end().to_owned(),
            kernel: machine::kernel_release(),
            cpus: machine::cpus(),
            memory_kib: meminfo(&text, "MemTotal"),
        }));
        for text in std::mem::take(&mut self.setting.warnings) {
            self.link.send(ToHost::Warning { text });
        }
    }

    /// Another keeper has attached: it knows nothing of what was before.
    fn meet_keeper(&mut self, now: Instant) {
        self.pace.active(now);
        self.greet();
        for session in &mut self.sessions {
            session.hang_up(now);
        }
        for workload in &self.workloads {
            workload.report(&mut self.link);
        }
        if self.ready {
            self.say_ready();
        }
    }

    fn say_ready(&mut self) {
        let mut text = String::new();
        self.setting.proc.read("uptime", &mut text);
        self.link.send(ToHost::Ready { uptime_ms: uptime_ms(&text) });
    }

    fn warn(&mut self, text: String) {
        kmsg::warning(&text);
        self.link.send(ToHost::Warning { text });
    }

    fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id() == id)
    }

    /// Does what a message asks. Messages for sessions that have ended are no error: they crossed.
    pub fn handle(&mut self, message: ToGuest, now: Instant) {
        match message {
            ToGuest::Ping { sequence } => self.link.send(ToHost::Pong { sequence }),
            ToGuest::Configure(configuration) => self.configure(&configuration, now),
            ToGuest::Exec(request) => self.exec(&request),
            ToGuest::Input { session, data } => self.input(session, &data),
            ToGuest::InputEnd { session } => {
                if let Some(at) = self.position(session)
                    && let Some(session) = self.sessions.get_mut(at)
                {
                    session.end_input(&mut self.link);
                }
            }
            ToGuest::Credit { session, bytes } => {
                if let Some(session) = self.session(session) {
                    session.add_credit(bytes);
                }
            }
            ToGuest::Signal { session, signal } => {
                if let Some(session) = self.session(session) {
                    session.signal(signal);
                }
            }
            ToGuest::Resize { session, size } => {
                if let Some(session) = self.session(session) {
                    session.resize(size);
                }
            }
            ToGuest::Hangup { session } => {
                if let Some(session) = self.session(session) {
                    session.hang_up(now);
                }
            }
            ToGuest::Shutdown { stop, grace_ms } => {
                let reason = "asked by the keeper".to_owned();
                self.shut_down(
                    Ending { stop, reason },
                    Duration::from_millis(grace_ms.into()),
                    now,
                );
            }
        }
    }

    fn position(&self, id: SessionId) -> Option<usize> {
        self.sessions.iter().position(|session| session.id() == id)
    }

    fn input(&mut self, id: SessionId, data: &[u8]) {
        let Some(at) = self.position(id) else { return };
        let Some(session) = self.sessions.get_mut(at) else { return };
        if !session.input(data, &mut self.link) {
            self.warn(format!("session {}: more input than its window; the rest is dropped", id.0));
        }
    }

    fn configure(&mut self, configuration: &Configuration, now: Instant) {
        if configuration.version != VERSION {
            self.warn(format!(
                "the keeper speaks version {} of the protocol, this image {VERSION}",
                configuration.version
            ));
        }
        if !configuration.hostname.is_empty()
            && machine::is_init()
            && let Err(error) = machine::set_hostname(&configuration.hostname)
        {
            self.warn(format!("cannot set the host name: {error}"));
        }
        self.add_workloads(configuration, now);
    }

    /// Makes all workloads due that are not there yet; one that runs keeps its former definition.
    fn add_workloads(&mut self, configuration: &Configuration, now: Instant) {
        self.configure_by = None;
        for workload in merge(&self.setting.image.workloads, configuration) {
            match self.workloads.iter().find(|known| known.workload.name == workload.name) {
                None => self.workloads.push(Supervised::new(workload, now)),
                Some(known) if known.workload == workload => {}
                Some(_) => self.warn(format!(
                    "workload {} keeps its former definition until the partition is restarted",
                    workload.name
                )),
            }
        }
    }

    fn program(&self, request: &Request<'_>) -> Result<Program, StartError> {
        let passwd = read_or_empty("/etc/passwd");
        let group = read_or_empty("/etc/group");
        prepare(request, &self.setting.image.env, &passwd, &group)
    }

    fn exec(&mut self, request: &ExecRequest) {
        let session = request.session;
        let fail = |reason: String, status| ToHost::Failed { session, reason, status };
        if self.shutdown.is_some() {
            return self.link.send(fail("the partition is about to stop".to_owned(), 125));
        }
        if self.position(session).is_some() {
            return self.link.send(fail(format!("session {} exists already", session.0), 125));
        }
        if self.sessions.len() >= SESSIONS {
            return self.link.send(fail(format!("there are {SESSIONS} sessions already"), 125));
        }
        let wanted = Request {
            argv: &request.argv,
            env: &request.env,
            cwd: &request.cwd,
            user: &request.user,
            terminal: request.terminal.is_some(),
        };
        let started = self
            .program(&wanted)
            .and_then(|program| Session::start(request, &program, self.setting.cgroup.as_ref()));
        match started {
            Ok(started) => {
                let pid = inner_pid(&self.setting, started.pid());
                self.link.send(ToHost::Started { session, pid });
                self.sessions.push(started);
            }
            Err(error) => self.link.send(fail(error.to_string(), error.status())),
        }
    }

    /// Does what time has come for; when the next time comes.
    fn timers(&mut self, now: Instant) -> Instant {
        if self.next_heartbeat <= now {
            self.next_heartbeat = now + HEARTBEAT;
            self.heartbeat();
        }
        if self.configure_by.is_some_and(|by| by <= now) {
            if self.link.is_connected() {
                self.warn(
                    "no configuration from the keeper: only the image's workloads run".into(),
                );
            }
            self.add_workloads(&Configuration::default(), now);
        }
        self.start_workloads(now);
        if !self.ready && self.configure_by.is_none() {
            self.ready = true;
            self.say_ready();
            kmsg::info(&format!("ready, {} KiB resident", self.resident_kib("VmRSS")));
        }
        let mut next = self.next_heartbeat;
        let mut at = 0;
        while let Some(session) = self.sessions.get_mut(at) {
            if let Some(due) = session.tick(now) {
                next = next.min(due);
            }
            match session.finish(now, &mut self.link, &mut self.buffer) {
                Some(status) => {
                    let session = session.id();
                    self.link.send(ToHost::Exited { session, status });
                    self.sessions.remove(at);
                }
                None => at += 1,
            }
        }
        let dues = self.workloads.iter().filter_map(Supervised::due);
        let limits =
            self.configure_by.into_iter().chain(self.shutdown.as_ref().map(|s| s.deadline));
        dues.chain(limits).fold(next, Instant::min)
    }

    fn start_workloads(&mut self, now: Instant) {
        for at in 0..self.workloads.len() {
            let Some(workload) = self
                .workloads
                .get(at)
                .filter(|workload| workload.due().is_some_and(|due| due <= now))
            else {
                continue;
            };
            let Workload { argv, env, cwd, user, .. } = &workload.workload;
            let program = self.program(&Request { argv, env, cwd, user, terminal: false });
            let setting = &self.setting;
            if let Some(workload) = self.workloads.get_mut(at) {
                let inner = |pid| inner_pid(setting, pid);
                workload.start(program, setting.cgroup.as_ref(), now, inner, &mut self.link);
            }
        }
    }

    fn heartbeat(&mut self) {
        if machine::is_init() {
            let (sessions, workloads) = (&self.sessions, &self.workloads);
            let init = self.namespace_init().map(Process::pid);
            reap_strays(|pid| {
                init == Some(pid)
                    || sessions.iter().any(|session| session.pid() == pid)
                    || workloads.iter().any(|workload| workload.pid() == Some(pid))
            });
        }
        // An old heartbeat is worth nothing: none is kept waiting.
        if !self.link.is_connected() || !self.link.is_clear() {
            return;
        }
        let read = |path| {
            let mut text = String::new();
            self.setting.proc.read(path, &mut text);
            text
        };
        let texts = [
            read("uptime"),
            read("meminfo"),
            read("loadavg"),
            read("interrupts"),
            read("pressure/cpu"),
            read("pressure/memory"),
            read("pressure/io"),
        ];
        let [uptime, meminfo, loadavg, interrupts, cpu, memory, io] = &texts;
        let texts = Texts { uptime, meminfo, loadavg, interrupts, pressure: [cpu, memory, io] };
        self.link.send(ToHost::Heartbeat(signals(self.sequence, &texts)));
        self.sequence += 1;
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

    /// Begins to end the partition; a second time changes nothing.
    fn shut_down(&mut self, ending: Ending, grace: Duration, now: Instant) {
        if self.shutdown.is_some() {
            return;
        }
        let most = self.resident_kib("VmHWM");
        let Ending { stop, reason } = &ending;
        kmsg::info(&format!("stopping ({stop:?}): {reason}; at most {most} KiB were resident"));
        self.link.send(ToHost::Stopping { stop: ending.stop, reason: ending.reason.clone() });
        for workload in &mut self.workloads {
            workload.give_up();
            workload.signal(SIGTERM);
        }
        for session in &self.sessions {
            session.signal(SIGTERM);
            session.signal(SIGHUP);
        }
        self.shutdown = Some(Shutdown { ending, deadline: now + grace });
    }

    /// What guest-init itself takes of the partition's memory; `name` as in `/proc/self/status`.
    fn resident_kib(&self, name: &str) -> u64 {
        let mut text = String::new();
        self.setting.proc.read("self/status", &mut text);
        meminfo(&text, name)
    }

    /// All programs are gone, whatever the reason.
    fn namespace_ended(&mut self, now: Instant) {
        let status = self.setting.namespace_init.as_ref().and_then(Process::try_wait);
        if let Some(status) = status {
            self.setting.namespace_init = None;
            self.shut_down(crate::ending::of_namespace(status), Duration::ZERO, now);
        }
    }

    /// How the partition ends, once it does.
    fn ending(&self, now: Instant) -> Option<Ending> {
        let shutdown = self.shutdown.as_ref()?;
        let quiet = self.sessions.is_empty()
            && self.workloads.iter().all(|workload| workload.pid().is_none());
        if quiet {
            return Some(shutdown.ending.clone());
        }
        if shutdown.deadline > now {
            return None;
        }
        for workload in &self.workloads {
            workload.signal(SIGKILL);
        }
        for session in &self.sessions {
            session.signal(SIGKILL);
        }
        Some(shutdown.ending.clone())
    }
}

/// A process id as programs see it; guest-init's number where the kernel does not say.
fn inner_pid(setting: &Setting, pid: u32) -> u32 {
    let mut text = String::new();
    setting.proc.read(&format!("{pid}/status"), &mut text);
    innermost_pid(&text).unwrap_or(pid)
}
