//! The engine behind questions and answers: the same for this kernel and for another one, whose PID 1
//! answers over a stream.
//!
//! One question is one line of JSON, and so is its [`Answer`].

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::assign::{Assigner, Known, Passed, Workload, count};
use crate::engine::{
    ApplyError, Drifted, EngineError, Failure, Recovery, Report, Undone, Verification,
};
use crate::journal::{Begin, Directory, JournalError, LockError, Summary};
use crate::plan::{MAX_BYTES, Plan, Target};
use crate::sandbox::{Confined, Launch};
use crate::store::StoreError;
use crate::sys::{Held, Kernel, Machine, Tasks};
use crate::{Engine, Unrecovered};

/// The longest line, in bytes.
pub const MAX_LINE: usize = 4 * MAX_BYTES;
/// The most that is told of one file that is looked at, in bytes: a kernel's configuration has 300 KiB.
const MAX_SEEN: u64 = 1024 * 1024;

/// What tasks were, beside the journal.
const ASSIGNED: &str = "assigned.json";

/// How long to wait for a journal that is in use.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// What can be asked of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// What files say, and what lies in directories: for facts and signals. Paths without `/` in front.
    Look {
        /// Files.
        texts: Vec<String>,
        /// Directories.
        names: Vec<String>,
    },
    /// What settings are.
    Read(Vec<Target>),
    /// Load these modules.
    Load(Vec<String>),
    /// Apply a plan.
    Apply(Box<Plan>),
    /// A transaction is to stay; without a number the newest in force.
    Confirm(Option<u32>),
    /// Undo a transaction; without a number the newest in force.
    RollBack {
        /// Which one.
        number: Option<u32>,
        /// Whether what somebody else has changed since is set back, too.
        overwrite: bool,
    },
    /// Go through all tasks once, for the workloads of the newest transaction in force.
    Assign,
    /// How many processes workloads have, whether they are assigned or not.
    Count(Vec<Workload>),
    /// Compare what a transaction left with what is now; without a number the newest in force.
    Verify(Option<u32>),
    /// What was applied here.
    History,
    /// How to go back from what is in force.
    InForce,
    /// What is in force and stands on nothing else.
    Newest,
}

/// What a kernel answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What was seen, in the order of the question; none where something cannot be read.
    Seen {
        /// What the files say.
        texts: Vec<Option<String>>,
        /// What lies in the directories.
        names: Vec<Option<Vec<String>>>,
    },
    /// What settings are, in the order of the question.
    Read(Vec<Result<String, StoreError>>),
    /// Modules that could not be loaded, and why.
    NotLoaded(Vec<(String, String)>),
    /// A plan is in force.
    Applied(Report),
    /// A plan failed, and was rolled back.
    Failed(Box<Failure>),
    /// A transaction is to stay: this one.
    Confirmed(u32),
    /// A transaction was undone.
    Undone(Undone),
    /// Tasks were gone through.
    Assigned(Passed),
    /// How many processes workloads have, by name.
    Counted(Vec<(String, usize)>),
    /// How settings stand to a transaction.
    Verified(u32, Verification),
    /// What was applied here, oldest first.
    History(Vec<Summary>),
    /// How to go back from what is in force, oldest first.
    InForce(Vec<Begin>),
    /// The newest transaction in force, if there is one.
    Newest(Option<Summary>),
    /// Nothing was done, and why.
    Refused(String),
}

/// A reply, and what was found unfinished before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// What a transaction that somebody had left unfinished came to; empty where there was none.
    #[serde(default)]
    pub recovery: Recovery,
}

/// Why something is refused.
#[derive(Debug, Error)]
enum Refusal {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Apply(ApplyError),
    #[error("cannot tell which kernel this is, since procfs cannot be read: {0}")]
    Machine(io::Error),
    #[error("no profile is in force")]
    NothingInForce,
    #[error("tasks cannot be gone through: {0}")]
    Tasks(io::Error),
}

