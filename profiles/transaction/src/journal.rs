//! What was begun and how it ended, on disk.
//!
//! One file a transaction, `NNNNNNNN.journal`. It comes to be whole (a temporary file, fsync, rename,
//! fsync of the directory) with everything in it that is needed to go back, before the first setting is
//! written. What follows is appended and synced. So a transaction that succeeds costs three syncs.

mod checksum;
mod directory;
mod record;
mod state;
mod storage;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::plan::Guard;

pub use checksum::crc32;
pub use directory::{Directory, LockError};
#[doc(hidden)]
pub use record::frame;
pub use record::{
    Begin, Committed, Confirmed, DecodeError, Entry, Held, Kept, MAX_FILE, MAX_RECORD, PutAway,
    Reading, Record, RolledBack, Undoing, decode, encode, encode_begin,
};
pub use state::{Kind, State};
pub use storage::Storage;

/// How many transactions that have ended are kept.
pub const KEPT: usize = 32;

/// Larger numbers are not ours, and would leave none for the next.
const MAX_NUMBER: u32 = 999_999_999;

/// Why the journal could not do what it was asked.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file system failed.
    #[error("the journal's {name} could not be {verb}: {error}; see to its disk")]
    Io {
        /// Which file; the directory itself where empty.
        name: String,
        /// What was tried.
        verb: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// A file's contents are no journal.
    #[error("transaction {number} cannot be read: {error}")]
    Damaged {
        /// Which transaction.
        number: u32,
        /// What is wrong.
        error: DecodeError,
    },
    /// More than can be read again.
    #[error("the transaction is too large for the journal: {0} bytes, at most {MAX_RECORD} fit")]
    TooLarge(usize),
    /// No such transaction.
    #[error("there is no transaction {0} (any more): `history` lists those there are")]
    Unknown(u32),
    /// A step that this state does not allow.
    #[error("transaction {number} is {state}: it cannot become {next}")]
    Order {
        /// Which transaction.
        number: u32,
        /// What it is.
        state: State,
        /// What was asked for.
        next: Kind,
    },
}

/// What the history says of one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its number.
    pub number: u32,
    /// The profile that was applied.
    pub profile: String,
    /// The boot in which that was.
    pub boot: String,
    /// When, in seconds since 1970.
    pub when: u64,
    /// How many steps its plan has.
    pub steps: usize,
    /// What became of it.
    pub state: State,
    /// What may undo it until somebody confirms it.
    #[serde(default)]
    pub guard: Option<Guard>,
}

/// A file that is no journal, and was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// The name it has now.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// All transactions that are kept.
#[derive(Debug)]
pub struct Journal<D> {
    storage: D,
    known: BTreeMap<u32, Known>,
    next: u32,
}

#[derive(Debug)]
struct Known {
    summary: Summary,
    /// Where the file's valid part ends.
    end: u64,
}

impl<D: Storage> Journal<D> {
    /// Reads what there is. Files that are no journals are put aside, unfinished ones removed.
    ///
    /// # Errors
    ///
    /// Where the file system fails.
    pub fn open(mut storage: D) -> Result<(Self, Vec<Damaged>), JournalError> {
        let names = storage.list().map_err(io_error("", "listed"))?;
        let mut known = BTreeMap::new();
        let mut damaged = Vec::new();
        let mut next = 1;
        for name in names {
            if name.ends_with(".new") {
                storage.remove(&name).map_err(io_error(&name, "removed"))?;
                continue;
            }
            let Some((number, is_whole)) = number_of(&name) else { continue };
            next = next.max(number.saturating_add(1));
            if !is_whole {
                continue;
            }
            let decoded = match storage.read(&name, MAX_FILE) {
                Ok(bytes) => decode(&bytes).map_err(|error| error.to_string()),
                Err(error) if is_no_journal(&error) => Err(error.to_string()),
                Err(error) => return Err(io_error(&name, "read")(error)),
            };
            match decoded {
                Ok(entry) => {
                    let summary = summary(number, &entry.begin, entry.state);
                    known.insert(number, Known { end: entry.end as u64, summary });
                }
                Err(why) => {
                    let aside = format!("{number:08}.damaged");
                    storage.rename(&name, &aside).map_err(io_error(&name, "put aside"))?;
                    damaged.push(Damaged { name: aside, why });
                }
            }
        }
        if !damaged.is_empty() {
            storage.sync_directory().map_err(io_error("", "synced"))?;
        }
        Ok((Self { storage, known, next }, damaged))
    }

