//! From a resolution to a plan: what is written where, how it reads back and how it is undone.
//!
//! Bounds and edits (`raise`, `+=`) rest on what is there, so a plan is made with the machine's readings;
//! without them, what cannot be worked out is told.

mod queue;
mod replacement;

use std::collections::HashMap;

use transaction::StoreError;
use transaction::compare::{Compare, CpuForm as Form, Rounding};
use transaction::journal::Begin;
use transaction::plan::{
    Class, Coupled, Guard, How, NotApplicable, Origin, Plan, Step, Target, Undo,
};

use crate::catalogue::{self, Catalogue, CpuForm, Kind, Presence, Reads, Setting};
use crate::diagnostic::Sources;
use crate::expression::Value;
use crate::facts::Facts;
use crate::resolution::{Goal, Resolution, Resolved, Where};

/// What a plan is made from.
pub struct Planning<'p> {
    /// The profile's name.
    pub profile: &'p str,
    /// The machine.
    pub facts: &'p Facts,
    /// What is known of settings.
    pub catalogue: &'p Catalogue,
    /// The scripts, for lines.
    pub sources: &'p Sources,
    /// What the [targets](targets) read now, as far as they can be read.
    pub readings: &'p HashMap<Target, Result<String, StoreError>>,
    /// Modules that could not be loaded, and why.
    pub without: &'p [(String, String)],
    /// What is in force already, oldest first.
    pub in_force: &'p [Begin],
    /// What may undo it.
    pub guard: Option<Guard>,
}

/// Everything that has to be read before a plan can be made, where this is in force already.
pub fn targets(resolution: &Resolution<'_>, in_force: &[Begin]) -> Vec<Target> {
    let runtime = |resolved: &&Resolved<'_>| {
        resolved.setting.is_none_or(|setting| class(setting, &resolved.place) != Class::Reboot)
    };
    let own = resolution.settings.iter().filter(runtime).map(|resolved| target(&resolved.place));
    let mut targets: Vec<Target> =
        own.chain(queue::targets(resolution)).chain(replacement::targets(in_force)).collect();
    targets.sort();
    targets.dedup();
    targets
}

/// Modules that have to be loaded before a plan can be made: without them its settings are not there.
pub fn modules(resolution: &Resolution<'_>) -> Vec<String> {
    let mut modules: Vec<String> =
        resolution.settings.iter().flat_map(|resolved| resolved.modules.clone()).collect();
    modules.sort();
    modules.dedup();
    modules
}

/// A plan, and what could not be planned.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Settings whose goal rests on what is there, which could not be read or understood.
    pub unread: Vec<String>,
}

