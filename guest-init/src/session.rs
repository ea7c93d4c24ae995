//! One `exec` session: a program, its streams, and how much of them may be under way.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::time::{Duration, Instant};

use protocol::{
    ExecRequest, ExitStatus, MAX_CHUNK, SessionId, Stream, TerminalSize, ToHost, WINDOW,
};

use crate::link::Link;
use crate::program::{Program, StartError};
use crate::sys::files::{Transfer, read, set_nonblocking, write};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::{Process, spawn};
use crate::sys::terminal;

/// Between SIGHUP and SIGKILL when nobody listens any longer.
const HANGUP: Duration = Duration::from_secs(2);

/// How long a terminal may take to hand over the last output of a program that has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// End of transmission: what a terminal takes for the end of input.
const END: u8 = 4;

/// `SIGHUP` and `SIGKILL`.
const SIGHUP: u8 = libc::SIGHUP as u8;
const SIGKILL: u8 = libc::SIGKILL as u8;

/// Which file descriptor of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The program's standard input, writable.
    Input,
    /// Its output (or terminal), readable.
    Output(Stream),
    /// The program has ended.
    Process,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    process: Process,
    /// Where input goes; the terminal itself where there is one.
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    is_terminal: bool,
    input: VecDeque<u8>,
    input_ends: bool,
    /// Bytes of output that may still be sent.
    credit: u32,
    status: Option<(ExitStatus, Instant)>,
    /// When SIGKILL is due, after a hangup.
    kill_at: Option<Instant>,
    hung_up: bool,
}

impl Session {
    /// Starts the program.
    ///
    /// # Errors
    ///
    /// Why it does not run.
    pub fn start(
        request: &ExecRequest,
        program: &Program,
        cgroup: Option<&File>,
    ) -> Result<Self, StartError> {
        if let Err(error) = std::fs::read_dir(&program.cwd) {
            return Err(StartError::Directory(program.cwd.clone(), error));
        }
        let streams = match request.terminal {
            Some(size) => Streams::terminal(size, program.credentials.uid),
            None => Streams::pipes(),
        };
        let Streams { stdin, stdout, stderr, theirs } = streams.map_err(StartError::Streams)?;
        let process = spawn(program, theirs, request.terminal.is_some(), cgroup)
            .map_err(|error| StartError::Spawn(program.executable.clone(), error))?;
        Ok(Self {
            id: request.session,
            process,
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr,
            is_terminal: request.terminal.is_some(),
            input: VecDeque::new(),
            input_ends: false,
            credit: WINDOW,
            status: None,
            kill_at: None,
            hung_up: false,
        })
    }

    /// Its number.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The program's process id as guest-init sees it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Takes input; `false` where the sender has sent more than it may, and the rest was dropped.
    pub fn input(&mut self, data: &[u8], link: &mut Link) -> bool {
        if self.input_ends || self.stdin.is_none() {
            // Nobody reads it any more; the sender must not wait for that.
            grant(self.id, data.len(), link);
            return true;
        }
        let room = (WINDOW as usize).saturating_sub(self.input.len());
        self.input.extend(data.iter().take(room));
        self.feed(link);
        data.len() <= room
    }

    /// No more input.
    pub fn end_input(&mut self, link: &mut Link) {
        self.input_ends = true;
        if self.is_terminal {
            self.input.push_back(END);
        }
        self.feed(link);
    }

    /// Writes waiting input, as far as the program takes it.
    pub fn feed(&mut self, link: &mut Link) {
        let mut written = 0;
        while let Some(stdin) = &mut self.stdin {
            let (first, _) = self.input.as_slices();
            if first.is_empty() {
                if self.input_ends && !self.is_terminal {
                    self.stdin = None;
                }
                break;
            }
            match write(stdin, first) {
                Transfer::Bytes(count) => {
                    self.input.drain(..count);
                    written += count;
                }
                Transfer::Later => break,
                Transfer::End => {
                    written += self.input.len();
                    self.input.clear();
                    self.stdin = None;
                }
            }
        }
        grant(self.id, written, link);
    }

    /// So much more output may be sent.
    pub fn add_credit(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(bytes).min(WINDOW);
    }

    /// Sends a signal to the program and all in its process group.
    pub fn signal(&self, signal: u8) {
        if self.status.is_none() {
            self.process.signal(signal);
        }
    }

    /// Gives the terminal another size.
    pub fn resize(&self, size: TerminalSize) {
        if let (true, Some(master)) = (self.is_terminal, &self.stdout) {
            // It fails only for a terminal whose program is gone.
            let _ = terminal::resize(master, size);
        }
    }

    /// Nobody listens any longer.
    pub fn hang_up(&mut self, now: Instant) {
        self.signal(SIGHUP);
        self.hung_up = true;
        self.kill_at = Some(now + HANGUP);
        self.input.clear();
        self.stdin = None;
    }

