//! Who looks after a profile once it is in force: watches its guard, and follows its policy.
//!
//! One [`Steward`] a kernel, outside of it. It ends when there is nothing left to look after, or when
//! somebody else changed what is in force: whoever did that looks after it now.

use std::fmt;
use std::time::Duration;

use profiles::composition::Arguments;
use profiles::expression::{Found, Scope, Value};
use profiles::facts::{Look, Signals};
use profiles::guarding::{Watch, Watched};
use profiles::policy::{Compiled, CompiledRule, Machine, Switch};
use profiles::scripts::Scripts;
use transaction::agent::{Question, Reply};
use transaction::assign::{By, Match, Wishes, Workload};
use transaction::journal::{State, Summary};

use super::kernel::{Kernel, KernelError, Seen, ask};
use super::prepare::{Wanted, prepare};
use super::{TuningError, apply, roll_back};

/// How often it looks.
pub const INTERVAL: Duration = Duration::from_millis(250);

/// How many complaints about tasks are told.
const MOST_COMPLAINTS: usize = 100;

/// What happened, for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Somebody said that the profile is to stay.
    Confirmed(u32),
    /// The profile was undone, and why; what differs from before all the same.
    Undone {
        /// Which transaction.
        number: u32,
        /// Why.
        why: String,
        /// What is not as it was.
        differences: Vec<String>,
    },
    /// The profile is to be undone, and the kernel does not do it.
    Stuck {
        /// Why it is to be undone.
        why: String,
        /// Why it is not.
        error: String,
    },
    /// The policy switched.
    Switched {
        /// To which profile.
        to: String,
        /// Why.
        why: String,
    },
    /// The policy would have switched.
    NotSwitched {
        /// To what.
        to: String,
        /// Why not.
        why: String,
    },
    /// Something could not be done with a workload's task.
    NotAssigned(String),
    /// Somebody else changed what is in force.
    Superseded,
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed(number) => write!(f, "transaction {number} is confirmed"),
            Self::Undone { number, why, differences } => {
                write!(f, "transaction {number} is undone: {why}")?;
                match differences.as_slice() {
                    [] => Ok(()),
                    all => write!(f, "; except {}", all.join(", ")),
                }
            }
            Self::Stuck { why, error } => write!(f, "cannot undo ({why}): {error}"),
            Self::Switched { to, why } => write!(f, "switched to {to}: {why}"),
            Self::NotSwitched { to, why } => write!(f, "not switched to {to}: {why}"),
            Self::NotAssigned(why) => f.write_str(why),
            Self::Superseded => f.write_str("somebody else changed what is in force"),
        }
    }
}

/// Looks after one kernel.
pub struct Steward<'s> {
    scripts: &'s Scripts,
    arguments: &'s Arguments,
    policy: Option<(&'s Compiled, Machine<'s>)>,
    watch: Option<Watch>,
    /// Whether the profile speaks of programs.
    assigns: bool,
    /// Programs that the policy may ask for.
    workloads: Vec<Workload>,
    /// What could not be done with tasks, as it was told last.
    complaints: Vec<String>,
    /// What it brought into force, oldest first.
    stack: Vec<u32>,
}

/// Signals where the kernel answered.
struct Known<'l> {
    files: Signals<'l>,
    arguments: &'l Arguments,
    /// How many processes workloads have; none where nobody asked.
    active: &'l [(String, usize)],
}

impl Scope for Known<'_> {
    fn find(&self, path: &[String]) -> Found {
        match path {
            [name] if name == "time" => Found::Value(time_of_day()),
            [name] if self.arguments.contains_key(name) => {
                self.arguments.get(name).map_or(Found::Nothing, |value| Found::Value(value.clone()))
            }
            [of, workload, active] if of == "workload" && active == "active" => {
                match self.active.iter().find(|(name, _)| name == workload) {
                    Some((_, count)) => Found::Value(Value::Flag(*count > 0)),
                    None => Found::NotKnownHere,
                }
            }
            _ => self.files.find(path),
        }
    }
}

/// What the clock on the wall shows where this runs.
fn time_of_day() -> Value {
    let now = jiff::Zoned::now();
    let minutes = i32::from(now.hour()) * 60 + i32::from(now.minute());
    Value::TimeOfDay(u16::try_from(minutes).unwrap_or_default())
}

