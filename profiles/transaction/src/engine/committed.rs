//! Transactions that are in force: whether they still hold, and the way back.

use std::collections::BTreeSet;

use super::report::{Drift, Undone, Verification};
use super::restore::{read_all, restore};
use super::snapshot::Index;
use super::{Engine, EngineError};
use crate::compare::{Compare, Verdict};
use crate::journal::{Committed, Entry, Reading, Record, Storage, Undoing};
use crate::plan::{Class, Reach};
use crate::store::Store;

/// What undoing does with settings that somebody else has changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drifted {
    /// Leaves them as they are, and tells.
    LeaveAlone,
    /// Brings back what was before all the same.
    Overwrite,
}

impl<D: Storage> Engine<D> {
    /// Compares what a transaction left with what is now.
    ///
    /// # Errors
    ///
    /// If it is not in force, or the journal fails. Settings that cannot be read are drifts.
    pub fn verify(
        &mut self,
        number: u32,
        store: &mut dyn Store,
    ) -> Result<Verification, EngineError> {
        let (entry, committed) = self.load_in_force(number)?;
        let reach: Vec<Reach> = entry
            .begin
            .plan
            .reach()
            .into_iter()
            .map(|reach| Reach { write: false, ..reach })
            .collect();
        store.prepare(&reach)?;
        let index = Index::of(&entry.begin.held);
        let now = read_all(store, &entry.begin.held);
        let mut verification = Verification::default();
        for step in &entry.begin.plan.steps {
            if step.class == Class::Reboot {
                verification.at_next_boot.push(step.setting.clone());
                continue;
            }
            let Some(at) = index.get(&step.target) else { continue };
            let (Some(expected), Some(is)) = (committed.after.get(at), now.get(at)) else {
                continue;
            };
            if step.compare == Compare::WriteOnly || step.class == Class::Action {
                verification.unreadable.push(step.setting.clone());
                continue;
            }
            let mut drift = |target, expected, is| {
                verification.drifts.push(Drift {
                    setting: step.setting.clone(),
                    target,
                    expected,
                    is,
                    origin: step.origin.clone(),
                });
            };
            if !alike(&step.compare, expected, is) {
                drift(step.target.clone(), expected.clone(), is.clone());
                continue;
            }
            if let Some(effect) = &step.effect {
                let is = store.read(&effect.target).map_err(|error| error.to_string());
                let holds = is.as_ref().is_ok_and(|is| {
                    effect.compare.judge(&effect.expected, is, None) != Verdict::Differs
                });
                if !holds {
                    let expected = Reading::Value(effect.expected.clone());
                    drift(effect.target.clone(), expected, is.map(Reading::Value));
                    continue;
                }
            }
            verification.holding += 1;
        }
        Ok(verification)
    }

    /// Brings back what was before a transaction that is in force.
    ///
    /// # Errors
    ///
    /// If it is not the newest in force, or the journal fails. What could not be brought back is no
    /// error and stands in the result.
    pub fn rollback(
        &mut self,
        number: u32,
        store: &mut dyn Store,
        drifted: Drifted,
    ) -> Result<Undone, EngineError> {
        let (entry, committed) = self.load_in_force(number)?;
        if let Some(newest) = self.in_force()
            && newest.number != number
        {
            return Err(EngineError::NotNewest { number, newer: newest.number });
        }
        store.prepare(&entry.begin.plan.reach())?;
        let keep = match drifted {
            Drifted::Overwrite => BTreeSet::new(),
            Drifted::LeaveAlone => changed_since(&entry, &committed, store),
        };
        let record =
            Undoing { keep: keep.iter().filter_map(|at| u32::try_from(*at).ok()).collect() };
        self.journal.append(number, &Record::Undoing(record))?;
        let written: Vec<usize> =
            committed.written.iter().filter_map(|at| usize::try_from(*at).ok()).collect();
        let restored = restore(store, &entry.begin, &written, &keep);
        self.close(number, &restored.differences)?;
        Ok(Undone {
            number,
            profile: entry.begin.plan.profile,
            restored,
            confinement: store.confinement(),
        })
    }

    fn load_in_force(&mut self, number: u32) -> Result<(Entry, Committed), EngineError> {
        let summary = self.journal.summary(number)?;
        if summary.boot != self.machine.boot {
            return Err(EngineError::OtherBoot(number));
        }
        let state = summary.state;
        if !state.is_in_force() {
            return Err(EngineError::NotInForce { number, state });
        }
        let mut entry = self.journal.load(number)?;
        match entry.committed.take() {
            Some(committed) => Ok((entry, committed)),
            None => Err(EngineError::NotInForce { number, state: entry.state }),
        }
    }
}

/// Settings that do not read as they did when the transaction was committed.
fn changed_since(entry: &Entry, committed: &Committed, store: &mut dyn Store) -> BTreeSet<usize> {
    let held = &entry.begin.held;
    read_all(store, held)
        .iter()
        .zip(&committed.after)
        .zip(held)
        .enumerate()
        .filter(|(_, ((is, after), held))| !alike(&held.compare, after, is))
        .map(|(at, _)| at)
        .collect()
}

fn alike(compare: &Compare, expected: &Reading, is: &Result<Reading, String>) -> bool {
    match (expected, is) {
        (Reading::Value(expected), Ok(Reading::Value(is))) => compare.alike(expected, is),
        (expected, Ok(is)) => expected == is,
        (_, Err(_)) => false,
    }
}
