//! Applying a plan: from the snapshot to the record of success, or back.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use thiserror::Error;

use super::report::{Cause, Difference, Failure, Outcome, Problem, Report, StepReport};
use super::restore::{read_all, restore};
use super::snapshot::{self, Index};
use super::{Engine, now};
use crate::compare::{Compare, Verdict};
use crate::journal::{Begin, Committed, JournalError, Reading, Record, State, Storage};
use crate::plan::{Class, Plan, PlanError, Step, Target};
use crate::store::{Changed, Store, StoreError};

/// Why a plan is not in force.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// It breaks a rule. Nothing was written.
    #[error("the plan is refused: {0}")]
    Plan(#[from] PlanError),
    /// It was made for another kernel. Nothing was written.
    #[error("the plan was made for {what} {plan}, and this is {machine}: make it again")]
    OtherKernel {
        /// What differs.
        what: &'static str,
        /// What the plan says.
        plan: String,
        /// What is.
        machine: String,
    },
    /// Settings cannot be read. Nothing was written.
    #[error("the plan cannot be begun: {}", lines(.0))]
    Problems(Vec<Problem>),
    /// The kernel has changed since the plan was made. Nothing was written.
    #[error("settings have changed since the plan was made: {}; make it again", lines(.0))]
    Drifted(Vec<Difference>),
    /// The writing process could not be set up. Nothing was written.
    #[error("the settings cannot be reached: {0}")]
    Store(StoreError),
    /// The journal failed. Nothing was written.
    #[error("nothing was written: {0}")]
    Journal(#[from] JournalError),
    /// It failed, and was rolled back.
    #[error("{0}")]
    RolledBack(Box<Failure>),
}

fn lines<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl<D: Storage> Engine<D> {
    /// Applies a plan, all of it or nothing.
    ///
    /// # Errors
    ///
    /// Why it is not in force: [`ApplyError::RolledBack`] if something was written, and then what the
    /// way back came to; with all others nothing was.
    pub fn apply(&mut self, plan: &Plan, store: &mut dyn Store) -> Result<Report, ApplyError> {
        let start = Instant::now();
        plan.check()?;
        self.fits(plan)?;
        self.close_open_ones()?;
        store.prepare(&plan.reach()).map_err(ApplyError::Store)?;
        let held = snapshot::take(plan, store).map_err(ApplyError::Problems)?;
        let drifted = snapshot::drift(plan, &held);
        if !drifted.is_empty() {
            return Err(ApplyError::Drifted(drifted));
        }
        let boot = self.machine.boot.clone();
        let begin = Begin { boot, when: now(), plan: plan.clone(), held };
        let (number, begin) = self.journal.begin(begin)?;
        let mut run = Run::new(&begin);
        let result = run.take_all(store).and_then(|committed| {
            self.journal
                .append(number, &Record::Committed(committed))
                .map_err(|error| Cause::Journal(error.to_string()))
        });
        match result {
            Ok(()) => Ok(Report {
                number,
                profile: plan.profile.clone(),
                steps: run.reports,
                nanoseconds: nanoseconds(start),
                confinement: store.confinement(),
                notes: self.journal.prune(&self.machine.boot),
            }),
            Err(cause) => {
                let failure = self.fail(number, cause, run, store);
                Err(ApplyError::RolledBack(Box::new(failure)))
            }
        }
    }

    fn fail(&mut self, number: u32, cause: Cause, run: Run<'_>, store: &mut dyn Store) -> Failure {
        let restored = restore(store, run.begin, &run.attempted, &BTreeSet::new());
        let mut notes = Vec::new();
        if let Err(error) = self.close(number, &restored.differences) {
            notes.push(error.to_string());
        }
        notes.extend(self.journal.prune(&self.machine.boot));
        Failure {
            number,
            cause,
            origin: run
                .at
                .and_then(|at| run.begin.plan.steps.get(at))
                .map(|step| step.origin.clone()),
            steps: run.reports,
            restored,
            confinement: store.confinement(),
            notes,
        }
    }

    /// A plan made for another kernel says nothing of this one.
    fn fits(&self, plan: &Plan) -> Result<(), ApplyError> {
        let differs = |what, plan: &Option<String>, machine: Option<&String>| match (plan, machine)
        {
            (Some(plan), Some(machine)) if plan != machine => {
                Err(ApplyError::OtherKernel { what, plan: plan.clone(), machine: machine.clone() })
            }
            _ => Ok(()),
        };
        differs("kernel", &plan.kernel.release, self.machine.release.as_ref())?;
        differs("boot", &plan.kernel.boot, Some(&self.machine.boot))
    }

    /// Those that were rolled back here, where only the record of that could not be written.
    fn close_open_ones(&mut self) -> Result<(), JournalError> {
        let open: Vec<u32> = self
            .journal
            .history()
            .filter(|summary| matches!(summary.state, State::Begun | State::Undoing))
            .map(|summary| summary.number)
            .collect();
        open.into_iter().try_for_each(|number| self.close(number, &[]))
    }
}

/// One run through a plan's steps.
struct Run<'a> {
    begin: &'a Begin,
    index: Index,
    /// Targets that may not read as in the snapshot when it is their turn: some step was taken there,
    /// or moves them along.
    changing: HashSet<&'a Target>,
    reports: Vec<StepReport>,
    /// The steps that were written, whatever came of it, in that order.
    attempted: Vec<usize>,
    /// The step that is being taken.
    at: Option<usize>,
}

