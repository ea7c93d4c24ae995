//! A partition for tests: guest-init in a thread, and a keeper's view of it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use guest_init::guest::{Ending, Guest, Setting};
use guest_init::link::Link;
use guest_init::sys::files::Proc;
use protocol::channel::{Channel, RingChannel};
use protocol::image::ImageConfig;
use protocol::mailbox::{BootClock, Mailbox, SIZE};
use protocol::{
    Configuration, ExecRequest, ExitStatus, Restart, SessionId, SharedMemory, Stop, Stream,
    TerminalSize, ToGuest, ToHost, VERSION, Workload, WorkloadState,
};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const ONE: SessionId = SessionId(1);

/// guest-init's loop, and the host's end of its rings.
pub struct Partition {
    pub mailbox: Mailbox,
    pub channel: RingChannel,
    pub guest: Option<JoinHandle<Ending>>,
    /// What has arrived, in order.
    pub seen: Vec<ToHost>,
}

pub fn map(file: &File) -> SharedMemory {
    SharedMemory::map_file(file, 0, SIZE).unwrap()
}

/// Tests run as whoever runs them.
pub fn me() -> String {
    let own = std::fs::metadata("/proc/self").unwrap();
    format!("{}:{}", own.uid(), own.gid())
}

pub fn workload(name: &str, script: &str, restart: Restart) -> Workload {
    Workload {
        name: name.into(),
        argv: vec!["sh".into(), "-c".into(), script.into()],
        env: vec![],
        cwd: String::new(),
        user: me(),
        restart,
    }
}

impl Partition {
    pub fn boot(image: ImageConfig) -> Self {
        Self::boot_after(image, |_| ())
    }

    /// Boots once `before` has done something to the mailbox.
    pub fn boot_after(image: ImageConfig, before: impl Fn(&Mailbox)) -> Self {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SIZE as u64).unwrap();
        let mailbox = Mailbox::create(map(&file), BootClock::default()).unwrap();
        mailbox.next_generation();
        before(&mailbox);
        let theirs = map(&file);
        let guest = thread::spawn(move || {
            let link = Link::mailbox(Mailbox::open(theirs).unwrap()).unwrap();
            let setting = Setting {
                proc: Proc::open(),
                cgroup: None,
                namespace_init: None,
                image,
                warnings: vec!["a warning from before".into()],
            };
            Guest::new(setting, link).run()
        });
        let channel = mailbox.host_channel().unwrap();
        Self { mailbox, channel, guest: Some(guest), seen: Vec::new() }
    }

    pub fn ready(image: ImageConfig) -> Self {
        let mut partition = Self::boot(image);
        partition.configure(vec![]);
        partition.wait(|message| matches!(message, ToHost::Ready { .. }));
        partition
    }

    pub fn configure(&mut self, workloads: Vec<Workload>) {
        let hostname = "test".into();
        self.send(ToGuest::Configure(Box::new(Configuration {
            version: VERSION,
            hostname,
            workloads,
        })));
    }

    pub fn send(&mut self, message: ToGuest) {
        let deadline = Instant::now() + PATIENCE;
        while !self.channel.send(&message).unwrap() {
            assert!(Instant::now() < deadline, "no room for {message:?}");
            thread::yield_now();
        }
    }

    pub fn receive(&mut self) -> Option<ToHost> {
        let message = self.channel.receive::<ToHost>().unwrap()?;
        self.seen.push(message.clone());
        Some(message)
    }

    pub fn wait(&mut self, wanted: impl Fn(&ToHost) -> bool) -> ToHost {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.receive() {
                Some(message) if wanted(&message) => return message,
                Some(_) => {}
                None => thread::sleep(Duration::from_micros(50)),
            }
            assert!(Instant::now() < deadline, "not what was waited for: {:?}", self.seen);
        }
    }

    /// Everything that arrives within this time.
    pub fn listen(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if self.receive().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    pub fn exec(&mut self, session: SessionId, argv: &[&str], terminal: Option<TerminalSize>) {
        self.send(ToGuest::Exec(Box::new(ExecRequest {
            session,
            argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
            env: vec![("GREETING".into(), "hello".into())],
            cwd: "/tmp".into(),
            user: me(),
            terminal,
        })));
    }

    pub fn sh(&mut self, script: &str) {
        self.exec(ONE, &["sh", "-c", script], None);
        self.wait(|message| matches!(message, ToHost::Started { session: ONE, .. }));
    }

    pub fn exited(&mut self, id: SessionId) -> ExitStatus {
        let exited = self
            .wait(|message| matches!(message, ToHost::Exited { session, .. } if *session == id));
        let ToHost::Exited { status, .. } = exited else { unreachable!() };
        status
    }

    pub fn output(&self, id: SessionId, wanted: Stream) -> Vec<u8> {
        let pieces = self.seen.iter().filter_map(|message| match message {
            ToHost::Output { session, stream, data } if *session == id && *stream == wanted => {
                Some(data.as_slice())
            }
            _ => None,
        });
        pieces.collect::<Vec<_>>().concat()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.output(ONE, Stream::Stdout)).unwrap()
    }

    pub fn states(&self, wanted: &str) -> Vec<&WorkloadState> {
        let states = self.seen.iter().filter_map(|message| match message {
            ToHost::Workload { name, state } if name == wanted => Some(state),
            _ => None,
        });
        states.collect()
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Some(guest) = self.guest.take() {
            self.send(ToGuest::Shutdown { stop: Stop::PowerOff, grace_ms: 0 });
            let ending = guest.join().unwrap();
            assert_eq!(ending.stop, Stop::PowerOff);
        }
    }
}

impl Partition {
    pub fn exited_status(&self) -> ExitStatus {
        match self.seen.last() {
            Some(ToHost::Exited { status, .. }) => *status,
            other => panic!("{other:?}"),
        }
    }
}
