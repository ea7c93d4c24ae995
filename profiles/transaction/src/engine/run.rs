//! One run through a plan: each step written, read back and judged.

use std::collections::HashSet;

use super::report::{Cause, Outcome, StepReport};
use super::restore::read_all;
use super::snapshot::Index;
use crate::compare::Verdict;
use crate::journal::{Begin, Committed, Reading};
use crate::plan::{Class, Step, Target};
use crate::store::{Change, Changed, Store, StoreError};

/// One run through a plan's steps.
pub(super) struct Run<'a> {
    pub(super) begin: &'a Begin,
    index: Index,
    /// Targets that may not read as in the snapshot when it is their turn: some step was taken there,
    /// or moves them along.
    changing: HashSet<&'a Target>,
    pub(super) reports: Vec<StepReport>,
    /// The steps that were written, whatever came of it, in that order.
    pub(super) attempted: Vec<usize>,
    /// The step that is being taken.
    pub(super) at: Option<usize>,
}

impl<'a> Run<'a> {
    pub(super) fn new(begin: &'a Begin) -> Self {
        let index = Index::of(&begin.held);
        let reports = begin
            .plan
            .steps
            .iter()
            .map(|step| StepReport {
                setting: step.setting.clone(),
                target: step.target.clone(),
                before: index
                    .get(&step.target)
                    .and_then(|at| begin.held.get(at))
                    .map(|held| held.before.clone()),
                written: None,
                read: None,
                outcome: if step.class == Class::Reboot {
                    Outcome::AtNextBoot
                } else {
                    Outcome::NotReached
                },
                nanoseconds: 0,
            })
            .collect();
        let changing = begin
            .plan
            .steps
            .iter()
            .flat_map(|step| step.undo.coupled().map(|coupled| &coupled.target))
            .collect();
        Self { begin, index, changing, reports, attempted: Vec::new(), at: None }
    }

    /// Takes all steps: first those that can be undone, and latches only once all of them hold.
    pub(super) fn take_all(&mut self, store: &mut dyn Store) -> Result<Committed, Cause> {
        let begin: &'a Begin = self.begin;
        let steps = begin.plan.steps.iter().enumerate();
        self.take(store, steps.clone().filter(|(_, step)| reversible(step)))?;
        let mut after = read_all(store, &self.begin.held);
        if self.repair(store, &after)? {
            after = read_all(store, &self.begin.held);
        }
        self.check_all(store, &after)?;
        for (at, step) in steps.filter(|(_, step)| step.class == Class::OneWay) {
            self.take(store, std::iter::once((at, step)))?;
            if let Some(own) = self.index.get(&step.target)
                && let Some(held) = self.begin.held.get(own)
                && let Some(slot) = after.get_mut(own)
            {
                *slot = read_all(store, std::slice::from_ref(held))
                    .pop()
                    .unwrap_or(Ok(Reading::Absent));
            }
        }
        self.at = None;
        let mut written: Vec<u32> =
            self.attempted.iter().filter_map(|at| u32::try_from(*at).ok()).collect();
        written.sort_unstable();
        written.dedup();
        // What moves along and cannot be read is none of the plan's.
        let after =
            after.into_iter().map(|reading| reading.unwrap_or(Reading::WriteOnly)).collect();
        Ok(Committed { written, after })
    }

    /// Takes steps in their order, those that are not in force already; as many at once as do not have to
    /// wait for what earlier ones show.
    fn take(
        &mut self,
        store: &mut dyn Store,
        steps: impl Iterator<Item = (usize, &'a Step)>,
    ) -> Result<(), Cause> {
        let mut together = Vec::new();
        for (at, step) in steps {
            if self.has_to_look(step) {
                self.write_all(store, &std::mem::take(&mut together))?;
            }
            self.at = Some(at);
            if self.holds_already(store, step) {
                self.report(at, |report| report.outcome = Outcome::Unchanged);
            } else {
                self.changing.insert(&step.target);
                together.push((at, step));
            }
        }
        self.write_all(store, &together)
    }

    /// Whether the snapshot does not say what a step finds.
    fn has_to_look(&self, step: &Step) -> bool {
        step.class != Class::Action && (step.appears || self.changing.contains(&step.target))
    }

    fn holds_already(&self, store: &mut dyn Store, step: &Step) -> bool {
        if step.class == Class::Action {
            return false;
        }
        if self.has_to_look(step) {
            return store.read(&step.target).is_ok_and(|now| step.compare.already(&step.new, &now));
        }
        match self.before(step) {
            Some(Reading::Value(before)) => step.compare.already(&step.new, before),
            Some(Reading::Absent | Reading::WriteOnly) | None => false,
        }
    }

    fn before(&self, step: &Step) -> Option<&'a Reading> {
        self.index.get(&step.target).and_then(|at| self.begin.held.get(at)).map(|held| &held.before)
    }