    /// Adds what this session waits for.
    pub fn poll<T: Copy>(&self, set: &mut PollSet<T>, may_send: bool, name: impl Fn(Part) -> T) {
        if self.status.is_none() {
            set.add(self.process.pidfd.as_fd(), Interest::Read, name(Part::Process));
        }
        if let (Some(stdin), false) = (&self.stdin, self.input.is_empty()) {
            set.add(stdin.as_fd(), Interest::Write, name(Part::Input));
        }
        if self.may_read(may_send) {
            for (stream, fd) in self.outputs() {
                set.add(fd, Interest::Read, name(Part::Output(stream)));
            }
        }
    }

    fn may_read(&self, may_send: bool) -> bool {
        self.hung_up || (may_send && self.credit > 0)
    }

    fn outputs(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        let stdout = self.stdout.as_ref().map(|file| (Stream::Stdout, file.as_fd()));
        let stderr = self.stderr.as_ref().map(|file| (Stream::Stderr, file.as_fd()));
        stdout.into_iter().chain(stderr)
    }

    /// Reads output once and sends it. `false`: nothing more comes from there now.
    pub fn read(&mut self, stream: Stream, link: &mut Link, buffer: &mut [u8]) -> bool {
        if !self.may_read(link.is_clear()) {
            return false;
        }
        let most = if self.hung_up { MAX_CHUNK } else { MAX_CHUNK.min(self.credit as usize) };
        let file = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let most = most.min(buffer.len());
        let (Some(open), Some(buffer)) = (file.as_mut(), buffer.get_mut(..most)) else {
            return false;
        };
        match read(open, buffer) {
            Transfer::Bytes(count) => {
                if !self.hung_up {
                    self.credit = self.credit.saturating_sub(count as u32);
                    let data = buffer.get(..count).unwrap_or_default().to_vec();
                    link.send(ToHost::Output { session: self.id, stream, data });
                }
                true
            }
            Transfer::Later => false,
            Transfer::End => {
                *file = None;
                false
            }
        }
    }

    /// Looks whether the program has ended.
    pub fn reap(&mut self, now: Instant) {
        if self.status.is_none() {
            self.status = self.process.try_wait().map(|status| (status, now));
        }
    }

    /// Sends SIGKILL where it is due; when the next thing is due.
    pub fn tick(&mut self, now: Instant) -> Option<Instant> {
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.signal(SIGKILL);
        }
        let drained = self.status.filter(|_| self.is_terminal).map(|(_, ended)| ended + DRAIN);
        [self.kill_at, drained].into_iter().flatten().min()
    }

    /// How the program ended, once all that it wrote has been sent as well.
    ///
    /// A program that has ended has written all it will; what is left in its pipes is read until
    /// they are empty, not until they are closed, because programs that it left behind may hold
    /// them open for ever. A terminal hands its last output over later, but ends by itself.
    pub fn finish(
        &mut self,
        now: Instant,
        link: &mut Link,
        buffer: &mut [u8],
    ) -> Option<ExitStatus> {
        let (status, ended) = self.status?;
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.read(stream, link, buffer) {}
        }
        let open = self.stdout.is_some() || self.stderr.is_some();
        if open && !self.hung_up {
            if !self.may_read(link.is_clear()) {
                return None;
            }
            if self.is_terminal && now < ended + DRAIN {
                return None;
            }
        }
        Some(status)
    }
}

/// Says that so many bytes of input have been used up.
fn grant(session: SessionId, bytes: usize, link: &mut Link) {
    if let Some(bytes) = u32::try_from(bytes).ok().filter(|bytes| *bytes > 0) {
        link.send(ToHost::Credit { session, bytes });
    }
}

/// Our ends of a program's standard streams, and the program's.
struct Streams {
    stdin: File,
    stdout: File,
    stderr: Option<File>,
    theirs: [Stdio; 3],
}

impl Streams {
    fn terminal(size: TerminalSize, uid: u32) -> io::Result<Self> {
        let (master, slave) = terminal::open(size, uid)?;
        let theirs = [slave.try_clone()?.into(), slave.try_clone()?.into(), slave.into()];
        Ok(Self { stdin: master.try_clone()?, stdout: master, stderr: None, theirs })
    }

    fn pipes() -> io::Result<Self> {
        let (their_stdin, stdin) = io::pipe()?;
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        set_nonblocking(&stdin)?;
        set_nonblocking(&stdout)?;
        set_nonblocking(&stderr)?;
        let file = |fd: OwnedFd| File::from(fd);
        Ok(Self {
            stdin: file(stdin.into()),
            stdout: file(stdout.into()),
            stderr: Some(file(stderr.into())),
            theirs: [their_stdin.into(), their_stdout.into(), their_stderr.into()],
        })
    }
}
