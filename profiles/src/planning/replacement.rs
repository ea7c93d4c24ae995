//! What an earlier profile set and the next one does not speak of goes back to what it was before both.

use std::collections::HashMap;

use transaction::journal::{Begin, Held, Reading};
use transaction::plan::{Class, Coupled, How, Origin, Step, Target, Undo};
use transaction::{Plan, StoreError};

/// The steps that undo what profiles in force have set, oldest first in `in_force`, where `plan` does not
/// set it itself.
pub fn resets(
    in_force: &[Begin],
    plan: &Plan,
    readings: &HashMap<Target, Result<String, StoreError>>,
) -> Vec<Step> {
    let mut baseline: HashMap<&Target, &Held> = HashMap::new();
    let mut set: Vec<&Step> = Vec::new();
    for begin in in_force {
        for held in &begin.held {
            baseline.entry(&held.target).or_insert(held);
        }
        for step in &begin.plan.steps {
            set.retain(|earlier| earlier.target != step.target);
            set.push(step);
        }
    }
    let speaks = |target: &Target| plan.steps.iter().any(|step| step.target == *target);
    let mut resets: Vec<Step> = Vec::new();
    // The latest first, as when undoing; what moved along with them behind all.
    let mut along = Vec::new();
    for step in set.into_iter().rev().filter(|step| step.class == Class::Runtime) {
        if speaks(&step.target) {
            continue;
        }
        let before = |target: &Target| match baseline.get(target).map(|held| &held.before) {
            Some(Reading::Value(value)) => Some(value.as_str()),
            Some(Reading::Absent | Reading::WriteOnly) | None => None,
        };
        match (&step.undo.how, before(&step.target)) {
            // It was not in force: its twin was, and the kernel forgets this one with that.
            (How::Twin { twin, unset, .. }, Some(value)) if value.trim() == unset => {
                if !speaks(&twin.target)
                    && let Some(value) = before(&twin.target)
                {
                    let mut reset = reset(step, twin.compare.in_force(None, value));
                    if let Some(reset) = &mut reset {
                        reset.setting.clone_from(&twin.setting);
                        reset.target = twin.target.clone();
                        reset.compare = twin.compare.clone();
                        // And back again by this one's own value.
                        let own = Coupled {
                            setting: step.setting.clone(),
                            target: step.target.clone(),
                            compare: step.compare.clone(),
                        };
                        let how = How::Twin { twin: own, unset: unset.clone(), nudge: None };
                        reset.undo = Undo { how, also: Vec::new() };
                    }
                    resets.extend(reset);
                }
            }
            (How::Write | How::Twin { .. }, Some(value)) => {
                resets.extend(reset(step, step.compare.in_force(Some(&step.new), value)));
            }
            _ => {}
        }
        for coupled in step.undo.also.iter().filter(|coupled| !speaks(&coupled.target)) {
            if let Some(value) = before(&coupled.target) {
                let mut reset = reset(step, coupled.compare.in_force(None, value));
                if let Some(reset) = &mut reset {
                    reset.setting.clone_from(&coupled.setting);
                    reset.target = coupled.target.clone();
                    reset.compare = coupled.compare.clone();
                    reset.undo = Undo::default();
                }
                along.extend(reset);
            }
        }
    }
    resets.extend(along);
    let mut seen = std::collections::HashSet::new();
    resets.retain(|step| seen.insert(step.target.clone()));
    for step in &mut resets {
        step.old = readings.get(&step.target).and_then(|reading| reading.clone().ok());
    }
    // What is as it was need not be touched, and cannot fail.
    resets.retain(|step| {
        !step.old.as_deref().is_some_and(|old| step.compare.already(&step.new, old))
    });
    resets
}

/// Every target that [`resets`] may write, to be read before.
pub fn targets(in_force: &[Begin]) -> Vec<Target> {
    in_force.iter().flat_map(|begin| begin.held.iter().map(|held| held.target.clone())).collect()
}

fn reset(step: &Step, value: Option<String>) -> Option<Step> {
    let origin = Origin { profile: step.origin.profile.clone(), ..Origin::default() };
    Some(Step { new: value?, old: None, origin, effect: None, ..step.clone() })
}
