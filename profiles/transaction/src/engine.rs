//! Applies plans, each as one transaction.

mod apply;
mod committed;
mod fold;
mod recover;
mod report;
mod restore;
mod run;
mod snapshot;

use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

pub use apply::ApplyError;
pub use committed::Drifted;
pub use recover::Unrecovered;
pub use report::{
    Cause, Difference, Drift, Failure, Outcome, Problem, Recovered, Recovery, Report, Restored,
    StepReport, Undone, Verification,
};

use crate::journal::{
    Begin, Confirmed, Journal, JournalError, Kept, Record, RolledBack, State, Storage, Summary,
};
use crate::plan::Reach;
use crate::sys::Machine;

/// Why something could not be done with a transaction of the past.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was in another boot.
    #[error(
        "transaction {0} was made before this machine's last boot, and its settings ended with that: apply its profile again"
    )]
    OtherBoot(u32),
    /// It is not in force.
    #[error("transaction {number} is {state}, not in force")]
    NotInForce {
        /// Which one.
        number: u32,
        /// What it is.
        state: State,
    },
    /// A newer one stands on it.
    #[error(
        "transaction {number} cannot be undone before {newer}, which was made on top of it: undo that first"
    )]
    NotNewest {
        /// Which one.
        number: u32,
        /// The newest that is in force.
        newer: u32,
    },
    /// The store cannot be used.
    #[error("the settings cannot be reached: {0}")]
    Store(#[from] crate::store::StoreError),
}

/// Applies plans to one kernel, one at a time. There is one only once everything that was left
/// unfinished has been [recovered](Unrecovered::recover).
#[derive(Debug)]
pub struct Engine<D> {
    journal: Journal<D>,
    machine: Machine,
}

impl<D: Storage> Engine<D> {
    /// What was applied here, oldest first.
    pub fn history(&self) -> Vec<Summary> {
        self.journal.history().cloned().collect()
    }

    /// The newest transaction that is in force in this boot.
    pub fn in_force(&self) -> Option<&Summary> {
        self.journal
            .history()
            .rev()
            .find(|summary| summary.state.is_in_force() && summary.boot == self.machine.boot)
    }

    /// How to go back from everything that is in force in this boot, oldest first.
    ///
    /// # Errors
    ///
    /// Where the journal can no longer be read.
    pub fn all_in_force(&mut self) -> Result<Vec<Begin>, JournalError> {
        let in_force =
            |summary: &&Summary| summary.state.is_in_force() && summary.boot == self.machine.boot;
        let numbers: Vec<u32> =
            self.journal.history().filter(in_force).map(|summary| summary.number).collect();
        numbers.into_iter().map(|number| Ok(self.journal.load(number)?.begin)).collect()
    }

    /// The newest transaction in force that somebody has yet to confirm, and that is undone otherwise.
    pub fn unconfirmed(&self) -> Option<&Summary> {
        let newest = self.in_force()?;
        (newest.state == State::Committed && newest.guard.is_some()).then_some(newest)
    }

    /// The plan of a transaction.
    ///
    /// # Errors
    ///
    /// If it is not kept, or can no longer be read.
    pub fn plan(&mut self, number: u32) -> Result<crate::plan::Plan, JournalError> {
        Ok(self.journal.load(number)?.begin.plan)
    }

    /// Which boot this is.
    pub fn boot(&self) -> &str {
        &self.machine.boot
    }

    /// Writes down that a transaction is to stay. Doing so twice is as good as once.
    ///
    /// # Errors
    ///
    /// If it is not in force, or the journal fails.
    pub fn confirm(&mut self, number: u32) -> Result<(), EngineError> {
        let summary = self.journal.summary(number)?;
        let state = summary.state;
        if summary.boot != self.machine.boot {
            return Err(EngineError::OtherBoot(number));
        }
        match state {
            State::Confirmed => Ok(()),
            State::Committed => {
                let record = Record::Confirmed(Confirmed { when: now() });
                Ok(self.journal.append(number, &record)?)
            }
            State::Begun | State::Undoing | State::RolledBack | State::PutAway => {
                Err(EngineError::NotInForce { number, state })
            }
        }
    }

    /// What undoing or verifying a transaction reads and writes.
    ///
    /// # Errors
    ///
    /// If it is not kept.
    pub fn reach(&mut self, number: u32) -> Result<Vec<Reach>, JournalError> {
        Ok(self.journal.load(number)?.begin.plan.reach())
    }

    /// Writes down that the way back was taken, also for those where that failed before.
    fn close(&mut self, number: u32, differences: &[Difference]) -> Result<(), JournalError> {
        let differences = differences
            .iter()
            .map(|difference| Kept {
                setting: difference.setting.clone(),
                before: difference.before.clone(),
                is: difference.is.clone(),
            })
            .collect();
        self.journal.append(number, &Record::RolledBack(RolledBack { differences }))
    }

    /// The journal's storage, for whoever wants to look at it.
    pub fn into_storage(self) -> D {
        self.journal.into_storage()
    }
}

/// The time of day, in seconds since 1970; 0 where the clock is not set.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