impl<'a> Run<'a> {
    fn new(begin: &'a Begin) -> Self {
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
    fn take_all(&mut self, store: &mut dyn Store) -> Result<Committed, Cause> {
        let begin: &'a Begin = self.begin;
        let steps = begin.plan.steps.iter().enumerate();
        for (at, step) in steps.clone().filter(|(_, step)| reversible(step)) {
            self.take(store, at, step)?;
        }
        let mut after = read_all(store, &self.begin.held);
        if self.repair(store, &after)? {
            after = read_all(store, &self.begin.held);
        }
        self.check_all(store, &after)?;
        for (at, step) in steps.filter(|(_, step)| step.class == Class::OneWay) {
            self.take(store, at, step)?;
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

    /// Takes one step, if it is not in force already.
    fn take(&mut self, store: &mut dyn Store, at: usize, step: &'a Step) -> Result<(), Cause> {
        self.at = Some(at);
        if self.holds_already(store, step) {
            self.report(at, |report| report.outcome = Outcome::Unchanged);
            return Ok(());
        }
        self.write(store, at, step)
    }

    fn holds_already(&self, store: &mut dyn Store, step: &Step) -> bool {
        if step.class == Class::Action {
            return false;
        }
        if step.appears || self.changing.contains(&step.target) {
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

    /// Writes one step and reads it back.
    fn write(&mut self, store: &mut dyn Store, at: usize, step: &'a Step) -> Result<(), Cause> {
        let start = Instant::now();
        self.at = Some(at);
        self.attempted.push(at);
        self.changing.insert(&step.target);
        let before = match self.before(step) {
            Some(Reading::Value(before)) => Some(before.as_str()),
            Some(Reading::Absent | Reading::WriteOnly) | None => None,
        };
        self.report(at, |report| {
            report.written = Some(step.new.clone());
            report.outcome = Outcome::Failed;
        });
        let setting = || step.setting.clone();
        let changed = match step.compare {
            Compare::WriteOnly => {
                Changed { written: store.write(&step.target, &step.new), read: None }
            }
            _ => store.change(&step.target, &step.new),
        };
        changed.written.map_err(|error| Cause::Write { setting: setting(), error })?;
        let read = changed
            .read
            .transpose()
            .map_err(|error| Cause::ReadBack { setting: setting(), error })?;
        let verdict = match &read {
            Some(read) => step.compare.judge(&step.new, read, before),
            None => Verdict::Holds,
        };
        self.report(at, |report| {
            report.read.clone_from(&read);
            report.nanoseconds = report.nanoseconds.saturating_add(nanoseconds(start));
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
                self.write(store, at, step)?;
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

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
