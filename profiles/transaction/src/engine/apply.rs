//! Applying a plan: from the snapshot to the record of success, or back.

use std::collections::BTreeSet;
use std::time::Instant;

use thiserror::Error;

use super::report::{Cause, Difference, Failure, Problem, Report};
use super::restore::restore;
use super::run::Run;
use super::snapshot;
use super::{Engine, now};
use crate::journal::{Begin, JournalError, Record, State, Storage};
use crate::plan::{Plan, PlanError};
use crate::store::{Store, StoreError};

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
            Ok(()) => {
                let mut notes = self.journal.prune(&self.machine.boot);
                notes.extend(self.fold());
                Ok(Report {
                    number,
                    profile: plan.profile.clone(),
                    steps: run.reports,
                    nanoseconds: nanoseconds(start),
                    confinement: store.confinement(),
                    notes,
                })
            }
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

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