/// Answers for the kernel that this runs on.
pub struct Agent {
    journal: PathBuf,
    launch: Launch,
    load: fn(&str) -> Result<(), String>,
}

impl Agent {
    /// One whose journal lies in this directory, and that loads modules so.
    pub fn new(journal: impl Into<PathBuf>, load: fn(&str) -> Result<(), String>) -> Self {
        Self { journal: journal.into(), launch: Launch::default(), load }
    }

    /// Answers one question. The journal is locked only for as long as that takes; what was left
    /// unfinished is rolled back first wherever the journal is needed.
    pub fn answer(&self, question: &Question) -> Answer {
        let mut recovery = Recovery::default();
        let reply = match question {
            Question::Look { texts, names } => Ok(Reply::Seen {
                texts: texts.iter().map(|path| text(path)).collect(),
                names: names.iter().map(|path| list(path)).collect(),
            }),
            Question::Read(targets) => {
                let mut kernel = Kernel::running().holding(self.held());
                Ok(Reply::Read(kernel.read_for_plan(targets)))
            }
            Question::Load(modules) => Ok(Reply::NotLoaded(
                modules
                    .iter()
                    .filter_map(|module| Some((module.clone(), (self.load)(module).err()?)))
                    .collect(),
            )),
            Question::Count(workloads) => {
                count(&mut Tasks, workloads).map(Reply::Counted).map_err(Refusal::Tasks)
            }
            Question::Apply(_)
            | Question::Confirm(_)
            | Question::RollBack { .. }
            | Question::Verify(_)
            | Question::Assign
            | Question::History
            | Question::InForce
            | Question::Newest => self.with_journal(question, &mut recovery),
        };
        let reply = reply.unwrap_or_else(|refusal| Reply::Refused(refusal.to_string()));
        Answer { reply, recovery }
    }

    fn with_journal(&self, question: &Question, recovery: &mut Recovery) -> Result<Reply, Refusal> {
        let directory = self.lock()?;
        let machine = Machine::running().map_err(Refusal::Machine)?;
        let mut store = Confined::of_kernel(self.launch.clone()).holding(self.held());
        let (mut engine, found) = Unrecovered::open(directory, machine)?.recover(&mut store)?;
        *recovery = found;
        let meant = |engine: &Engine<Directory>, number: Option<u32>| {
            number
                .or_else(|| engine.in_force().map(|summary| summary.number))
                .ok_or(Refusal::NothingInForce)
        };
        if matches!(question, Question::Apply(_) | Question::RollBack { .. }) {
            recovery.notes.extend(self.unassign(&engine)?);
        }
        Ok(match question {
            Question::Assign => Reply::Assigned(self.assign(&mut engine)?),
            Question::Apply(plan) => match engine.apply(plan, &mut store) {
                Ok(report) => Reply::Applied(report),
                Err(ApplyError::RolledBack(failure)) => Reply::Failed(failure),
                Err(error) => return Err(Refusal::Apply(error)),
            },
            Question::Confirm(number) => {
                let number = meant(&engine, *number)?;
                engine.confirm(number)?;
                Reply::Confirmed(number)
            }
            Question::RollBack { number, overwrite } => {
                let number = meant(&engine, *number)?;
                let drifted = if *overwrite { Drifted::Overwrite } else { Drifted::LeaveAlone };
                let undone = match engine.rollback(number, &mut store, drifted) {
                    // A kernel that was tuned badly may start no process any more. The way back, which was
                    // checked when it was written down, is more than the fence around it.
                    Err(EngineError::Store(StoreError::Writer(_))) => engine.rollback(
                        number,
                        &mut Kernel::running().holding(self.held()),
                        drifted,
                    )?,
                    undone => undone?,
                };
                Reply::Undone(undone)
            }
            Question::Verify(number) => {
                let number = meant(&engine, *number)?;
                Reply::Verified(number, engine.verify(number, &mut store)?)
            }
            Question::InForce => Reply::InForce(engine.all_in_force()?),
            Question::Newest => Reply::Newest(engine.in_force().cloned()),
            _ => Reply::History(engine.history()),
        })
    }

