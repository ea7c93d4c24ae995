//! The keeper's loop: one turn after the other, fast while something happens, slow while not.

mod ending;
mod outgoing;
mod timing;

use std::rc::Rc;
use std::time::{Duration, Instant};

use boot::backend::{Guard, Instance};
use boot::units::MacAddress;
use protocol::channel::{Channel, ChannelError, RingChannel};
use protocol::mailbox::Mailbox;
use protocol::ring::RingError;
use protocol::{Configuration, Identity, SessionId, Stop, ToGuest, ToHost, VERSION, WorkloadState};
use tokio::sync::watch;

use self::ending::Ending;
pub use self::ending::describe;
use self::outgoing::Outgoing;
use self::timing::Timing;
use super::inbox::{Command, Inbox};
use super::log::Log;
use super::report::{Report, now_ms};
use super::session::{NOT_HAD, Sessions, session_for};
use super::{KeeperSpec, STARTING_WORKLOADS};
use crate::api::{End, Phase};
use crate::errors::chain;

/// Messages of the partition that one turn handles at most, so that it cannot keep the keeper from
/// everything else.
const MESSAGES_PER_TURN: usize = 64;

/// Workloads that a report names at most; a partition that claims more is not believed.
const MAX_WORKLOADS: usize = 256;

/// A running partition and everything about it.
pub struct Partition {
    instance: Instance,
    mailbox: Option<Mailbox>,
    channel: Option<RingChannel>,
    outgoing: Outgoing,
    configuration: Configuration,
    /// Addresses of its network devices, where it goes on from a snapshot.
    goes_on: Option<Vec<MacAddress>>,
    sessions: Sessions,
    log: Rc<Log>,
    reports: watch::Sender<Report>,
    /// The next record of the kernel's log.
    next_record: u64,
    ending: Ending,
    timing: Timing,
    /// When its start began.
    begun: Instant,
}

impl Partition {
    /// Takes charge of a partition whose CPU has just been started, or that was found running.
    pub fn new(
        instance: Instance,
        spec: &KeeperSpec,
        log: Rc<Log>,
        reports: watch::Sender<Report>,
        begun: Instant,
    ) -> Self {
        let mut configuration = spec.configuration.clone();
        configuration.version = VERSION;
        let mut partition = Self {
            instance,
            mailbox: None,
            channel: None,
            outgoing: Outgoing::default(),
            configuration,
            goes_on: spec.boot.goes_on(),
            sessions: Sessions::default(),
            log,
            reports,
            next_record: 0,
            ending: Ending::default(),
            timing: Timing::new(),
            begun,
        };
        partition.attach();
        partition
    }