    /// Writes steps and reads them back, up to the first that does not hold.
    fn write_all(
        &mut self,
        store: &mut dyn Store,
        steps: &[(usize, &'a Step)],
    ) -> Result<(), Cause> {
        let changes: Vec<Change> = steps.iter().map(|(_, step)| self.change(step)).collect();
        let made = store.change_all(&changes);
        let taken = made.len();
        for (((at, step), change), changed) in steps.iter().zip(&changes).zip(made) {
            self.at = Some(*at);
            self.attempted.push(*at);
            if matches!(changed.written, Err(StoreError::Writer(_))) {
                // Nobody knows how far it came.
                self.attempted.extend(steps.iter().skip(taken).map(|(at, _)| *at));
            }
            self.take_note(*at, step, change, changed)?;
        }
        match steps.get(taken) {
            None => Ok(()),
            Some((at, step)) => {
                self.at = Some(*at);
                let error = StoreError::Writer("it left changes undone".into());
                Err(Cause::Write { setting: step.setting.clone(), error })
            }
        }
    }

    fn change(&self, step: &Step) -> Change {
        let before = match self.before(step) {
            Some(Reading::Value(before)) => Some(before.clone()),
            Some(Reading::Absent | Reading::WriteOnly) | None => None,
        };
        let (target, value) = (step.target.clone(), step.new.clone());
        Change { target, value, compare: step.compare.clone(), before }
    }

    /// What came of one step.
    fn take_note(
        &mut self,
        at: usize,
        step: &Step,
        change: &Change,
        changed: Changed,
    ) -> Result<(), Cause> {
        self.report(at, |report| {
            report.written = Some(step.new.clone());
            report.outcome = Outcome::Failed;
        });
        let setting = || step.setting.clone();
        changed.written.map_err(|error| Cause::Write { setting: setting(), error })?;
        let read = changed
            .read
            .transpose()
            .map_err(|error| Cause::ReadBack { setting: setting(), error })?;
        let verdict = read.as_ref().map_or(Verdict::Holds, |read| change.judge(read));
        self.report(at, |report| {
            report.read.clone_from(&read);
            report.nanoseconds = report.nanoseconds.saturating_add(changed.nanoseconds);
            report.outcome = match verdict {
                Verdict::Holds => Outcome::Written,
                Verdict::Rounded => Outcome::Rounded,
                Verdict::Ignored => Outcome::Ignored,
                Verdict::Differs => Outcome::Failed,
            };
        });
        match (verdict, read) {
            (Verdict::Differs, Some(read)) => {
                Err(Cause::Differs { setting: setting(), wanted: step.new.clone(), read })
            }
            _ => Ok(()),
        }
    }

    /// Writes again, once, what later steps have moved; whether there was any.
    fn repair(
        &mut self,
        store: &mut dyn Store,
        after: &[Result<Reading, String>],
    ) -> Result<bool, Cause> {
        let begin: &'a Begin = self.begin;
        let mut any = false;
        for (at, step) in begin.plan.steps.iter().enumerate().filter(|(_, step)| reversible(step)) {
            if step.class == Class::Runtime && self.moved(step, after).is_some() {
                any = true;
                self.changing.insert(&step.target);
                self.write_all(store, &[(at, step)])?;
            }
        }
        Ok(any)
    }

    /// Whether everything holds, and has the effect it should have.
    fn check_all(
        &mut self,
        store: &mut dyn Store,
        after: &[Result<Reading, String>],
    ) -> Result<(), Cause> {
        let begin: &'a Begin = self.begin;
        for (at, step) in begin.plan.steps.iter().enumerate().filter(|(_, step)| reversible(step)) {
            self.at = Some(at);
            if step.class == Class::Runtime
                && let Some(read) = self.moved(step, after)
            {
                self.report(at, |report| report.outcome = Outcome::Failed);
                return Err(Cause::Moved {
                    setting: step.setting.clone(),
                    wanted: step.new.clone(),
                    read,
                });
            }
            let Some(effect) = &step.effect else { continue };
            let setting = || step.setting.clone();
            let read = store
                .read(&effect.target)
                .map_err(|error| Cause::ReadBack { setting: setting(), error })?;
            if effect.compare.judge(&effect.expected, &read, None) == Verdict::Differs {
                self.report(at, |report| report.outcome = Outcome::Failed);
                return Err(Cause::NoEffect {
                    setting: setting(),
                    shown_by: effect.target.to_string(),
                    expected: effect.expected.clone(),
                    read,
                });
            }
        }
        Ok(())
    }

    /// What a step reads that is not in force any more.
    fn moved(&self, step: &Step, after: &[Result<Reading, String>]) -> Option<String> {
        let before = match self.before(step) {
            Some(Reading::Value(before)) => Some(before.as_str()),
            _ => None,
        };
        match self.index.get(&step.target).and_then(|at| after.get(at))? {
            Ok(Reading::Value(now)) => {
                let verdict = step.compare.judge(&step.new, now, before);
                (verdict == Verdict::Differs).then(|| now.clone())
            }
            Ok(Reading::WriteOnly) => None,
            Ok(reading @ Reading::Absent) => Some(reading.to_string()),
            Err(error) => Some(error.clone()),
        }
    }

    fn report(&mut self, at: usize, change: impl FnOnce(&mut StepReport)) {
        if let Some(report) = self.reports.get_mut(at) {
            change(report);
        }
    }
}

fn reversible(step: &Step) -> bool {
    matches!(step.class, Class::Runtime | Class::Action)
}
