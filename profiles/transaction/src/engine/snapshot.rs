//! Everything that a plan may change, as it is before.

use std::collections::HashMap;

use super::report::{Difference, Problem};
use crate::compare::Compare;
use crate::journal::{Held, Reading};
use crate::plan::{Class, Plan, Step, Target};
use crate::store::{Store, StoreError};

/// What is held, and where each target is among it.
pub(super) struct Index {
    at: HashMap<Target, usize>,
}

impl Index {
    pub(super) fn of(held: &[Held]) -> Self {
        Self { at: held.iter().enumerate().map(|(at, held)| (held.target.clone(), at)).collect() }
    }

    pub(super) fn get(&self, target: &Target) -> Option<usize> {
        self.at.get(target).copied()
    }
}

/// Something to be read, and what is to be made of its not being there.
struct Wanted<'a> {
    held: Held,
    may_be_absent: bool,
    step: Option<&'a Step>,
}

/// Reads everything that a plan writes and everything that may move along.
///
/// # Errors
///
/// All reasons for which it cannot be begun.
pub(super) fn take(plan: &Plan, store: &mut dyn Store) -> Result<Vec<Held>, Vec<Problem>> {
    let mut wanted = list(plan);
    let mut problems = unreachable(plan, store);
    if !problems.is_empty() {
        return Err(problems);
    }
    problems.extend(aliases(plan, store));
    let readable: Vec<usize> = wanted
        .iter()
        .enumerate()
        .filter(|(_, wanted)| wanted.held.compare != Compare::WriteOnly)
        .map(|(at, _)| at)
        .collect();
    let targets: Vec<Target> = readable
        .iter()
        .filter_map(|at| wanted.get(*at))
        .map(|wanted| wanted.held.target.clone())
        .collect();
    for (at, reading) in readable.into_iter().zip(store.read_all(&targets)) {
        let Some(wanted) = wanted.get_mut(at) else { continue };
        match reading {
            Ok(value) => wanted.held.before = Reading::Value(value),
            Err(StoreError::Absent) if wanted.may_be_absent => wanted.held.before = Reading::Absent,
            Err(error) => problems.push(Problem {
                setting: wanted.held.setting.clone(),
                why: format!("{} cannot be read: {error}", wanted.held.target),
                origin: wanted.step.map(|step| step.origin.clone()),
            }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(wanted.into_iter().map(|wanted| wanted.held).collect())
}

/// Each target once: those of the steps, then those that may move along.
fn list(plan: &Plan) -> Vec<Wanted<'_>> {
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    let mut known: HashMap<&Target, usize> = HashMap::new();
    let steps = || plan.steps.iter().filter(|step| step.class != Class::Reboot);
    for step in steps() {
        known.entry(&step.target).or_insert_with(|| {
            wanted.push(Wanted {
                held: Held {
                    setting: step.setting.clone(),
                    target: step.target.clone(),
                    compare: step.compare.clone(),
                    before: Reading::WriteOnly,
                },
                may_be_absent: step.appears,
                step: Some(step),
            });
            wanted.len()
        });
    }
    for coupled in steps().flat_map(|step| step.undo.coupled()) {
        known.entry(&coupled.target).or_insert_with(|| {
            wanted.push(Wanted {
                held: Held {
                    setting: coupled.setting.clone(),
                    target: coupled.target.clone(),
                    compare: coupled.compare.clone(),
                    before: Reading::WriteOnly,
                },
                // What may move along need not be on this kernel.
                may_be_absent: true,
                step: None,
            });
            wanted.len()
        });
    }
    wanted
}

fn unreachable(plan: &Plan, store: &dyn Store) -> Vec<Problem> {
    let mut problems = Vec::new();
    for step in plan.steps.iter().filter(|step| step.class != Class::Reboot) {
        let effect = step.effect.iter().map(|effect| &effect.target);
        let all = step.undo.coupled().map(|coupled| &coupled.target).chain(effect);
        for target in std::iter::once(&step.target).chain(all) {
            if !store.reaches(target) {
                problems.push(Problem {
                    setting: step.setting.clone(),
                    why: format!("{target} is {}, which nothing here can change", target.kind()),
                    origin: Some(step.origin.clone()),
                });
            }
        }
    }
    problems
}

/// Two steps that write the same thing under different names, with different values.
fn aliases(plan: &Plan, store: &mut dyn Store) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known: HashMap<Target, &Step> = HashMap::new();
    for step in plan.steps.iter().filter(|step| step.class != Class::Reboot) {
        // What cannot be found now is either to appear later or found missing when it is read.
        let Ok(target) = store.canonical(&step.target) else { continue };
        if let Some(first) = known.insert(target, step)
            && first.new != step.new
        {
            problems.push(Problem {
                setting: step.setting.clone(),
                why: format!(
                    "{} is the same as {} of {}, and they are given different values",
                    step.target, first.target, first.setting
                ),
                origin: Some(step.origin.clone()),
            });
        }
    }
    problems
}

/// Where the snapshot is not what the plan was made for.
pub(super) fn drift(plan: &Plan, held: &[Held]) -> Vec<Difference> {
    let index = Index::of(held);
    let mut drifted = Vec::new();
    for step in &plan.steps {
        let Some(old) = &step.old else { continue };
        let Some(held) = index.get(&step.target).and_then(|at| held.get(at)) else { continue };
        let holds = match &held.before {
            Reading::Value(value) => {
                held.compare.alike(old, value)
                    || held.compare.in_force(Some(&step.new), value).as_ref() == Some(old)
            }
            Reading::Absent => false,
            Reading::WriteOnly => true,
        };
        if !holds {
            drifted.push(Difference {
                setting: step.setting.clone(),
                target: step.target.clone(),
                before: Reading::Value(old.clone()),
                is: Ok(held.before.clone()),
            });
        }
    }
    drifted
}