    /// All that are kept, oldest first.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Summary> {
        self.known.values().map(|known| &known.summary)
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// [`JournalError::Unknown`] if it is not kept.
    pub fn summary(&self, number: u32) -> Result<&Summary, JournalError> {
        self.known.get(&number).map(|known| &known.summary).ok_or(JournalError::Unknown(number))
    }

    /// Everything that is on disk of one.
    ///
    /// # Errors
    ///
    /// If it is not kept, or can no longer be read.
    pub fn load(&mut self, number: u32) -> Result<Entry, JournalError> {
        self.summary(number)?;
        let name = file_name(number);
        let bytes = self.storage.read(&name, MAX_FILE).map_err(io_error(&name, "read"))?;
        decode(&bytes).map_err(|error| JournalError::Damaged { number, error })
    }

    /// Writes down how to go back, on disk when this returns, and gives the transaction its number.
    ///
    /// # Errors
    ///
    /// Where that failed: nothing may be written then. What may be on disk of it is known as begun.
    pub fn begin(&mut self, begin: Begin) -> Result<(u32, Begin), JournalError> {
        let number = self.next;
        let bytes = encode_begin(&begin).map_err(JournalError::TooLarge)?;
        let (name, fresh) = (file_name(number), format!("{number:08}.new"));
        let written = self
            .storage
            .write(&fresh, &bytes)
            .map_err(io_error(&fresh, "written"))
            .and_then(|()| self.storage.sync(&fresh).map_err(io_error(&fresh, "synced")));
        if let Err(error) = written {
            // The next start removes it if this cannot.
            let _ = self.storage.remove(&fresh);
            return Err(error);
        }
        self.next = self.next.saturating_add(1);
        let renamed = self.storage.rename(&fresh, &name).map_err(io_error(&name, "named"));
        // From here on it may be there, whatever the calls say.
        let summary = summary(number, &begin, State::Begun);
        self.known.insert(number, Known { end: bytes.len() as u64, summary });
        let named =
            renamed.and_then(|()| self.storage.sync_directory().map_err(io_error("", "synced")));
        match named {
            Ok(()) => Ok((number, begin)),
            Err(error) => {
                let _ = self.storage.remove(&fresh);
                let gone = self.storage.remove(&name);
                if gone.is_ok() || gone.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
                {
                    self.known.remove(&number);
                }
                Err(error)
            }
        }
    }

    /// Adds what became of a transaction, on disk when this returns.
    ///
    /// # Errors
    ///
    /// Where the file system fails, or the [state](State) does not allow it. A record that may be
    /// there in part is written over by the next one.
    pub fn append(&mut self, number: u32, record: &Record) -> Result<(), JournalError> {
        let known = self.known.get_mut(&number).ok_or(JournalError::Unknown(number))?;
        let (state, kind) = (known.summary.state, record.kind());
        let next = state.after(kind).ok_or(JournalError::Order { number, state, next: kind })?;
        let bytes = encode(record).map_err(JournalError::TooLarge)?;
        let name = file_name(number);
        self.storage.append(&name, known.end, &bytes).map_err(io_error(&name, "written"))?;
        self.storage.sync(&name).map_err(io_error(&name, "synced"))?;
        known.end += bytes.len() as u64;
        known.summary.state = next;
        Ok(())
    }

