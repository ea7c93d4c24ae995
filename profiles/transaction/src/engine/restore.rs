//! The way back: writes old values until everything reads as it did.
//!
//! That a write succeeded or failed means little here. What counts is what is read at the end: it is
//! compared with the snapshot byte for byte, and every difference is named.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Difference, Restored};
use super::snapshot::Index;
use crate::compare::Compare;
use crate::journal::{Begin, Held, Reading};
use crate::plan::{Class, How, Step, Target};
use crate::store::{Store, StoreError};

/// How often what still differs is written again. Settings that move each other along can need one
/// round each; what is left after a few does not come back.
const ROUNDS: u32 = 4;

/// One of two forms of the same state.
struct Twin<'a> {
    other: usize,
    unset: &'a str,
    nudge: Option<&'a str>,
}

/// Everything that is needed on the way back.
struct Way<'a> {
    begin: &'a Begin,
    index: Index,
    steps: BTreeMap<usize, &'a Step>,
    twins: BTreeMap<usize, Twin<'a>>,
    keep: &'a BTreeSet<usize>,
}

/// Brings back what was held. Each step of `attempted` is undone, latest first, whatever it reads now;
/// then whatever still differs. Those of `keep`, by their number among those held, are left alone.
pub(super) fn restore(
    store: &mut dyn Store,
    begin: &Begin,
    attempted: &[usize],
    keep: &BTreeSet<usize>,
) -> Restored {
    let way = Way::new(begin, keep);
    for at in attempted.iter().rev() {
        if let Some(step) = begin.plan.steps.get(*at) {
            way.undo(store, step);
        }
    }
    let mut rounds = 0;
    loop {
        let differing = way.differing(store);
        let to_write: Vec<usize> =
            differing.iter().map(|(at, _)| *at).filter(|at| way.can_be_undone(*at)).collect();
        if to_write.is_empty() || rounds == ROUNDS {
            return way.sorted(differing, rounds);
        }
        rounds += 1;
        for at in to_write.into_iter().rev() {
            way.set_back(store, at);
        }
    }
}

impl<'a> Way<'a> {
    fn new(begin: &'a Begin, keep: &'a BTreeSet<usize>) -> Self {
        let index = Index::of(&begin.held);
        let mut steps = BTreeMap::new();
        let mut twins = BTreeMap::new();
        for step in begin.plan.steps.iter().filter(|step| step.class != Class::Reboot) {
            let Some(own) = index.get(&step.target) else { continue };
            steps.insert(own, step);
            if let How::Twin { twin, unset, nudge } = &step.undo.how
                && let Some(other) = index.get(&twin.target)
            {
                twins.insert(own, Twin { other, unset, nudge: nudge.as_deref() });
                // The other way round the nudge need not be a value that is taken.
                twins.entry(other).or_insert(Twin { other: own, unset, nudge: None });
            }
        }
        Self { begin, index, steps, twins, keep }
    }