/// What programs of a script's workloads are known by, whichever profile they stand in.
fn workloads(scripts: &Scripts) -> Vec<Workload> {
    let by = |word: &str| match word {
        "exec" => Some(By::Exec),
        "cgroup" => Some(By::Cgroup),
        "unit" => Some(By::Unit),
        "user" => Some(By::User),
        _ => None,
    };
    let written = scripts.library.profiles().flat_map(|profile| &profile.workloads);
    written
        .map(|workload| Workload {
            name: workload.name.text.clone(),
            matches: workload
                .matches
                .iter()
                .filter_map(|matching| {
                    let patterns = matching.patterns.iter().map(|it| it.text.clone()).collect();
                    Some(Match { by: by(&matching.by.text)?, patterns })
                })
                .collect(),
            wishes: Wishes::default(),
            limits: Vec::new(),
        })
        .collect()
}

/// Which rule switches to this profile.
pub fn rule_of(policy: &Compiled, profile: &str) -> Option<usize> {
    let target = |rule: &CompiledRule| rule.target.profile.as_ref().map(|name| name.text.clone());
    policy.rules.iter().position(|rule| target(rule).as_deref() == Some(profile))
}

impl<'s> Steward<'s> {
    /// Looks after a transaction that was just committed, at this time by the clock of whoever asks.
    pub fn new(
        scripts: &'s Scripts,
        arguments: &'s Arguments,
        policy: Option<&'s Compiled>,
        committed: u32,
        watched: Option<Watched>,
        assigns: bool,
        now: Duration,
    ) -> Self {
        Self {
            scripts,
            arguments,
            policy: policy.map(|policy| (policy, Machine::new(policy))),
            watch: watched.map(|watched| Watch::new(watched, now)),
            assigns,
            workloads: policy.map(|_| workloads(scripts)).unwrap_or_default(),
            complaints: Vec::new(),
            stack: vec![committed],
        }
    }

