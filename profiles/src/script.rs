//! What a script says, without how it is written.
//!
//! Blocks and branches are gone: each setting carries the whole name, the things that it is for and the
//! conditions around it. Nothing is looked up yet, neither parents nor settings; a [`Script`] is the
//! same for every kernel and machine.

mod of_tree;
mod policies;
mod statements;
#[cfg(test)]
mod tests;

use crate::diagnostic::{Diagnostic, Span};
use crate::expression::{Expression, Type};
pub use crate::syntax::ast::{Assignment, Direction, Priority};

/// A file.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// In the order of the file.
    pub profiles: Vec<Profile>,
    /// When to switch.
    pub policies: Vec<Policy>,
    /// When to undo.
    pub guards: Vec<Guard>,
}

/// A name and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// How a kernel is to behave.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: Name,
    /// What its doc comments say.
    pub doc: String,
    /// Whom it extends.
    pub parents: Vec<Name>,
    /// What it can be called with.
    pub parameters: Vec<Parameter>,
    /// What has to hold.
    pub requirements: Vec<Requirement>,
    /// Its settings, those of workloads aside.
    pub statements: Vec<Statement>,
    /// Dangers that are taken knowingly.
    pub waivers: Vec<Waiver>,
    /// Programs.
    pub workloads: Vec<Workload>,
}

/// A value that a profile can be called with.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: Name,
    /// Its type; none where it changes a parent's parameter.
    pub of: Option<Type>,
    /// Its value where none is given.
    pub default: Option<Expression>,
    /// The values that it may have: a range or a list.
    pub allowed: Option<Expression>,
    /// What its doc comments say.
    pub doc: String,
}

/// A condition that stands around a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What is asked.
    pub expression: Expression,
    /// Whether it must not hold: the statement stands in an `else`.
    pub negated: bool,
}

/// Something that has to hold, or must not.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// What.
    pub expression: Expression,
    /// Whether it must not hold.
    pub forbids: bool,
    /// Whether it says for which kernels the profile is.
    pub of_kernel: bool,
    /// When it counts.
    pub conditions: Vec<Condition>,
}

/// One setting, and what is to become of it.
#[derive(Clone, Debug)]
pub struct Statement {
    /// All of it.
    pub span: Span,
    /// Which setting.
    pub subject: Subject,
    /// What is to become of it.
    pub change: Change,
    /// Whose value wins.
    pub priority: Priority,
    /// Whether it is an error where a kernel does not have it.
    pub required: bool,
    /// All have to hold.
    pub conditions: Vec<Condition>,
    /// What its doc comments say.
    pub doc: String,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A setting of the kernel, or of the things that a block selects.
    Setting {
        /// Its name, those of the blocks around it included. Below a block for devices it is relative to it.
        name: Name,
        /// The block for devices around it.
        of: Option<Devices>,
    },
    /// A file that the catalogue does not know.
    Raw(Name),
}

/// The things that a block is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Devices {
    /// Which kind.
    pub kind: DeviceKind,
    /// Which of them: patterns of names, or one expression. All, where it is empty.
    pub selectors: Vec<Expression>,
    /// Where the block says so.
    pub span: Span,
}

/// What a block can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// Block devices.
    Block,
    /// Network devices.
    Net,
    /// Interrupts.
    Irq,
    /// CPUs.
    Cpus,
    /// Control groups.
    Cgroup,
}

/// What is to become of a setting.
#[derive(Clone, Debug)]
pub enum Change {
    /// A value, or more or less of one.
    Assign(Assignment, Given),
    /// At least, or at most.
    Bound(Direction, Given),
}

impl Change {
    /// The value.
    pub fn given(&self) -> &Given {
        match self {
            Self::Assign(_, given) | Self::Bound(_, given) => given,
        }
    }
}

/// A value as it is given.
#[derive(Clone, Debug)]
pub enum Given {
    /// One.
    Expression(Expression),
    /// Several with names.
    Record {
        /// What kind of value it is, where that is said.
        name: Option<Name>,
        /// The parts.
        fields: Vec<(Name, Given)>,
        /// All of it.
        span: Span,
    },
    /// In words: `batch nice 0`.
    Words(Vec<Expression>, Span),
}

impl Given {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Expression(expression) => expression.span,
            Self::Record { span, .. } | Self::Words(_, span) => *span,
        }
    }

    /// Every expression in it.
    pub fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Expression(expression) => vec![expression],
            Self::Record { fields, .. } => {
                fields.iter().flat_map(|(_, given)| given.expressions()).collect()
            }
            Self::Words(words, _) => words.iter().collect(),
        }
    }
}

/// A danger that is taken knowingly.
#[derive(Clone, Debug)]
pub struct Waiver {
    /// Its class.
    pub class: Name,
    /// Of which setting.
    pub setting: Name,
    /// Why.
    pub reason: String,
    /// All of it.
    pub span: Span,
}

/// Programs, and how they run.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name.
    pub name: Name,
    /// What its doc comments say.
    pub doc: String,
    /// What its programs are known by; one of them has to fit.
    pub matches: Vec<Match>,
    /// The program that is started, and its arguments.
    pub start: Option<Vec<Expression>>,
    /// How they run.
    pub statements: Vec<Statement>,
}

/// What programs are known by.
#[derive(Clone, Debug)]
pub struct Match {
    /// `exec`, `cgroup`, `unit`, `image` or `user`.
    pub by: Name,
    /// Names or patterns.
    pub patterns: Vec<Name>,
}

/// When to switch.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name, where it has one.
    pub name: Option<Name>,
    /// What its doc comments say.
    pub doc: String,
    /// What runs while no rule holds.
    pub default: Option<Target>,
    /// In the order of the file: the first that holds counts.
    pub rules: Vec<Rule>,
}

/// What to switch to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The image of another kernel.
    pub kernel: Option<Name>,
    /// The profile.
    pub profile: Option<Name>,
    /// All of it.
    pub span: Span,
}

/// A reason to switch.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What its doc comments say.
    pub doc: String,
    /// When, if that holds for `hold`.
    pub when: Held,
    /// When to switch back; where nothing is said, when `when` holds no longer.
    pub until: Option<Held>,
    /// How long to wait after a switch back before the next switch.
    pub cooldown: Option<Expression>,
    /// How long to stay at least.
    pub dwell: Option<Expression>,
    /// To what.
    pub target: Target,
    /// All of it.
    pub span: Span,
}

/// A condition, and for how long it has to hold.
#[derive(Clone, Debug)]
pub struct Held {
    /// The condition.
    pub condition: Expression,
    /// For how long; where nothing is said, at once.
    pub hold: Option<Expression>,
}

/// When to undo a profile.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The profile.
    pub profile: Name,
    /// What its doc comments say.
    pub doc: String,
    /// How long to wait for a person.
    pub confirm: Option<Expression>,
    /// Reasons to undo it.
    pub rollbacks: Vec<Rollback>,
}

/// A reason to undo a profile.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// The reason; none: the kernel does not answer.
    pub condition: Option<Expression>,
    /// For how long.
    pub hold: Option<Expression>,
    /// All of it.
    pub span: Span,
}

/// A script, and everything that is wrong with it so far.
#[derive(Clone, Debug)]
pub struct Read {
    /// What could be understood.
    pub script: Script,
    /// What is wrong, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more diagnostics there are.
    pub dropped: usize,
}

impl Read {
    /// Whether there is no error.
    pub fn is_ok(&self) -> bool {
        self.dropped == 0 && !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
