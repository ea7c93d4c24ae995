//! What the keeper asks for, and what it is told of its own accord.

use std::time::{Duration, Instant};

use protocol::{Configuration, ExecRequest, Hello, Identity, SessionId, ToGuest, ToHost, VERSION};

use super::{Ending, Guest, SESSIONS, inner_pid};
use crate::configuration::image::merge;
use crate::measure::{meminfo, uptime_ms};
use crate::program::{Program, Request, StartError, prepare};
use crate::session::Session;
use crate::sys::files::read_or_empty;
use crate::sys::{identity, kmsg, machine};
use crate::workload::Supervised;

impl Guest {
    pub(super) fn greet(&mut self) {
        let mut text = String::new();
        self.setting.proc.read("meminfo", &mut text);
        self.link.send(ToHost::Hello(Box::new(Hello {
            version: VERSION,
            boot_id: read_or_empty("/proc/sys/kernel/random/boot_id").trim_end().to_owned(),
            kernel: machine::kernel_release(),
            cpus: machine::cpus(),
            memory_kib: meminfo(&text, "MemTotal"),
        })));
        for text in std::mem::take(&mut self.setting.warnings) {
            self.link.send(ToHost::Warning { text });
        }
    }

    /// Another keeper has attached: it knows nothing of what was before.
    pub(super) fn meet_keeper(&mut self, now: Instant) {
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

    pub(super) fn say_ready(&mut self) {
        let mut text = String::new();
        self.setting.proc.read("uptime", &mut text);
        self.link.send(ToHost::Ready { uptime_ms: uptime_ms(&text) });
    }

    pub(super) fn warn(&mut self, text: String) {
        kmsg::warning(&text);
        self.link.send(ToHost::Warning { text });
    }

    pub(super) fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id() == id)
    }

    /// Does what a message asks. Messages for sessions that have ended are no error: they crossed.
    pub fn handle(&mut self, message: ToGuest, now: Instant) {
        match message {
            ToGuest::Ping { sequence } => self.link.send(ToHost::Pong { sequence }),
            ToGuest::Configure(configuration) => self.configure(&configuration, now),
            ToGuest::GoesOn(identity) => self.go_on_as(&identity),
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

    pub(super) fn position(&self, id: SessionId) -> Option<usize> {
        self.sessions.iter().position(|session| session.id() == id)
    }

    pub(super) fn input(&mut self, id: SessionId, data: &[u8]) {
        let Some(at) = self.position(id) else { return };
        let Some(session) = self.sessions.get_mut(at) else { return };
        if !session.input(data, &mut self.link) {
            self.warn(format!("session {}: more input than its window; the rest is dropped", id.0));
        }
    }

    pub(super) fn configure(&mut self, configuration: &Configuration, now: Instant) {
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

    /// Becomes another than whoever goes on from the same snapshot. What cannot be changed is warned of.
    pub(super) fn go_on_as(&mut self, identity: &Identity) {
        if !machine::is_init() {
            return;
        }
        let attempts = [
            ("reseed the random numbers", identity::reseed(&identity.seed)),
            ("set the clock", identity::set_clock(identity.realtime_ns)),
            (
                "change the addresses of its network devices",
                identity::set_addresses(&identity.macs),
            ),
        ];
        let is_clone = machine::hostname() != identity.hostname;
        let renamed = is_clone
            .then(|| ("change the machine's id", identity::set_machine_id(&identity.machine_id)));
        for (what, result) in attempts.into_iter().chain(renamed) {
            if let Err(error) = result {
                self.warn(format!("cannot {what}: {error}"));
            }
        }
    }

    /// Makes all workloads due that are not there yet; one that runs keeps its former definition.
    pub(super) fn add_workloads(&mut self, configuration: &Configuration, now: Instant) {
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

    pub(super) fn program(&self, request: &Request<'_>) -> Result<Program, StartError> {
        let passwd = read_or_empty("/etc/passwd");
        let group = read_or_empty("/etc/group");
        prepare(request, &self.setting.image.env, &passwd, &group)
    }

    pub(super) fn exec(&mut self, request: &ExecRequest) {
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
}