    /// Looks after what others looked after before: these transactions of the scripts, oldest first, which
    /// nothing undoes by itself any more.
    pub fn resumed(
        scripts: &'s Scripts,
        arguments: &'s Arguments,
        policy: Option<&'s Compiled>,
        stack: &[Summary],
        assigns: bool,
        now: Duration,
    ) -> Self {
        let switched_to = match stack {
            [_, .., top] => Some(&top.profile),
            _ => None,
        };
        let machine = |policy: &'s Compiled| {
            let current = switched_to.and_then(|name| rule_of(policy, name));
            (policy, Machine::resumed(policy, current, now))
        };
        Self {
            policy: policy.map(machine),
            stack: stack.iter().map(|summary| summary.number).collect(),
            ..Self::new(scripts, arguments, policy, 0, None, assigns, now)
        }
    }

    /// Whether there is still something to look after.
    pub fn is_needed(&self) -> bool {
        !self.stack.is_empty() && (self.watch.is_some() || self.policy.is_some() || self.assigns)
    }

    /// Looks once; `now` never goes back.
    pub fn look(&mut self, kernel: &mut dyn Kernel, now: Duration) -> Vec<Happening> {
        let mut happened = Vec::new();
        let newest = ask(kernel, &Question::Newest);
        if let Ok(Reply::Newest(newest)) = &newest
            && !self.still_ours(newest.as_ref(), &mut happened)
        {
            return happened;
        }
        // A refusal is an answer: somebody else is at the journal at this moment.
        let reachable = !matches!(newest, Err(KernelError::Unreachable { .. }));
        if self.assigns && reachable {
            self.assign(kernel, &mut happened);
        }
        self.guard(kernel, reachable, now, &mut happened);
        if self.watch.is_none() && reachable {
            self.follow(kernel, now, &mut happened);
        }
        happened
    }

    /// Whether the newest in force is what this steward brought about; takes note of its confirmation.
    fn still_ours(&mut self, newest: Option<&Summary>, happened: &mut Vec<Happening>) -> bool {
        let ours = self.stack.last().copied();
        match newest {
            Some(newest) if Some(newest.number) == ours => {
                if newest.state == State::Confirmed && self.watch.take().is_some() {
                    happened.push(Happening::Confirmed(newest.number));
                }
                true
            }
            _ => {
                happened.push(Happening::Superseded);
                (self.watch, self.policy, self.assigns) = (None, None, false);
                self.stack.clear();
                false
            }
        }
    }

    /// Goes through all tasks; says what could not be done, once.
    fn assign(&mut self, kernel: &mut dyn Kernel, happened: &mut Vec<Happening>) {
        let Ok(Reply::Assigned(passed)) = ask(kernel, &Question::Assign) else { return };
        for complaint in &passed.failed {
            if !self.complaints.contains(complaint) && self.complaints.len() < MOST_COMPLAINTS {
                self.complaints.push(complaint.clone());
                happened.push(Happening::NotAssigned(complaint.clone()));
            }
        }
    }

    fn guard(
        &mut self,
        kernel: &mut dyn Kernel,
        reachable: bool,
        now: Duration,
        happened: &mut Vec<Happening>,
    ) {
        let Some(watch) = &mut self.watch else { return };
        let why = if reachable {
            let seen = Seen::new(kernel);
            let files = Signals(&seen as &dyn Look);
            watch.step(now, Some(&Known { files, arguments: self.arguments, active: &[] }))
        } else {
            watch.step(now, None)
        };
        let (Some(why), Some(number)) = (why, self.stack.last().copied()) else { return };
        match roll_back(kernel, Some(number), true) {
            Ok(undone) => {
                let differences =
                    undone.restored.differences.iter().map(ToString::to_string).collect();
                happened.push(Happening::Undone { number, why, differences });
                self.stack.pop();
                (self.watch, self.assigns) = (None, false);
                // A profile that had to be undone is not left to a policy.
                self.policy = None;
            }
            Err(error) => happened.push(Happening::Stuck { why, error: error.to_string() }),
        }
    }

    fn follow(&mut self, kernel: &mut dyn Kernel, now: Duration, happened: &mut Vec<Happening>) {
        let arguments = self.arguments;
        let Some((policy, machine)) = &mut self.policy else { return };
        let policy: &'s Compiled = policy;
        let switch = {
            let asked = (!self.workloads.is_empty())
                .then(|| ask(kernel, &Question::Count(self.workloads.clone())));
            let active = match asked {
                Some(Ok(Reply::Counted(active))) => active,
                _ => Vec::new(),
            };
            let seen = Seen::new(kernel);
            let files = Signals(&seen as &dyn Look);
            machine.step(now, &Known { files, arguments, active: &active })
        };
        let Some(switch) = switch else { return };
        let result = self.switch(policy, kernel, &switch);
        happened.push(match result {
            Ok(to) => Happening::Switched { to, why: switch.why },
            Err((to, why)) => Happening::NotSwitched { to, why },
        });
    }

    fn switch(
        &mut self,
        policy: &Compiled,
        kernel: &mut dyn Kernel,
        switch: &Switch,
    ) -> Result<String, (String, String)> {
        let target = match switch.to {
            None => policy.default.as_ref(),
            Some(rule) => policy.rules.get(rule).map(|rule| &rule.target),
        };
        let name = target.and_then(|target| target.profile.as_ref()).map(|name| name.text.clone());
        let told = name.clone().unwrap_or_else(|| "the default".to_owned());
        if let Some(kernel) = target.and_then(|target| target.kernel.as_ref()) {
            let why = format!("it takes kernel {:?}: only profiles are switched here", kernel.text);
            return Err((told, why));
        }
        if switch.to.is_none() {
            while let [_, .., above] = *self.stack.as_slice() {
                roll_back(kernel, Some(above), false)
                    .map_err(|error| (told.clone(), error.to_string()))?;
                self.stack.pop();
            }
            // The default's own programs, if it speaks of any.
            self.assigns = true;
            return Ok(told);
        }
        let Some(name) = name else { return Err((told, "it names no profile".to_owned())) };
        let wanted = Wanted { scripts: self.scripts, profile: &name, arguments: self.arguments };
        let prepared =
            prepare(kernel, &wanted, true).map_err(|error| (told.clone(), told_of(&error)))?;
        let report = apply(kernel, &prepared)
            .map_err(|error: TuningError| (told.clone(), error.to_string()))?;
        self.stack.push(report.number);
        self.assigns = !prepared.plan.workloads.is_empty();
        // Nobody is there to confirm it: its reasons count for as long as that would be waited for.
        Ok(told)
    }
}

fn told_of(error: &super::PrepareError) -> String {
    match error {
        super::PrepareError::Refused(diagnostics) => {
            let first = diagnostics.iter().find(|diagnostic| diagnostic.is_error());
            first.map_or_else(|| error.to_string(), |first| first.message.clone())
        }
        other => other.to_string(),
    }
}

/// Undoes what nobody watches any more: a guarded profile whose steward is gone before anybody confirmed it.
///
/// # Errors
/// Where the kernel does not answer, or cannot undo it.
pub fn undo_unwatched(kernel: &mut dyn Kernel) -> Result<Option<u32>, KernelError> {
    let Reply::Newest(newest) = ask(kernel, &Question::Newest)? else { return Ok(None) };
    let Some(newest) = newest.filter(|it| it.state == State::Committed && it.guard.is_some())
    else {
        return Ok(None);
    };
    roll_back(kernel, Some(newest.number), true)?;
    Ok(Some(newest.number))
}