    /// Goes through all tasks once.
    fn assign(&self, engine: &mut Engine<Directory>) -> Result<Passed, Refusal> {
        let newest =
            engine.in_force().map(|summary| summary.number).ok_or(Refusal::NothingInForce)?;
        let workloads = engine.plan(newest)?.workloads;
        let known = self.known(engine.boot())?;
        let mut tasks = Tasks;
        let mut assigner = Assigner::new(&mut tasks, known);
        assigner.pass(&workloads, &mut |known| self.save(known)).map_err(Refusal::Tasks)
    }

    /// Sets back every task that was assigned; says what could not be.
    fn unassign(&self, engine: &Engine<Directory>) -> Result<Vec<String>, Refusal> {
        let known = self.known(engine.boot())?;
        if known.met.is_empty() && known.groups.is_empty() {
            return Ok(Vec::new());
        }
        let mut tasks = Tasks;
        let mut assigner = Assigner::new(&mut tasks, known);
        let failed = assigner.undo();
        self.save(assigner.known()).map_err(Refusal::Tasks)?;
        Ok(failed)
    }

    /// Device files that are held open by holders that are known beside the journal.
    fn held(&self) -> Held {
        Held::new(&self.journal, self.launch.clone())
    }

    /// What tasks were before they were assigned in this boot.
    fn known(&self, boot: &str) -> Result<Known, Refusal> {
        let none = || Known { boot: boot.to_owned(), ..Known::default() };
        let text = match std::fs::read(self.journal.join(ASSIGNED)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none()),
            Err(error) => return Err(Refusal::Tasks(error)),
        };
        let known: Known =
            serde_json::from_slice(&text).map_err(|error| Refusal::Tasks(error.into()))?;
        Ok(if known.boot == boot { known } else { none() })
    }

    fn save(&self, known: &Known) -> io::Result<()> {
        let (file, fresh) = (self.journal.join(ASSIGNED), self.journal.join("assigned.next"));
        std::fs::write(&fresh, serde_json::to_vec(known)?)?;
        // Tasks end with the boot, so a loss of power takes nothing that would be needed.
        std::fs::rename(fresh, file)
    }

    /// The journal; whoever looks after a profile has it for a moment, several times a second.
    fn lock(&self) -> Result<Directory, LockError> {
        let begun = Instant::now();
        loop {
            match Directory::lock(&self.journal) {
                Err(LockError::Busy { .. }) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(PAUSE);
                }
                result => return result,
            }
        }
    }

    /// Answers every line of `from` on `to`, until it ends.
    ///
    /// # Errors
    ///
    /// Where a stream fails, or a line is longer than [`MAX_LINE`]. A line that is no question is
    /// answered with a refusal.
    pub fn serve(&self, mut from: impl BufRead, mut to: impl Write) -> io::Result<()> {
        while let Some(line) = line(&mut from)? {
            let answer = match serde_json::from_slice(&line) {
                Ok(question) => self.answer(&question),
                Err(error) => Answer {
                    reply: Reply::Refused(format!("this is no question: {error}")),
                    recovery: Recovery::default(),
                },
            };
            let mut line = serde_json::to_vec(&answer)?;
            line.push(b'\n');
            to.write_all(&line)?;
            to.flush()?;
        }
        Ok(())
    }
}

/// The next line without its end; none at the end of the stream.
///
/// # Errors
///
/// Where the stream fails, ends within a line, or the line is longer than [`MAX_LINE`].
pub fn line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    io::Read::take(&mut *from, most).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() + 1 >= MAX_LINE => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"))
        }
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn text(path: &str) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(format!("/{path}")).ok()?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_SEEN), &mut text).ok()?;
    Some(text)
}

fn list(path: &str) -> Option<Vec<String>> {
    let entries = std::fs::read_dir(format!("/{path}")).ok()?;
    Some(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}
