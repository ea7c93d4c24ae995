//! The states of a transaction on disk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a transaction stands, by the records in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Settings may have been written, any number of them.
    Begun,
    /// All were, and were read back.
    Committed,
    /// Somebody has said that it is to stay.
    Confirmed,
    /// Old values are being written again, because somebody asked for it.
    Undoing,
    /// The old values are back, as far as the record says.
    RolledBack,
    /// It was not finished when its kernel ended, and its settings ended with that kernel.
    PutAway,
}

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// How to go back.
    Begin,
    /// All was written.
    Committed,
    /// The way back was taken after that.
    Undoing,
    /// All is back.
    RolledBack,
    /// Its kernel is gone.
    PutAway,
    /// It is to stay.
    Confirmed,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Begun,
        Self::Committed,
        Self::Confirmed,
        Self::Undoing,
        Self::RolledBack,
        Self::PutAway,
    ];

    /// The state that a record leads to; none where it may not stand there.
    pub fn after(self, record: Kind) -> Option<Self> {
        match (self, record) {
            (Self::Begun, Kind::Committed) => Some(Self::Committed),
            (Self::Begun | Self::Undoing, Kind::RolledBack) => Some(Self::RolledBack),
            (Self::Begun | Self::Undoing, Kind::PutAway) => Some(Self::PutAway),
            (Self::Committed, Kind::Confirmed) => Some(Self::Confirmed),
            (Self::Committed | Self::Confirmed, Kind::Undoing) => Some(Self::Undoing),
            _ => None,
        }
    }

    /// Whether nothing has to be done for it at the next start.
    pub fn is_finished(self) -> bool {
        match self {
            Self::Begun | Self::Undoing => false,
            Self::Committed | Self::Confirmed | Self::RolledBack | Self::PutAway => true,
        }
    }

    /// Whether its settings are in force, as long as its kernel runs.
    pub fn is_in_force(self) -> bool {
        matches!(self, Self::Committed | Self::Confirmed)
    }
}

impl Kind {
    /// All kinds, in the order of their numbers in a file.
    pub const ALL: [Self; 6] = [
        Self::Begin,
        Self::Committed,
        Self::Undoing,
        Self::RolledBack,
        Self::PutAway,
        Self::Confirmed,
    ];

    /// The number that stands for it in a file.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Begin => 1,
            Self::Committed => 2,
            Self::Undoing => 3,
            Self::RolledBack => 4,
            Self::PutAway => 5,
            Self::Confirmed => 6,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for State {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Begun => "begun",
            Self::Committed => "committed",
            Self::Confirmed => "confirmed",
            Self::Undoing => "being undone",
            Self::RolledBack => "rolled back",
            Self::PutAway => "put away",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Begin => "begun",
            Self::Committed => "committed",
            Self::Confirmed => "confirmed",
            Self::Undoing => "undone",
            Self::RolledBack => "rolled back",
            Self::PutAway => "put away",
        })
    }
}
