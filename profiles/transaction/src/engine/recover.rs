//! The start: what was left unfinished is finished before anything new is begun.

use std::collections::BTreeSet;

use super::report::{Recovered, Recovery};
use super::restore::restore;
use super::{Engine, EngineError};
use crate::journal::{Damaged, Journal, JournalError, PutAway, Record, Storage};
use crate::plan::Reach;
use crate::store::Store;
use crate::sys::Machine;

/// A journal that may hold unfinished transactions.
#[derive(Debug)]
pub struct Unrecovered<D> {
    journal: Journal<D>,
    machine: Machine,
    damaged: Vec<Damaged>,
}

impl<D: Storage> Unrecovered<D> {
    /// Reads the journal.
    ///
    /// # Errors
    ///
    /// Where the file system fails.
    pub fn open(storage: D, machine: Machine) -> Result<Self, JournalError> {
        let (journal, damaged) = Journal::open(storage)?;
        Ok(Self { journal, machine, damaged })
    }

    /// What recovering reads and writes; nothing if nothing is unfinished.
    ///
    /// # Errors
    ///
    /// Where the journal can no longer be read.
    pub fn reach(&mut self) -> Result<Vec<Reach>, JournalError> {
        let mut reach = Vec::new();
        for (number, boot) in unfinished(&self.journal) {
            if boot == self.machine.boot {
                reach.extend(self.journal.load(number)?.begin.plan.reach());
            }
        }
        Ok(reach)
    }

    /// Finishes what is unfinished: rolls it back, or puts it away where its kernel is gone, since
    /// another kernel has begun with its own defaults. What is committed stays.
    ///
    /// # Errors
    ///
    /// Where journal or store fail. It can be tried again.
    pub fn recover(self, store: &mut dyn Store) -> Result<(Engine<D>, Recovery), EngineError> {
        let mut recovery = Recovery { damaged: self.damaged, ..Recovery::default() };
        let unfinished = unfinished(&self.journal);
        let mut engine = Engine { journal: self.journal, machine: self.machine };
        for (number, boot) in unfinished {
            let entry = engine.journal.load(number)?;
            let profile = entry.begin.plan.profile.clone();
            if boot != engine.machine.boot {
                let found_in = engine.machine.boot.clone();
                engine.journal.append(number, &Record::PutAway(PutAway { found_in }))?;
                recovery.unfinished.push(Recovered { number, profile, restored: None });
                continue;
            }
            store.prepare(&entry.begin.plan.reach())?;
            let keep: BTreeSet<usize> = entry
                .undoing
                .iter()
                .flat_map(|undoing| &undoing.keep)
                .filter_map(|at| usize::try_from(*at).ok())
                .collect();
            // Which steps were reached is not on disk: whatever differs is set back.
            let restored = restore(store, &entry.begin, &[], &keep);
            engine.close(number, &restored.differences)?;
            recovery.unfinished.push(Recovered { number, profile, restored: Some(restored) });
        }
        recovery.notes = engine.journal.prune(&engine.machine.boot);
        recovery.in_force = engine.in_force().map(|summary| summary.number);
        Ok((engine, recovery))
    }
}

/// Unfinished transactions, newest first, and the boots they belong to.
fn unfinished<D: Storage>(journal: &Journal<D>) -> Vec<(u32, String)> {
    journal
        .history()
        .rev()
        .filter(|summary| !summary.state.is_finished())
        .map(|summary| (summary.number, summary.boot.clone()))
        .collect()
}