    /// Writes a transaction that is in force anew, with the state that it has: on disk when this returns, and
    /// at no time neither the old nor the new.
    ///
    /// # Errors
    ///
    /// Where the file system fails; what is there then is one of both.
    pub fn replace(
        &mut self,
        number: u32,
        begin: Begin,
        committed: &Committed,
    ) -> Result<(), JournalError> {
        let state = self.summary(number)?.state;
        let mut records = vec![Record::Begin(begin), Record::Committed(committed.clone())];
        if state == State::Confirmed {
            records.push(Record::Confirmed(Confirmed { when: crate::engine::now() }));
        }
        let mut bytes = Vec::new();
        for record in &records {
            bytes.extend(encode(record).map_err(JournalError::TooLarge)?);
        }
        // What cannot be read again is not written.
        let entry = decode(&bytes).map_err(|error| JournalError::Damaged { number, error })?;
        let (name, fresh) = (file_name(number), format!("{number:08}.new"));
        let written = self
            .storage
            .write(&fresh, &bytes)
            .map_err(io_error(&fresh, "written"))
            .and_then(|()| self.storage.sync(&fresh).map_err(io_error(&fresh, "synced")))
            .and_then(|()| self.storage.rename(&fresh, &name).map_err(io_error(&name, "named")));
        if let Err(error) = written {
            // The next start removes it if this cannot.
            let _ = self.storage.remove(&fresh);
            return Err(error);
        }
        let summary = summary(number, &entry.begin, entry.state);
        self.known.insert(number, Known { end: entry.end as u64, summary });
        self.storage.sync_directory().map_err(io_error("", "synced"))
    }

    /// Removes a transaction that another one says all of.
    ///
    /// # Errors
    ///
    /// Where the file system fails.
    pub fn remove(&mut self, number: u32) -> Result<(), JournalError> {
        let name = file_name(number);
        self.storage.remove(&name).map_err(io_error(&name, "removed"))?;
        self.known.remove(&number);
        Ok(())
    }

    /// Removes the oldest that have ended, so that [`KEPT`] are left; says which could not be. What is in
    /// force in this boot has not ended.
    pub fn prune(&mut self, boot: &str) -> Vec<String> {
        let has_ended = |summary: &Summary| {
            let stands = summary.state.is_in_force() && summary.boot == boot;
            summary.state.is_finished() && !stands
        };
        let ended: Vec<u32> = self
            .known
            .iter()
            .filter(|(_, known)| has_ended(&known.summary))
            .map(|(number, _)| *number)
            .collect();
        let mut notes = Vec::new();
        for number in ended.iter().take(ended.len().saturating_sub(KEPT)) {
            match self.storage.remove(&file_name(*number)) {
                Ok(()) => drop(self.known.remove(number)),
                Err(error) => {
                    notes.push(format!("transaction {number} could not be removed: {error}"))
                }
            }
        }
        notes
    }

    /// The storage, for whoever wants to look at it.
    pub fn into_storage(self) -> D {
        self.storage
    }
}

/// Whether a file cannot be read because of what it is, and not because of its disk.
fn is_no_journal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::FileTooLarge | io::ErrorKind::IsADirectory)
}

fn file_name(number: u32) -> String {
    format!("{number:08}.journal")
}

/// The number in a file's name, and whether it is a journal or one that was put aside.
fn number_of(name: &str) -> Option<(u32, bool)> {
    let (number, kind) = name.split_once('.')?;
    let is_number = number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|number| is_number && *number <= MAX_NUMBER)?;
    match kind {
        "journal" => Some((number, true)),
        "damaged" => Some((number, false)),
        _ => None,
    }
}

fn summary(number: u32, begin: &Begin, state: State) -> Summary {
    Summary {
        number,
        profile: begin.plan.profile.clone(),
        boot: begin.boot.clone(),
        when: begin.when,
        steps: begin.plan.steps.len(),
        state,
        guard: begin.plan.guard.clone(),
    }
}

fn io_error(name: &str, verb: &'static str) -> impl FnOnce(io::Error) -> JournalError {
    let name = if name.is_empty() { "directory".to_owned() } else { format!("file {name}") };
    move |error| JournalError::Io { name, verb, error }
}