    /// Runs until the partition has ended, and says why.
    pub async fn run(mut self, mut inbox: Inbox) -> End {
        loop {
            let mut worked = self.hear();
            self.speak_again();
            while let Some(command) = inbox.try_next(self.outgoing.is_empty()) {
                self.obey(command);
                worked = true;
            }
            self.look();
            if let Some(end) = self.ended() {
                return self.finish(end);
            }
            if let Some(mailbox) = &self.mailbox {
                mailbox.set_host_awake(self.sessions.any());
            }
            match self.timing.pause(worked, self.sessions.any()) {
                None => tokio::task::yield_now().await,
                Some(pause) => {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        Some(command) = inbox.next(self.outgoing.is_empty()) => self.obey(command),
                    }
                }
            }
        }
    }

    /// Takes up the control channel, from wherever an earlier keeper left it.
    fn attach(&mut self) {
        let attached = self.instance.mailbox().map_err(|error| chain(&error)).and_then(|mailbox| {
            let channel = mailbox
                .host_channel()
                .or_else(|_| mailbox.host_channel_afresh())
                .map_err(|error| chain(&error))?;
            mailbox.next_generation();
            Ok((mailbox, channel))
        });
        match attached {
            Ok((mailbox, channel)) => {
                self.mailbox = Some(mailbox);
                self.channel = Some(channel);
            }
            Err(error) => self.lose_channel(&error),
        }
    }

    /// A partition that spoils its channel is spoken to no more; it can still be watched and ended.
    fn lose_channel(&mut self, why: &str) {
        self.log.note(&format!("the control channel is lost: {why}"));
        self.channel = None;
        self.outgoing.clear();
        self.sessions.end("the partition has spoilt its control channel");
    }

    /// Handles what the partition has sent; whether there was anything.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        for _ in 0..MESSAGES_PER_TURN {
            let received = match &mut self.channel {
                Some(channel) => channel.receive::<ToHost>(),
                None => return heard,
            };
            match received {
                Ok(Some(message)) => {
                    heard = true;
                    self.handle(message);
                }
                Ok(None) => break,
                Err(error) => {
                    self.lose_channel(&chain(&error));
                    break;
                }
            }
        }
        heard
    }

    fn handle(&mut self, message: ToHost) {
        match message {
            ToHost::Hello(hello) => {
                self.log.note(&format!(
                    "guest-init runs: {}, {} CPUs, {} KiB",
                    hello.kernel, hello.cpus, hello.memory_kib
                ));
                let after = self.begun.elapsed();
                self.reports.send_modify(|report| {
                    // guest-init says hello to every keeper anew; only the first one is a start.
                    if report.boot_id.is_none() && !report.start.is_empty() {
                        report.begin(STARTING_WORKLOADS, after);
                    }
                    report.kernel = Some(bounded(hello.kernel));
                    report.boot_id = Some(bounded(hello.boot_id));
                });
                self.ending.heard();
                if let Some(identity) = self.identity() {
                    self.speak(ToGuest::GoesOn(Box::new(identity)));
                }
                self.speak(ToGuest::Configure(Box::new(self.configuration.clone())));
            }
            ToHost::Ready { .. } => {
                let after = self.begun.elapsed().as_millis() as u64;
                self.ending.ready();
                self.reports.send_modify(|report| {
                    report.phase = Phase::Ready;
                    report.ready_after_ms.get_or_insert(after);
                });
            }
            ToHost::Heartbeat(signals) => {
                self.ending.heard();
                self.reports.send_modify(|report| {
                    if report.phase == Phase::Silent {
                        report.phase = Phase::Ready;
                    }
                    report.signals = Some(*signals);
                    report.signals_at_ms = Some(now_ms());
                });
            }
            ToHost::Log { workload, stream, line } => {
                self.log.workload(&bounded(workload), stream, &line);
            }
            ToHost::Workload { name, state } => self.reports.send_modify(|report| {
                let name = bounded(name);
                let state = match state {
                    WorkloadState::Failed { reason } => {
                        WorkloadState::Failed { reason: bounded(reason) }
                    }
                    state => state,
                };
                let known = report.workloads.contains_key(&name);
                if known || report.workloads.len() < MAX_WORKLOADS {
                    report.workloads.insert(name, state);
                }
            }),
            ToHost::Stopping { stop, reason } => {
                self.log.note(&format!("guest-init stops the kernel: {}", bounded(reason)));
                self.ending.announced(stop);
                self.reports.send_modify(|report| report.phase = Phase::Stopping);
            }
            ToHost::Warning { text } => self.log.note(&format!("guest-init: {}", bounded(text))),
            ToHost::Pong { .. } => {}
            message @ (ToHost::Started { .. }
            | ToHost::Failed { .. }
            | ToHost::Output { .. }
            | ToHost::Exited { .. }
            | ToHost::Credit { .. }) => {
                if let Some(answer) = self.sessions.deliver(message) {
                    self.speak(answer);
                }
            }
        }
    }

    /// Does what a connection asks.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Open(outbox, answer) => {
                let session = self.sessions.open(outbox);
                let _ = answer.send(session);
            }
            Command::Send(message) => {
                if let ToGuest::Credit { session, bytes } = &message {
                    self.sessions.credit(*session, *bytes);
                }
                self.speak(message);
            }
            Command::Close(session) => {
                if self.sessions.close(session) {
                    self.speak(ToGuest::Hangup { session });
                }
            }
            Command::Snapshot { path, stop, answer } => {
                let result = self.instance.snapshot(&path, stop).map_err(|error| chain(&error));
                // It could not be heard while it was held.
                self.ending.heard();
                if stop && result.is_ok() {
                    self.ending.asked(true, 0);
                    self.reports.send_modify(|report| report.phase = Phase::Stopping);
                }
                let _ = answer.send(result);
            }
            Command::Hung => self.ending.hung(),
            Command::Stop { force, grace_ms } => {
                self.ending.asked(force || self.channel.is_none(), grace_ms);
                self.reports.send_modify(|report| report.phase = Phase::Stopping);
                self.speak(ToGuest::Shutdown { stop: Stop::PowerOff, grace_ms });
            }
        }
    }

    /// Who a partition is that goes on from a snapshot. Without random numbers it stays who it was.
    fn identity(&self) -> Option<Identity> {
        let macs = self.goes_on.as_ref()?.iter().map(|mac| mac.bytes()).collect();
        let (id, seed) = match (boot::contents::seed(), boot::contents::seed()) {
            (Ok(id), Ok(seed)) => (id, seed),
            (Err(error), _) | (_, Err(error)) => {
                self.log.note(&format!("it goes on as who it was: {error}"));
                return None;
            }
        };
        let mut machine_id = [0; 16];
        machine_id.iter_mut().zip(id).for_each(|(into, from)| *into = from);
        let realtime_ns = now_ms().saturating_mul(1_000_000);
        let hostname = self.configuration.hostname.clone();
        Some(Identity { hostname, machine_id, seed, realtime_ns, macs })
    }

    fn speak(&mut self, message: ToGuest) {
        let Some(channel) = &mut self.channel else { return };
        let session = session_for(&message);
        match self.outgoing.send(channel, message) {
            Ok(()) => {}
            Err(error) => self.not_sent(session, &error),
        }
    }

    /// Sends what waits for room.
    fn speak_again(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        if let Err(error) = self.outgoing.flush(channel) {
            self.not_sent(None, &error);
        }
    }

    fn not_sent(&mut self, session: Option<SessionId>, error: &ChannelError) {
        match error {
            // A client's own message just fits, and its session has a longer number here.
            ChannelError::Ring(RingError::Frame(error)) => {
                let reason = format!("a message could not be sent: {error}");
                self.log.note(&reason);
                if let Some(session) = session {
                    self.sessions.deliver(ToHost::Failed { session, reason, status: NOT_HAD });
                }
            }
            error => self.lose_channel(&chain(error)),
        }
    }

    /// Looks at what the partition does without saying so.
    fn look(&mut self) {
        if self.timing.guard_is_due() {
            let guard = self.instance.guard();
            if guard != Guard::Waiting {
                self.timing.guard_is_done();
                self.reports.send_modify(|report| report.restart_guard = guard == Guard::Installed);
                if guard == Guard::Impossible {
                    self.log.note("a restart of this kernel cannot be caught");
                }
            }
        }
        if self.timing.log_is_due() {
            self.read_kernel_log();
        }
        if self.ending.is_silent() && self.reports.borrow().phase == Phase::Ready {
            self.reports.send_modify(|report| report.phase = Phase::Silent);
        }
    }

    fn read_kernel_log(&mut self) {
        match self.instance.kernel_log(self.next_record) {
            Ok(records) => {
                for record in records {
                    self.next_record = record.sequence.saturating_add(1);
                    self.ending.read(&record);
                    self.log.kernel(&record);
                }
            }
            Err(error) => {
                if self.timing.complain() {
                    self.log.note(&chain(&error));
                }
            }
        }
    }

    /// Whether the partition has ended, and why.
    fn ended(&mut self) -> Option<End> {
        if !self.timing.request_is_due() {
            return None;
        }
        let lost = self.timing.loss_is_due().then(|| self.lost()).flatten();
        self.ending.verdict(self.instance.request(), lost)
    }

    /// Why it cannot go on, if that is so; else what it has done is told.
    fn lost(&mut self) -> Option<String> {
        let activity = self.instance.activity();
        if activity.is_some() {
            self.reports.send_modify(|report| report.machine = activity);
        }
        self.instance.lost()
    }

    /// The last look at a partition that has ended.
    fn finish(mut self, end: End) -> End {
        self.read_kernel_log();
        self.hear();
        self.sessions.end("the partition has ended");
        let asked = matches!(end, End::Stopped);
        let last_words = if asked { Vec::new() } else { self.ending.last_words() };
        self.reports.send_modify(|report| report.last_words = last_words);
        self.log.note(&describe(&end));
        end
    }
}

/// A text of the partition's, cut to what a report or a line can carry.
fn bounded(text: String) -> String {
    const MOST: usize = 256;
    if text.len() <= MOST { text } else { text.chars().take(MOST).collect() }
}

/// How long a partition may be unheard of before it is called silent.
pub const SILENCE: Duration = Duration::from_secs(3);
