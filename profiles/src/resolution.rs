//! What a profile means for one kernel on one machine.
//!
//! Each setting that a profile and its ancestors speak of becomes a [`Resolved`] one: the place in this
//! kernel, the value, the text that is written, and who wanted it. Or it is [`NotApplicable`], with the
//! reason; or [`Undecided`], because a fact is not known here; or an error. Nothing vanishes.
//!
//! Pure: the machine is [`Facts`] and [`Present`]; the same input gives the same resolution.

mod couples;
pub(crate) mod expressions;
mod place;
pub(crate) mod safety;
mod scope;
pub(crate) mod subject;
#[cfg(test)]
mod tests;
mod wishes;
mod workloads;

use std::collections::BTreeMap;

pub use place::Where;

use crate::catalogue::{Catalogue, Setting};
use crate::composition::{Arguments, Library, parameters};
use crate::diagnostic::{Diagnostic, Span, codes};
use crate::expression::{Fault, Value, evaluate};
use crate::facts::Facts;
use crate::script::{DeviceKind, Guard, Requirement};
use scope::Environment;
use wishes::Wishes;
pub(crate) use wishes::edited;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a, 'r> {
    /// Where profiles are found.
    pub library: &'r Library,
    /// The profile's name.
    pub profile: &'r str,
    /// What its parameters are given.
    pub arguments: &'r Arguments,
    /// What is known of the machine.
    pub facts: &'r Facts,
    /// What the machine has, as far as that is known.
    pub present: &'r Present,
    /// What is known of settings.
    pub catalogue: &'a Catalogue,
}

/// The devices that there are; none of a kind is known where its entry is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Names by kind.
    pub devices: BTreeMap<DeviceKind, Vec<String>>,
    /// The queues of network devices, `rx-0`, by the device's name.
    pub queues: BTreeMap<String, Vec<String>>,
}

/// Who wanted something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The statement.
    pub span: Span,
    /// The profile that it stands in.
    pub profile: String,
}

/// What is to become of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// This value.
    Exactly(Value),
    /// What is there, unless it lies outside: at least the first, at most the second.
    Within(Option<Value>, Option<Value>),
    /// What is there, with these words or CPUs more and those less.
    Edited {
        /// Added.
        more: Vec<Value>,
        /// Taken away.
        less: Vec<Value>,
    },
}

/// A setting in this kernel.
#[derive(Clone, Debug)]
pub struct Resolved<'a> {
    /// The catalogue's entry; none for a file that the catalogue does not know.
    pub setting: Option<&'a Setting>,
    /// Its name, with the device where it has one.
    pub name: String,
    /// Where it is.
    pub place: Where,
    /// What is to become of it.
    pub goal: Goal,
    /// Who wanted it.
    pub origins: Vec<Origin>,
    /// Why it takes a guard, if it does.
    pub needs_guard: Option<String>,
    /// Modules that have to be loaded first.
    pub modules: Vec<String>,
}

/// A setting that this kernel does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotApplicable {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub origins: Vec<Origin>,
}

/// Something that only the machine itself can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// What.
    pub what: String,
    /// The fact that is missing.
    pub fact: String,
    /// Where it is asked for.
    pub span: Span,
}

/// What a profile means.
#[derive(Clone, Debug, Default)]
pub struct Resolution<'a> {
    /// In the order in which they are to be written.
    pub settings: Vec<Resolved<'a>>,
    /// Programs, and what becomes of their tasks.
    pub workloads: Vec<transaction::assign::Workload>,
    /// What this kernel does not have.
    pub not_applicable: Vec<NotApplicable>,
    /// What cannot be said without the machine.
    pub undecided: Vec<Undecided>,
    /// What is wrong, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

impl Resolution<'_> {
    /// Whether it can be applied.
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Resolves a profile.
///
/// # Errors
/// Only where there is no such profile, or it extends itself; everything else is told in the
/// resolution.
pub fn resolve<'a>(request: &Request<'a, '_>) -> Result<Resolution<'a>, Diagnostic> {
    let family = request.library.family(request.profile)?;
    let mut resolution = Resolution::default();
    let machine = Environment::of(request.facts);
    let given = parameters(&family, request.arguments, &machine, &mut resolution.diagnostics);
    let environment = machine.with_parameters(&family, given);
    for profile in &family.members {
        for requirement in &profile.requirements {
            require(&profile.name.text, requirement, &environment, &mut resolution);
        }
    }
    let mut wishes = Wishes::new(request, &environment);
    wishes.gather(&family, &mut resolution);
    let guard = request.library.guard(&family).filter(|guard| protects(guard));
    wishes.decide(&family, guard.is_some(), &mut resolution);
    workloads::resolve(request, &family, &environment, guard.is_some(), &mut resolution);
    couples::check(&mut resolution);
    resolution.settings.sort_by(|one, other| order(one).cmp(&order(other)));
    resolution.diagnostics.sort_by_key(|diagnostic| diagnostic.primary.span);
    resolution.undecided.sort_by_key(|one| one.span);
    Ok(resolution)
}

/// Whether a guard would undo anything.
fn protects(guard: &Guard) -> bool {
    guard.confirm.is_some() || !guard.rollbacks.is_empty()
}

/// When a setting is written: by its class's order, what needs no module before, then by name.
fn order<'a>(resolved: &'a Resolved<'_>) -> (crate::catalogue::Order, &'a str) {
    (resolved.setting.map(|setting| setting.order).unwrap_or_default(), &resolved.name)
}

fn require(
    profile: &str,
    requirement: &Requirement,
    environment: &Environment<'_>,
    resolution: &mut Resolution<'_>,
) {
    let span = requirement.expression.span;
    match environment.all_hold(&requirement.conditions) {
        Ok(true) => {}
        Ok(false) => return,
        Err(fault) => return resolution.fault(&fault, || format!("what `{profile}` requires")),
    }
    match evaluate(&requirement.expression, environment) {
        Ok(Value::Flag(holds)) if holds != requirement.forbids => {}
        Ok(Value::Flag(_)) => {
            let message = match (requirement.of_kernel, requirement.forbids) {
                (true, _) => format!("profile `{profile}` is not for this kernel"),
                (false, true) => format!("profile `{profile}` forbids this"),
                (false, false) => {
                    format!("profile `{profile}` requires this, and it does not hold")
                }
            };
            let told = Diagnostic::error(codes::REQUIREMENT, span, message);
            resolution.diagnostics.push(told.label(environment.told(&requirement.expression)));
        }
        Ok(other) => {
            let message = format!("expected a condition, and this is {}", other.type_of());
            resolution.diagnostics.push(Diagnostic::error(codes::TYPE, span, message));
        }
        Err(fault) => resolution.fault(&fault, || format!("what `{profile}` requires")),
    }
}

impl Resolution<'_> {
    /// Takes in a fault: ignorance leaves something undecided, all else is an error.
    fn fault(&mut self, fault: &Fault, what: impl FnOnce() -> String) {
        match &fault.kind {
            crate::expression::FaultKind::NotKnownHere(fact) => {
                let fact = fact.clone();
                self.undecided.push(Undecided { what: what(), fact, span: fault.span });
            }
            _ => self.diagnostics.push(fault.diagnostic()),
        }
    }
}