impl Planning<'_> {
    /// Makes the plan.
    pub fn plan(&self, resolution: &Resolution<'_>) -> Planned {
        let mut planned = Planned { plan: Plan::new(self.profile), unread: Vec::new() };
        for resolved in &resolution.settings {
            let steps = &planned.plan.steps;
            let reason =
                self.lacking(resolved).or_else(|| queue::too_long(resolved, steps, self.readings));
            if let Some(reason) = reason {
                planned.plan.not_applicable.push(NotApplicable {
                    setting: resolved.name.clone(),
                    reason,
                    origin: self.origin(resolved.origins.first()),
                });
                continue;
            }
            match self.step(resolved) {
                Some(step) => planned.plan.steps.push(step),
                None => planned.unread.push(resolved.name.clone()),
            }
        }
        for absent in &resolution.not_applicable {
            planned.plan.not_applicable.push(NotApplicable {
                setting: absent.name.clone(),
                reason: absent.reason.clone(),
                origin: self.origin(absent.origins.first()),
            });
        }
        planned.plan.guard.clone_from(&self.guard);
        planned.plan.workloads.clone_from(&resolution.workloads);
        let mut resets = replacement::resets(self.in_force, &planned.plan, self.readings);
        queue::go_with_scheduler(&mut planned.plan.steps, &mut resets);
        // Latches stay last.
        let latch = planned.plan.steps.iter().position(|step| step.class == Class::OneWay);
        let at = latch.unwrap_or(planned.plan.steps.len());
        planned.plan.steps.splice(at..at, resets);
        planned
    }

    fn read(&self, target: &Target) -> Option<String> {
        self.readings.get(target)?.clone().ok()
    }

    /// Why a setting that this kernel should have is not there on this machine; none if it is.
    fn lacking(&self, resolved: &Resolved<'_>) -> Option<String> {
        if let Some(reason) = beyond(&resolved.place) {
            return Some(reason.to_owned());
        }
        let target = target(&resolved.place);
        let there = matches!(self.readings.get(&target), Some(Ok(_)));
        // What a module brings may be built into this kernel: then it is there without.
        let own = |module: &String| {
            resolved.setting.is_some_and(|setting| setting.modules.contains(module))
        };
        // A value that stands in what is read, in force or as a choice, is one that this kernel has.
        let reading = self.read(&target).unwrap_or_default();
        let shown = |module: &String| {
            let values = resolved.setting.iter().flat_map(|setting| &setting.value_modules);
            let mut values = values.filter(|(_, own)| *own == module).map(|(value, _)| value);
            values.any(|value| words(&reading).any(|word| word == value))
        };
        let needed =
            resolved.modules.iter().filter(|module| !(there && own(module) || shown(module)));
        let without = |module: &String| self.without.iter().find(|(name, _)| name == module);
        if let Some((module, why)) = needed.into_iter().find_map(without) {
            return Some(format!("the module {module} cannot be loaded: {why}"));
        }
        match self.readings.get(&target) {
            Some(Err(StoreError::Absent)) if !appears(resolved) => {
                Some(format!("this machine has no {target}"))
            }
            Some(Err(StoreError::NotMounted(why) | StoreError::Unsupported(why))) => {
                Some(why.clone())
            }
            _ => None,
        }
    }

    fn step(&self, resolved: &Resolved<'_>) -> Option<Step> {
        let target = target(&resolved.place);
        let origin = self.origin(resolved.origins.first());
        let Some(setting) = resolved.setting else {
            let Goal::Exactly(value) = &resolved.goal else { return None };
            let new = match value {
                Value::Text(text) => text.clone(),
                other => other.to_string(),
            };
            let old = self.read(&target);
            let mut step = bare(&resolved.name, target, new, origin);
            step.old = old;
            return Some(step);
        };
        let class = class(setting, &resolved.place);
        let old = if class == Class::Reboot { None } else { self.read(&target) };
        let value = match &resolved.goal {
            Goal::Exactly(value) => value.clone(),
            goal => reached(goal, &setting.kind.parsed(in_force(setting, old.as_deref()?))?)?,
        };
        let mut step = bare(&resolved.name, target, setting.kind.written(&value), origin);
        step.old = old;
        step.compare = compare(setting);
        step.undo = self.undo(setting, device(resolved));
        step.class = class;
        step.may_change_on_error = setting.on_error == catalogue::OnError::MayChange;
        step.appears = appears(resolved);
        Some(step)
    }

    fn undo(&self, setting: &Setting, device: Option<&str>) -> Undo {
        let coupled = |name: &str| {
            let other = self.catalogue.get(name)?;
            let Presence::Present(place) = self.facts.kernel.find(other) else { return None };
            let target = target(&Where::of(&place.at, device));
            Some(Coupled { setting: name.to_owned(), target, compare: compare(other) })
        };
        let (how, also) = match &setting.undo {
            catalogue::Undo::Write => (How::Write, Vec::new()),
            catalogue::Undo::ThroughTwin(name) => match coupled(name) {
                Some(twin) => (How::Twin { twin, unset: "0".to_owned(), nudge: None }, Vec::new()),
                None => (How::Write, Vec::new()),
            },
            catalogue::Undo::AlsoRestore(names) => {
                (How::Write, names.iter().filter_map(|name| coupled(name)).collect())
            }
            catalogue::Undo::Reboot => (How::NextBoot, Vec::new()),
            catalogue::Undo::Nothing => (How::Nothing, Vec::new()),
        };
        Undo { how, also }
    }

    fn origin(&self, origin: Option<&crate::resolution::Origin>) -> Origin {
        let Some(origin) = origin else { return Origin::default() };
        let source = self.sources.get(origin.span.file);
        Origin {
            profile: origin.profile.clone(),
            file: source.map(|source| source.name().to_owned()).unwrap_or_default(),
            line: source.map_or(0, |source| source.position(origin.span.start).line),
        }
    }
}

fn bare(name: &str, target: Target, new: String, origin: Origin) -> Step {
    Step {
        setting: name.to_owned(),
        target,
        old: None,
        new,
        compare: Compare::Same,
        undo: Undo::default(),
        class: Class::Runtime,
        may_change_on_error: true,
        appears: false,
        effect: None,
        origin,
    }
}

fn device<'r>(resolved: &'r Resolved<'_>) -> Option<&'r str> {
    resolved.name.split_once(" of ").map(|(_, device)| device)
}

