//! A kernel that can be asked, and this machine's own.

use std::process::{Command, Stdio};

use profiles::facts::Look;
use transaction::agent::{Agent, Answer, Question, Reply};
use transaction::engine::Recovery;

/// Why a kernel did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// it says no
    #[error("{0}")]
    Refused(String),
    /// it says nothing
    #[error("{name} does not answer: {why}")]
    Unreachable {
        /// Which kernel.
        name: String,
        /// What is known of that.
        why: String,
    },
    /// it says something else
    #[error("the kernel's answer is none to what it was asked: {0}")]
    Unexpected(String),
}

impl KernelError {
    /// An answer to another question.
    pub fn unexpected(reply: &Reply) -> Self {
        let mut told = format!("{reply:?}");
        told.truncate(told.char_indices().nth(80).map_or(told.len(), |(at, _)| at));
        Self::Unexpected(told)
    }
}

/// A kernel that can be asked.
pub trait Kernel {
    /// Its name for people: `this machine`, or the partition's name.
    fn name(&self) -> &str;

    /// Whether it is the one that this program runs on.
    fn is_this_machine(&self) -> bool {
        false
    }

    /// Answers a question.
    ///
    /// # Errors
    /// [`KernelError::Unreachable`] where no answer came.
    fn answer(&mut self, question: &Question) -> Result<Answer, KernelError>;

    /// Told of every transaction that was found unfinished and was rolled back.
    fn recovered(&mut self, _recovery: &Recovery) {}
}

/// Asks; a refusal is an error.
///
/// # Errors
/// [`KernelError`]
pub fn ask(kernel: &mut dyn Kernel, question: &Question) -> Result<Reply, KernelError> {
    let Answer { reply, recovery } = kernel.answer(question)?;
    let Recovery { unfinished, damaged, notes, .. } = &recovery;
    if !(unfinished.is_empty() && damaged.is_empty() && notes.is_empty()) {
        kernel.recovered(&recovery);
    }
    match reply {
        Reply::Refused(why) => Err(KernelError::Refused(why)),
        reply => Ok(reply),
    }
}

/// This machine's own kernel.
pub struct Host {
    agent: Agent,
    told: fn(&Recovery),
}

impl Host {
    /// With its journal in [`DIRECTORY`](super::DIRECTORY); `told` hears of unfinished transactions.
    pub fn new(told: fn(&Recovery)) -> Self {
        Self { agent: Agent::new(super::DIRECTORY, modprobe), told }
    }
}

impl Kernel for Host {
    fn name(&self) -> &str {
        "this machine"
    }

    fn is_this_machine(&self) -> bool {
        true
    }

    fn answer(&mut self, question: &Question) -> Result<Answer, KernelError> {
        Ok(self.agent.answer(question))
    }

    fn recovered(&mut self, recovery: &Recovery) {
        (self.told)(recovery);
    }
}

/// Loads a module, with whatever it needs.
fn modprobe(module: &str) -> Result<(), String> {
    // Loaded, or built in.
    if std::path::Path::new("/sys/module").join(module.replace('-', "_")).exists() {
        return Ok(());
    }
    let output = Command::new("modprobe")
        .args(["--quiet", "--", module])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("modprobe cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim();
            Err(if said.is_empty() { "it is not there".to_owned() } else { said.to_owned() })
        }
    }
}

/// Files of a kernel that were looked at together; the others are looked at one by one.
pub struct Seen<'k> {
    kernel: std::cell::RefCell<&'k mut dyn Kernel>,
}

impl<'k> Seen<'k> {
    /// Looks through a kernel's eyes.
    pub fn new(kernel: &'k mut dyn Kernel) -> Self {
        Self { kernel: std::cell::RefCell::new(kernel) }
    }

    fn look(&self, question: &Question) -> Option<Reply> {
        ask(*self.kernel.borrow_mut(), question).ok()
    }
}

impl Look for Seen<'_> {
    fn text(&self, path: &str) -> Option<String> {
        let question = Question::Look { texts: vec![path.to_owned()], names: Vec::new() };
        match self.look(&question)? {
            Reply::Seen { mut texts, .. } => texts.pop()?,
            _ => None,
        }
    }

    fn names(&self, path: &str) -> Option<Vec<String>> {
        let question = Question::Look { texts: Vec::new(), names: vec![path.to_owned()] };
        match self.look(&question)? {
            Reply::Seen { mut names, .. } => names.pop()?,
            _ => None,
        }
    }
}
