//! A long line of profiles, each in place of the last: the oldest become one, which goes back to what was
//! before all of them. So the journal does not grow with every switch.

use std::collections::{HashMap, HashSet};

use super::Engine;
use crate::journal::{Begin, Committed, Entry, JournalError, Storage};
use crate::plan::{Class, Step, Target};

/// How many transactions in force can be undone one by one.
const SEPARATE: usize = 8;
/// How many are left of more than that.
const LEFT: usize = 4;

impl<D: Storage> Engine<D> {
    /// Makes one of the oldest in force, where they are many. Says what could not be done: then they stay as
    /// they are.
    pub(super) fn fold(&mut self) -> Vec<String> {
        let boot = &self.machine.boot;
        let in_force: Vec<u32> = self
            .journal
            .history()
            .filter(|summary| summary.state.is_in_force() && summary.boot == *boot)
            .map(|summary| summary.number)
            .collect();
        if in_force.len() <= SEPARATE {
            return Vec::new();
        }
        let oldest = in_force.get(..in_force.len().saturating_sub(LEFT - 1)).unwrap_or_default();
        let folded = self.fold_these(oldest);
        folded
            .err()
            .map(|error| format!("old transactions stay apart: {error}"))
            .into_iter()
            .collect()
    }

    fn fold_these(&mut self, numbers: &[u32]) -> Result<(), JournalError> {
        let Some((newest, older)) = numbers.split_last() else { return Ok(()) };
        let mut one: Option<Whole> = None;
        for number in numbers {
            let Entry { begin, committed: Some(committed), .. } = self.journal.load(*number)?
            else {
                return Ok(());
            };
            let next = Whole { begin, committed };
            one = Some(match one {
                Some(one) => one.then(next),
                None => next,
            });
        }
        // What breaks a rule as one stays apart.
        let Some(one) = one.filter(|one| one.begin.plan.check().is_ok()) else { return Ok(()) };
        self.journal.replace(*newest, one.begin, &one.committed)?;
        // The oldest last: stopped in between, the end of the way back is still what was before all.
        older.iter().rev().try_for_each(|number| self.journal.remove(*number))
    }
}

/// A transaction that is in force.
struct Whole {
    begin: Begin,
    committed: Committed,
}

impl Whole {
    /// Both, as if they had been one: the newer one's plan, and the older one's way back.
    fn then(self, newer: Self) -> Self {
        let spoken: HashSet<&Target> =
            newer.begin.plan.steps.iter().map(|step| &step.target).collect();
        let of_older = |(at, step): (usize, &Step)| {
            (!spoken.contains(&step.target)).then(|| (step.clone(), self.committed.has_written(at)))
        };
        let older: Vec<(Step, bool)> =
            self.begin.plan.steps.iter().enumerate().filter_map(of_older).collect();
        // What the newer one found in force already may be the older one's doing.
        let steps = self.begin.plan.steps.iter().enumerate();
        let by_older: HashSet<&Target> = steps
            .filter(|(at, _)| self.committed.has_written(*at))
            .map(|(_, step)| &step.target)
            .collect();
        let newer_steps = newer.begin.plan.steps.iter().enumerate();
        let newer_steps = newer_steps.map(|(at, step)| {
            (step.clone(), newer.committed.has_written(at) || by_older.contains(&step.target))
        });
        // Latches come last, whoever set them.
        let (latches, mut steps): (Vec<_>, Vec<_>) =
            older.into_iter().chain(newer_steps).partition(|(step, _)| step.class == Class::OneWay);
        steps.extend(latches);
        let written =
            (0..).zip(&steps).filter(|(_, (_, written))| *written).map(|(at, _)| at).collect();

        let mut held = self.begin.held;
        let mut after = self.committed.after;
        let known: HashMap<Target, usize> =
            held.iter().enumerate().map(|(at, held)| (held.target.clone(), at)).collect();
        for (one, reading) in newer.begin.held.into_iter().zip(newer.committed.after) {
            match known.get(&one.target).and_then(|at| after.get_mut(*at)) {
                Some(slot) => *slot = reading,
                None => {
                    held.push(one);
                    after.push(reading);
                }
            }
        }
        let mut plan = newer.begin.plan;
        plan.steps = steps.into_iter().map(|(step, _)| step).collect();
        let begin = Begin { boot: newer.begin.boot, when: newer.begin.when, plan, held };
        Self { begin, committed: Committed { written, after } }
    }
}
