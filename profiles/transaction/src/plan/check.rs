//! What must hold of a plan before anything is written.

use std::collections::HashMap;

use thiserror::Error;

use super::roots::root_of;
use super::step::{Class, How, Step};
use super::target::Target;
use super::{MAX_BYTES, MAX_PATH, MAX_STEPS, MAX_TEXT, MAX_VALUE, Plan, VERSION};
use crate::compare::Compare;
use crate::network::{self, Discipline, DisciplineError};

/// Why a plan is refused. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Too large.
    #[error("the plan has {bytes} bytes; at most {MAX_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not a plan.
    #[error("this is no plan of this version: {0}")]
    Form(String),
    /// Another version.
    #[error(
        "the plan has form {0}, and this engine reads form {VERSION}: make it with the same release"
    )]
    Version(u32),
    /// Too many steps.
    #[error("the plan has {0} steps; at most {MAX_STEPS} are taken")]
    TooManySteps(usize),
    /// Too long a text.
    #[error("{what} of {setting} has {bytes} bytes; at most {MAX_TEXT} are taken")]
    TextTooLong {
        /// Which setting's.
        setting: String,
        /// Which text.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A path that no plan may name.
    #[error("{setting} names the path {path:?}, which {fault}")]
    Path {
        /// Which setting.
        setting: String,
        /// The path, cut where it is long.
        path: String,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// A value that no plan may write.
    #[error("the value of {setting} {fault}")]
    Value {
        /// Which setting.
        setting: String,
        /// What is wrong with it.
        fault: ValueFault,
    },
    /// No queueing discipline.
    #[error("{setting}: {fault}")]
    Discipline {
        /// Which setting.
        setting: String,
        /// What is wrong with it.
        fault: DisciplineError,
    },
    /// A network device that there cannot be, or something that none has.
    #[error("{setting} is about {target}, and no network device is called so or has that")]
    Device {
        /// Which setting.
        setting: String,
        /// What it is about.
        target: String,
    },
    /// One target, two values.
    #[error(
        "{first} and {second} both write {target}, with different values: one of them has to go"
    )]
    Twice {
        /// What both write.
        target: String,
        /// The earlier one.
        first: String,
        /// The later one.
        second: String,
    },
    /// A latch in front of something that may yet fail.
    #[error(
        "{latch} cannot be undone before the next boot and stands before {later}, which may fail: it has to come last"
    )]
    LatchNotLast {
        /// The latch.
        latch: String,
        /// What stands behind it.
        later: String,
    },
    /// A class and a way back that contradict each other.
    #[error(
        "{setting} is {class}, and its plan says that it is undone {how}: the plan contradicts itself"
    )]
    Contradiction {
        /// Which setting.
        setting: String,
        /// What it is.
        class: &'static str,
        /// How it is said to be undone.
        how: &'static str,
    },
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathFault {
    /// Not absolute.
    #[error("is not absolute")]
    Relative,
    /// Too long.
    #[error("is longer than {MAX_PATH} bytes")]
    TooLong,
    /// `.`, `..` or nothing between two slashes.
    #[error("has a part that is empty, `.` or `..`")]
    Dots,
    /// NUL, a line feed or another control character.
    #[error("has a NUL or another control character in it")]
    Control,
    /// Elsewhere.
    #[error("lies outside the directories that settings live in (/proc/sys, /proc/irq, /sys)")]
    Outside,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ValueFault {
    /// Too long.
    #[error("is longer than {MAX_VALUE} bytes")]
    TooLong,
    /// NUL, a line feed or another control character.
    #[error("has a line feed, a NUL or another control character in it: one value is one line")]
    Control,
    /// Blanks around it or several in a row.
    #[error("is not in canonical form: it has blanks at an end, or several in a row")]
    Blanks,
}

pub(super) fn check(plan: &Plan) -> Result<(), PlanError> {
    if plan.version != VERSION {
        return Err(PlanError::Version(plan.version));
    }
    if plan.steps.len() > MAX_STEPS || plan.not_applicable.len() > MAX_STEPS {
        return Err(PlanError::TooManySteps(plan.steps.len().max(plan.not_applicable.len())));
    }
    check_text(&plan.profile, "the profile's name", &plan.profile)?;
    for reason in plan.guard.iter().flat_map(|guard| &guard.reasons) {
        check_text(&plan.profile, "a guard's reason", reason)?;
    }
    for text in [&plan.kernel.release, &plan.kernel.boot].into_iter().flatten() {
        check_text(&plan.profile, "the kernel", text)?;
    }
    let mut written: HashMap<&Target, &Step> = HashMap::new();
    let mut latch: Option<&Step> = None;
    for step in &plan.steps {
        check_step(step)?;
        if let Some(first) = written.insert(&step.target, step)
            && first.new != step.new
        {
            return Err(PlanError::Twice {
                target: step.target.to_string(),
                first: first.setting.clone(),
                second: step.setting.clone(),
            });
        }
        match (step.class, latch) {
            (Class::OneWay, None) => latch = Some(step),
            (Class::Runtime | Class::Action, Some(latch)) => {
                return Err(PlanError::LatchNotLast {
                    latch: latch.setting.clone(),
                    later: step.setting.clone(),
                });
            }
            (Class::Runtime | Class::Action, None)
            | (Class::OneWay, Some(_))
            | (Class::Reboot, _) => {}
        }
    }
    for lacking in &plan.not_applicable {
        check_text(&lacking.setting, "the name", &lacking.setting)?;
        check_text(&lacking.setting, "the reason", &lacking.reason)?;
    }
    Ok(())
}

fn check_step(step: &Step) -> Result<(), PlanError> {
    let setting = &step.setting;
    check_text(setting, "the name", setting)?;
    check_text(setting, "the file", &step.origin.file)?;
    check_text(setting, "the profile", &step.origin.profile)?;
    check_target(setting, &step.target)?;
    check_value(setting, &step.new)?;
    if let Target::Link { attribute, .. } = &step.target
        && attribute == "qdisc"
    {
        let fault = |fault| PlanError::Discipline { setting: setting.clone(), fault };
        Discipline::parse(&step.new).map_err(fault)?;
    }
    if let Some(old) = &step.old
        && old.len() > MAX_VALUE
    {
        return Err(PlanError::Value { setting: setting.clone(), fault: ValueFault::TooLong });
    }
    if step.undo.also.len() > MAX_STEPS {
        return Err(PlanError::TooManySteps(step.undo.also.len()));
    }
    for coupled in step.undo.coupled() {
        check_text(setting, "the name of a coupled setting", &coupled.setting)?;
        check_target(&coupled.setting, &coupled.target)?;
        check_compare(&coupled.setting, &coupled.compare)?;
    }
    if let How::Twin { unset, nudge, .. } = &step.undo.how {
        check_value(setting, unset)?;
        nudge.iter().try_for_each(|nudge| check_value(setting, nudge))?;
    }
    if let Some(effect) = &step.effect {
        check_target(setting, &effect.target)?;
        check_value(setting, &effect.expected)?;
        check_compare(setting, &effect.compare)?;
    }
    check_compare(setting, &step.compare)?;
    check_class(step)
}

/// A class says how a step is undone, too; both have to agree.
fn check_class(step: &Step) -> Result<(), PlanError> {
    let how = match step.undo.how {
        How::Write => "by writing the old value",
        How::Twin { .. } => "through its twin",
        How::Nothing => "not at all",
        How::NextBoot => "by the next boot",
    };
    let contradiction =
        |class| Err(PlanError::Contradiction { setting: step.setting.clone(), class, how });
    match (step.class, &step.undo.how) {
        (Class::Runtime, How::Nothing | How::NextBoot) => contradiction("changed at run time"),
        (Class::OneWay, How::Write | How::Twin { .. } | How::Nothing) => contradiction("a latch"),
        (Class::Action, How::Write | How::Twin { .. } | How::NextBoot) => {
            contradiction("an action")
        }
        (Class::Runtime, How::Write | How::Twin { .. })
        | (Class::OneWay, How::NextBoot)
        | (Class::Action, How::Nothing)
        | (Class::Reboot, _) => match step.compare {
            // What cannot be read cannot be brought back.
            Compare::WriteOnly if step.class == Class::Runtime => contradiction("never readable"),
            _ => Ok(()),
        },
    }
}

fn check_compare(setting: &str, compare: &Compare) -> Result<(), PlanError> {
    compare.texts().try_for_each(|text| check_value(setting, text))
}

pub(crate) fn check_target(setting: &str, target: &Target) -> Result<(), PlanError> {
    let checked = match target {
        Target::File(path) => check_path(path),
        other => other.texts().into_iter().try_for_each(|text| {
            if text.len() > MAX_PATH {
                Err(PathFault::TooLong)
            } else if text.chars().any(char::is_control) {
                Err(PathFault::Control)
            } else {
                Ok(())
            }
        }),
    };
    checked.map_err(|fault| PlanError::Path {
        setting: setting.to_owned(),
        path: target.texts().concat().chars().take(100).collect(),
        fault,
    })?;
    match target {
        Target::Link { .. } | Target::Ethtool { .. } if !network::is_known(target) => {
            let target = target.to_string().chars().take(100).collect();
            Err(PlanError::Device { setting: setting.to_owned(), target })
        }
        _ => Ok(()),
    }
}

/// Checks a path that a plan names: absolute, tidy, and below one of the [roots](super::ROOTS).
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check_path(path: &str) -> Result<(), PathFault> {
    if path.len() > MAX_PATH {
        return Err(PathFault::TooLong);
    }
    if path.chars().any(char::is_control) {
        return Err(PathFault::Control);
    }
    let Some(rest) = path.strip_prefix('/') else { return Err(PathFault::Relative) };
    if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(PathFault::Dots);
    }
    root_of(path).map(|_| ()).ok_or(PathFault::Outside)
}

fn check_value(setting: &str, value: &str) -> Result<(), PlanError> {
    let fault = if value.len() > MAX_VALUE {
        ValueFault::TooLong
    } else if value.chars().any(char::is_control) {
        ValueFault::Control
    } else if value.starts_with(' ') || value.ends_with(' ') || value.contains("  ") {
        ValueFault::Blanks
    } else {
        return Ok(());
    };
    Err(PlanError::Value { setting: setting.to_owned(), fault })
}

fn check_text(setting: &str, what: &'static str, text: &str) -> Result<(), PlanError> {
    if text.len() <= MAX_TEXT {
        return Ok(());
    }
    let setting = setting.chars().take(100).collect();
    Err(PlanError::TextTooLong { setting, what, bytes: text.len() })
}
