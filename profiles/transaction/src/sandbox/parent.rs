//! The parent's side: a store whose reads and writes are done by the child.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::HIDDEN_ARGUMENT;
use super::message::{Ready, Reply, Request, Task, receive, send};
use crate::plan::{Reach, Target};
use crate::store::{Changed, Confinement, Store, StoreError};
use crate::sys::Kernel;

/// How many settings are read at once: bounds what one answer can hold.
const BATCH: usize = 256;

/// How the child is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, whose main calls [`run_if_asked`](super::run_if_asked).
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Default for Launch {
    /// This program again, also where its file has been removed or replaced since.
    fn default() -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec![HIDDEN_ARGUMENT.into()] }
    }
}

/// A store whose reads and writes are done by a confined child.
#[derive(Debug)]
pub struct Confined {
    launch: Launch,
    base: Option<PathBuf>,
    /// For what is only looked at: what there can be, and which names are the same.
    kernel: Kernel,
    reach: Vec<Reach>,
    numbers: HashMap<Target, u32>,
    child: Option<Running>,
    confinement: Option<Confinement>,
}

#[derive(Debug)]
struct Running {
    process: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Confined {
    /// The running kernel's settings.
    pub fn of_kernel(launch: Launch) -> Self {
        Self::new(launch, None)
    }

    /// Plain files in a directory that stands in for `/`, for tests and measurements.
    pub fn beneath(launch: Launch, base: impl Into<PathBuf>) -> Self {
        Self::new(launch, Some(base.into()))
    }

    fn new(launch: Launch, base: Option<PathBuf>) -> Self {
        Self {
            launch,
            kernel: base.as_ref().map_or_else(Kernel::running, Kernel::beneath),
            base,
            reach: Vec::new(),
            numbers: HashMap::new(),
            child: None,
            confinement: None,
        }
    }

    /// The child's process, if there is one.
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(|running| running.process.id())
    }

    /// The child, started if there is none: one that has died is replaced, so that what it began can
    /// be undone.
    fn running(&mut self) -> Result<&mut Running, StoreError> {
        let running = match self.child.take() {
            Some(running) => running,
            None => {
                let mut running = start(&self.launch).map_err(|error| {
                    StoreError::Writer(format!("it cannot be started: {error}"))
                })?;
                let task = Task { base: self.base.clone(), reach: self.reach.clone() };
                let ready = send(&mut running.to, &task)
                    .and_then(|()| receive::<Ready>(&mut running.from))
                    .and_then(|ready| ready.ok_or_else(|| ErrorKind::UnexpectedEof.into()))
                    .map_err(|error| StoreError::Writer(format!("it does not answer: {error}")))?;
                self.confinement = Some(ready?);
                running
            }
        };
        Ok(self.child.insert(running))
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, StoreError> {
        let running = self.running()?;
        let answer = send(&mut running.to, request)
            .and_then(|()| receive::<Reply>(&mut running.from))
            .and_then(|reply| reply.ok_or_else(|| ErrorKind::UnexpectedEof.into()));
        answer.map_err(|error| {
            // It may be in the middle of anything.
            self.child = None;
            StoreError::Writer(format!("it ended or gave no answer: {error}"))
        })
    }

    fn number(&self, target: &Target) -> Result<u32, StoreError> {
        self.numbers.get(target).copied().ok_or(StoreError::OutOfReach)
    }

    fn read_batch(&mut self, targets: &[Target]) -> Vec<Result<String, StoreError>> {
        let all = |error: &StoreError| targets.iter().map(|_| Err(error.clone())).collect();
        let numbers: Vec<u32> = match targets.iter().map(|target| self.number(target)).collect() {
            Ok(numbers) => numbers,
            // One that nobody may read does not keep the others from being read.
            Err(error) if targets.len() == 1 => return all(&error),
            Err(_) => return targets.chunks(1).flat_map(|one| self.read_batch(one)).collect(),
        };
        match self.ask(&Request::Read(numbers)) {
            Ok(Reply::Read(readings)) if readings.len() == targets.len() => readings,
            Ok(_) => all(&self.nonsense()),
            Err(error) => all(&error),
        }
    }

    fn nonsense(&mut self) -> StoreError {
        self.child = None;
        StoreError::Writer("it gave another answer than was asked for".into())
    }
}

fn start(launch: &Launch) -> io::Result<Running> {
    let mut process = Command::new(&launch.program)
        .args(&launch.arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    match (process.stdin.take(), process.stdout.take()) {
        (Some(to), Some(from)) => Ok(Running { process, to, from }),
        _ => Err(ErrorKind::BrokenPipe.into()),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Between two requests it holds nothing. Both fail where PID 1 has reaped it already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Store for Confined {
    fn reaches(&self, target: &Target) -> bool {
        self.kernel.reaches(target)
    }

    fn prepare(&mut self, reach: &[Reach]) -> Result<(), StoreError> {
        self.child = None;
        self.reach = reach.to_vec();
        self.numbers = (0..).zip(reach).map(|(at, reach)| (reach.target.clone(), at)).collect();
        self.running().map(|_| ())
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        self.read_batch(std::slice::from_ref(target)).pop().unwrap_or(Err(StoreError::OutOfReach))
    }

    fn read_all(&mut self, targets: &[Target]) -> Vec<Result<String, StoreError>> {
        targets.chunks(BATCH).flat_map(|batch| self.read_batch(batch)).collect()
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        let number = self.number(target)?;
        match self.ask(&Request::Write(number, value.to_owned()))? {
            Reply::Written(result) => result,
            Reply::Read(_) | Reply::Changed(_) => Err(self.nonsense()),
        }
    }

    fn change(&mut self, target: &Target, value: &str) -> Changed {
        let answer = self
            .number(target)
            .and_then(|number| self.ask(&Request::Change(number, value.to_owned())));
        match answer {
            Ok(Reply::Changed(changed)) => changed,
            Ok(_) => Changed { written: Err(self.nonsense()), read: None },
            Err(error) => Changed { written: Err(error), read: None },
        }
    }

    fn canonical(&mut self, target: &Target) -> Result<Target, StoreError> {
        self.kernel.canonical(target)
    }

    fn confinement(&self) -> Option<Confinement> {
        self.confinement.clone()
    }
}