/// Whether it may be there only once an earlier step was taken: the settings of an I/O scheduler.
fn appears(resolved: &Resolved<'_>) -> bool {
    let of_scheduler = |name: &str| {
        ["block.deadline.", "block.bfq.", "block.kyber."].iter().any(|area| name.starts_with(area))
    };
    resolved.setting.is_some_and(|setting| of_scheduler(&setting.name))
}

/// Why the engine does not get there; none where it does.
fn beyond(place: &Where) -> Option<&'static str> {
    match place {
        Where::Task(_) => Some("set for the tasks of a workload, one by one"),
        Where::File(_)
        | Where::Cgroup(..)
        | Where::Ethtool(..)
        | Where::Link(..)
        | Where::Held(_)
        | Where::CommandLine(_)
        | Where::ModuleOption(_) => None,
    }
}

/// The words of a reading, without the brackets around the one in force.
fn words(reading: &str) -> impl Iterator<Item = &str> {
    reading.split_ascii_whitespace().map(|word| word.trim_matches(['[', ']', '(', ')']))
}

/// What the engine writes to.
fn target(place: &Where) -> Target {
    match place {
        Where::File(path) => Target::File(path.clone()),
        Where::Cgroup(group, file) => Target::File(format!("/sys/fs/cgroup/{group}/{file}")),
        Where::CommandLine(word) => Target::CommandLine(word.clone()),
        Where::ModuleOption(option) => Target::ModuleOption(option.clone()),
        Where::Held(file) => Target::Held(file.trim_start_matches("/dev/").to_owned()),
        Where::Ethtool(device, attribute) => {
            Target::Ethtool { device: device.clone(), attribute: attribute.clone() }
        }
        Where::Link(device, attribute) => {
            Target::Link { device: device.clone(), attribute: attribute.clone() }
        }
        // Workloads are planned task by task, not here.
        Where::Task(attribute) => Target::Task { pid: 0, started: 0, attribute: attribute.clone() },
    }
}

fn class(setting: &Setting, place: &Where) -> Class {
    match (setting.class, place) {
        (catalogue::Class::Reboot, _) | (_, Where::CommandLine(_) | Where::ModuleOption(_)) => {
            Class::Reboot
        }
        (catalogue::Class::OneWay, _) => Class::OneWay,
        (catalogue::Class::Action, _) => Class::Action,
        _ => Class::Runtime,
    }
}

/// How what is read compares with what was written.
fn compare(setting: &Setting) -> Compare {
    match (&setting.reads, &setting.kind) {
        (Reads::Bracketed, _) => Compare::Bracketed,
        (Reads::Parenthesized, _) => Compare::Parenthesised,
        (Reads::Rounded(_) | Reads::Clamped(_), _) => Compare::Rounded(Rounding::Any),
        (Reads::Annotated(_), _) => Compare::Annotated,
        (Reads::Hex, _) => Compare::Hex,
        (Reads::YesNo, _) => Compare::YesNo,
        (Reads::Ignored(_), _) => Compare::Ignored,
        (Reads::WriteOnly, _) => Compare::WriteOnly,
        (_, Kind::Discipline) => Compare::Pairs,
        (_, Kind::Cpus(CpuForm::List)) => Compare::Cpus(Form::List),
        (_, Kind::Cpus(CpuForm::Mask)) => Compare::Cpus(Form::Mask),
        (Reads::Tabbed, _) | (_, Kind::Numbers(_) | Kind::Sizes(..) | Kind::Words(_)) => {
            Compare::Blanks
        }
        (Reads::Same, _) => Compare::Same,
    }
}

/// Of what a file reads, the value in force.
fn in_force<'t>(setting: &Setting, text: &'t str) -> &'t str {
    let within = |open: char, close: char| {
        text.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map(|(value, _)| value)
    };
    match setting.reads {
        Reads::Bracketed => within('[', ']').unwrap_or(text),
        Reads::Parenthesized => within('(', ')').unwrap_or(text),
        _ => text,
    }
}

/// What becomes of a value; none where it cannot be said.
fn reached(goal: &Goal, now: &Value) -> Option<Value> {
    match goal {
        Goal::Exactly(value) => Some(value.clone()),
        Goal::Within(least, most) => {
            let amount = now.amount()?;
            let beyond = |bound: &Option<Value>, over: fn(i128, i128) -> bool| {
                bound
                    .clone()
                    .filter(|bound| bound.amount().is_some_and(|bound| over(amount, bound)))
            };
            let low = beyond(least, |amount, bound| amount < bound);
            let high = beyond(most, |amount, bound| amount > bound);
            Some(low.or(high).unwrap_or_else(|| now.clone()))
        }
        Goal::Edited { more, less } => Some(crate::resolution::edited(now.clone(), more, less)),
    }
}
