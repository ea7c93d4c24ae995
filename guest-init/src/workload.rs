//! A workload: started, watched, restarted, its lines passed on.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::{Duration, Instant};

use protocol::{ExitStatus, Restart, Stream, ToHost, Workload, WorkloadState};

use crate::lines::LineSplitter;
use crate::link::Link;
use crate::program::{Program, StartError};
use crate::restart::History;
use crate::sys::files::{Transfer, read, set_nonblocking};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::{Process, spawn};

/// How many pipes of earlier runs, held open by programs left behind, are still read.
const PIPES: usize = 8;

/// Which file descriptor of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A pipe that it writes to, by its number.
    Pipe(u64),
    /// The program has ended.
    Process,
}

#[derive(Debug)]
struct Pipe {
    number: u64,
    stream: Stream,
    file: File,
    lines: LineSplitter,
}

/// A workload and what became of it.
#[derive(Debug)]
pub struct Supervised {
    /// What it is.
    pub workload: Workload,
    state: WorkloadState,
    process: Option<(Process, Instant)>,
    pipes: Vec<Pipe>,
    next_pipe: u64,
    history: History,
    restart_at: Option<Instant>,
}

impl Supervised {
    /// A workload that has not been started: it is due at once.
    pub fn new(workload: Workload, now: Instant) -> Self {
        Self {
            workload,
            state: WorkloadState::Failed { reason: "not started yet".to_owned() },
            process: None,
            pipes: Vec::new(),
            next_pipe: 0,
            history: History::default(),
            restart_at: Some(now),
        }
    }

    /// When it is to be started, `None` while it runs or stays ended.
    pub fn due(&self) -> Option<Instant> {
        self.restart_at
    }

    /// The process id as guest-init sees it.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|(process, _)| process.pid())
    }

    /// Starts it. `inner` translates a process id into the programs' namespace.
    pub fn start(
        &mut self,
        program: Result<Program, StartError>,
        cgroup: Option<&File>,
        now: Instant,
        inner: impl Fn(u32) -> u32,
        link: &mut Link,
    ) {
        self.restart_at = None;
        let state = match program.and_then(|program| self.spawn(&program, cgroup)) {
            Ok(process) => {
                let pid = inner(process.pid());
                self.process = Some((process, now));
                WorkloadState::Running { pid }
            }
            // What passes is treated like a run that failed at once.
            Err(error) if error.is_passing() && self.workload.restart != Restart::Never => {
                let status = ExitStatus::Code(error.status());
                self.after(status, Duration::ZERO, now)
            }
            Err(error) => WorkloadState::Failed { reason: error.to_string() },
        };
        self.enter(state, link);
    }

    fn spawn(&mut self, program: &Program, cgroup: Option<&File>) -> Result<Process, StartError> {
        if let Err(error) = std::fs::read_dir(&program.cwd) {
            return Err(StartError::Directory(program.cwd.clone(), error));
        }
        let (stdout, their_stdout) = pipe().map_err(StartError::Streams)?;
        let (stderr, their_stderr) = pipe().map_err(StartError::Streams)?;
        let streams = [Stdio::null(), their_stdout, their_stderr];
        let process = spawn(program, streams, false, cgroup)
            .map_err(|error| StartError::Spawn(program.executable.clone(), error))?;
        for (stream, file) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            let number = self.next_pipe;
            self.next_pipe += 1;
            self.pipes.push(Pipe { number, stream, file, lines: LineSplitter::default() });
        }
        let surplus = self.pipes.len().saturating_sub(PIPES);
        self.pipes.drain(..surplus);
        Ok(process)
    }

    fn enter(&mut self, state: WorkloadState, link: &mut Link) {
        self.state = state;
        self.report(link);
    }

    /// Sends its state.
    pub fn report(&self, link: &mut Link) {
        let name = self.workload.name.clone();
        link.send(ToHost::Workload { name, state: self.state.clone() });
    }

    fn after(&mut self, status: ExitStatus, ran: Duration, now: Instant) -> WorkloadState {
        match self.history.ended(self.workload.restart, status, ran) {
            Some(delay) => {
                self.restart_at = Some(now + delay);
                let delay_ms = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
                WorkloadState::Restarting { status, delay_ms }
            }
            None => WorkloadState::Ended { status },
        }
    }

    /// Looks whether its program has ended. What it still wrote goes first.
    pub fn reap(&mut self, now: Instant, link: &mut Link, buffer: &mut [u8]) {
        let Some((process, started)) = &self.process else { return };
        let Some(status) = process.try_wait() else { return };
        let ran = now.saturating_duration_since(*started);
        self.process = None;
        let numbers: Vec<u64> = self.pipes.iter().map(|pipe| pipe.number).collect();
        for number in numbers {
            // One pipe holds 64 KiB, which is what the program itself can have left.
            for _ in 0..8 {
                self.read(number, link, buffer);
            }
        }
        let state = self.after(status, ran, now);
        self.enter(state, link);
    }

    /// It is not started again, whatever becomes of it.
    pub fn give_up(&mut self) {
        self.restart_at = None;
        self.workload.restart = Restart::Never;
    }

    /// Sends a signal to its process group, where it runs.
    pub fn signal(&self, signal: u8) {
        if let Some((process, _)) = &self.process {
            process.signal(signal);
        }
    }

    /// Adds what this workload waits for.
    pub fn poll<T: Copy>(&self, set: &mut PollSet<T>, name: impl Fn(Part) -> T) {
        if let Some((process, _)) = &self.process {
            set.add(process.pidfd.as_fd(), Interest::Read, name(Part::Process));
        }
        for pipe in &self.pipes {
            set.add(pipe.file.as_fd(), Interest::Read, name(Part::Pipe(pipe.number)));
        }
    }

    /// Reads a pipe once and passes its lines on.
    pub fn read(&mut self, number: u64, link: &mut Link, buffer: &mut [u8]) {
        let Some(index) = self.pipes.iter().position(|pipe| pipe.number == number) else { return };
        let Some(pipe) = self.pipes.get_mut(index) else { return };
        let (name, stream) = (&self.workload.name, pipe.stream);
        let mut send = |line| link.send(ToHost::Log { workload: name.clone(), stream, line });
        match read(&mut pipe.file, buffer) {
            Transfer::Bytes(count) => {
                pipe.lines.push(buffer.get(..count).unwrap_or_default(), send);
            }
            Transfer::Later => {}
            Transfer::End => {
                if let Some(line) = pipe.lines.finish() {
                    send(line);
                }
                self.pipes.remove(index);
            }
        }
    }
}

fn pipe() -> io::Result<(File, Stdio)> {
    let (ours, theirs) = io::pipe()?;
    set_nonblocking(&ours)?;
    Ok((File::from(OwnedFd::from(ours)), theirs.into()))
}
