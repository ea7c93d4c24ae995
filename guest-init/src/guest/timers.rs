//! What time brings: heartbeats, restarts, sessions that are over, the end.

use std::time::{Duration, Instant};

use protocol::{Configuration, ToHost, Workload};

use super::{Ending, Guest, HEARTBEAT, SIGHUP, SIGKILL, SIGTERM, Shutdown, inner_pid};
use crate::measure::{Texts, meminfo, signals};
use crate::program::Request;
use crate::sys::process::{Process, reap_strays};
use crate::sys::{kmsg, machine};
use crate::workload::Supervised;

impl Guest {
    /// Does what time has come for; when the next time comes.
    pub(super) fn timers(&mut self, now: Instant) -> Instant {
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

    pub(super) fn start_workloads(&mut self, now: Instant) {
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

    pub(super) fn heartbeat(&mut self) {
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
        self.link.send(ToHost::Heartbeat(Box::new(signals(self.sequence, &texts))));
        self.sequence += 1;
    }

    /// Begins to end the partition; a second time changes nothing.
    pub(super) fn shut_down(&mut self, ending: Ending, grace: Duration, now: Instant) {
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
    pub(super) fn resident_kib(&self, name: &str) -> u64 {
        let mut text = String::new();
        self.setting.proc.read("self/status", &mut text);
        meminfo(&text, name)
    }

    /// All programs are gone, whatever the reason.
    pub(super) fn namespace_ended(&mut self, now: Instant) {
        let status = self.setting.namespace_init.as_ref().and_then(Process::try_wait);
        if let Some(status) = status {
            self.setting.namespace_init = None;
            self.shut_down(crate::ending::of_namespace(status), Duration::ZERO, now);
        }
    }

    /// How the partition ends, once it does.
    pub(super) fn ending(&self, now: Instant) -> Option<Ending> {
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