    fn held(&self, at: usize) -> Option<&'a Held> {
        self.begin.held.get(at)
    }

    fn can_be_undone(&self, at: usize) -> bool {
        match self.steps.get(&at).map(|step| &step.undo.how) {
            Some(How::Nothing | How::NextBoot) => false,
            Some(How::Write | How::Twin { .. }) | None => {
                // What was not there goes with the setting that brought it.
                self.held(at).is_some_and(|held| matches!(held.before, Reading::Value(_)))
            }
        }
    }

    /// Undoes one step, and what moved along with it.
    fn undo(&self, store: &mut dyn Store, step: &Step) {
        let Some(own) = self.index.get(&step.target) else { return };
        if self.can_be_undone(own) {
            self.set_back(store, own);
        }
        for coupled in &step.undo.also {
            if let Some(at) = self.index.get(&coupled.target)
                && let Some(held) = self.held(at)
                && self.can_be_undone(at)
                && !is_as_before(held, &read(store, held))
            {
                self.set_back(store, at);
            }
        }
    }

    /// Writes what brings an old value back.
    fn set_back(&self, store: &mut dyn Store, at: usize) {
        if self.keep.contains(&at) {
            return;
        }
        let Some(old) = self.old(at) else { return };
        match self.twins.get(&at).filter(|twin| twin.unset == old) {
            Some(twin) => self.set_back_through(store, at, &old, twin),
            None => self.write(store, at, &old),
        }
    }

    /// Brings back a form that was not in force, which is done by writing the one that was.
    fn set_back_through(&self, store: &mut dyn Store, at: usize, old: &str, twin: &Twin<'_>) {
        let is_back = |store: &mut dyn Store, at| {
            self.held(at).is_some_and(|held| is_as_before(held, &read(store, held)))
        };
        let other = self.old(twin.other).filter(|_| !self.keep.contains(&twin.other));
        if other.as_deref().is_none_or(|other| other == twin.unset) {
            // Neither was in force, which one of the two may take as a value.
            self.write(store, at, old);
        }
        if is_back(store, at) {
            return;
        }
        let Some(other) = other else { return };
        if let Some(nudge) = twin.nudge
            && is_back(store, twin.other)
        {
            self.write(store, twin.other, nudge);
        }
        self.write(store, twin.other, &other);
    }

    /// What was in force before, as it is to be written.
    fn old(&self, at: usize) -> Option<String> {
        let held = self.held(at)?;
        let wanted = self.steps.get(&at).map(|step| step.new.as_str());
        match &held.before {
            Reading::Value(value) => held.compare.in_force(wanted, value),
            Reading::Absent | Reading::WriteOnly => None,
        }
    }

    fn write(&self, store: &mut dyn Store, at: usize, value: &str) {
        if let Some(held) = self.held(at) {
            // Whether it helped is seen when everything is read.
            let _ = store.write(&held.target, value);
        }
    }

    /// Everything that does not read as before.
    fn differing(&self, store: &mut dyn Store) -> Vec<(usize, Result<Reading, String>)> {
        read_all(store, &self.begin.held)
            .into_iter()
            .enumerate()
            .filter(|(at, is)| self.held(*at).is_some_and(|held| !is_as_before(held, is)))
            .collect()
    }

    fn sorted(&self, differing: Vec<(usize, Result<Reading, String>)>, rounds: u32) -> Restored {
        let mut restored = Restored { rounds, ..Restored::default() };
        for (at, is) in differing {
            let Some(held) = self.held(at) else { continue };
            let difference = Difference {
                setting: held.setting.clone(),
                target: held.target.clone(),
                before: held.before.clone(),
                is,
            };
            let how = self.steps.get(&at).map(|step| &step.undo.how);
            if self.keep.contains(&at) {
                restored.left_alone.push(difference);
            } else if matches!(how, Some(How::NextBoot)) {
                restored.until_next_boot.push(difference);
            } else if !matches!(how, Some(How::Nothing)) {
                restored.differences.push(difference);
            }
        }
        restored
    }
}

pub(super) fn is_as_before(held: &Held, is: &Result<Reading, String>) -> bool {
    is.as_ref() == Ok(&held.before)
}

fn read(store: &mut dyn Store, held: &Held) -> Result<Reading, String> {
    match held.compare {
        Compare::WriteOnly => Ok(Reading::WriteOnly),
        _ => understood(store.read(&held.target)),
    }
}

fn understood(reading: Result<String, StoreError>) -> Result<Reading, String> {
    match reading {
        Ok(value) => Ok(Reading::Value(value)),
        Err(StoreError::Absent) => Ok(Reading::Absent),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads everything that is held, in that order.
pub(super) fn read_all(store: &mut dyn Store, held: &[Held]) -> Vec<Result<Reading, String>> {
    let readable = |held: &&Held| held.compare != Compare::WriteOnly;
    let targets: Vec<Target> =
        held.iter().filter(readable).map(|held| held.target.clone()).collect();
    let mut readings = store.read_all(&targets).into_iter();
    held.iter()
        .map(|held| match held.compare {
            Compare::WriteOnly => Ok(Reading::WriteOnly),
            _ => readings.next().map_or(Err("it was not read".to_owned()), understood),
        })
        .collect()
}
