//! The records of a journal, to and from bytes.
//!
//! A record is a header of 16 bytes (`PTJ` and the version; the kind and three zeros; the length of what
//! follows and its CRC-32, little-endian), then JSON. What a file says is taken for hostile: sizes are
//! bounded before anything is allocated, and a plan from a journal is checked like any other.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::checksum::crc32;
use super::state::{Kind, State};
use crate::compare::Compare;
use crate::plan::{MAX_STEPS, MAX_VALUE, Plan, PlanError, Target, check_target};

const MAGIC: [u8; 4] = *b"PTJ\x01";
const HEADER: usize = 16;

/// The largest record, in bytes of JSON.
pub const MAX_RECORD: usize = 16 * 1024 * 1024;
/// The largest file that is read, in bytes: the beginning and three more.
pub const MAX_FILE: usize = 3 * MAX_RECORD;
/// The most settings of a snapshot: those written, and those that may move along.
const MAX_HELD: usize = 4 * MAX_STEPS;

/// What was read of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// This.
    Value(String),
    /// It was not there.
    Absent,
    /// Nothing: it can only be written.
    WriteOnly,
}

/// A setting as it was before a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Its name in the catalogue.
    pub setting: String,
    /// Where it is.
    pub target: Target,
    /// How its reading is understood.
    pub compare: Compare,
    /// What was read.
    pub before: Reading,
}

/// The first record: how to go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The boot in which it began.
    pub boot: String,
    /// When, in seconds since 1970.
    pub when: u64,
    /// What is to be written.
    pub plan: Plan,
    /// Everything that this may change, as it was.
    pub held: Vec<Held>,
}

/// The record of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// The steps that were written, by their number in the plan; the others held already.
    pub written: Vec<u32>,
    /// What everything that is held read at the end, in the same order.
    pub after: Vec<Reading>,
}

impl Committed {
    /// Whether this step was written.
    pub fn has_written(&self, step: usize) -> bool {
        u32::try_from(step).is_ok_and(|step| self.written.contains(&step))
    }
}

/// The record that a committed transaction is being undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undoing {
    /// Settings that somebody else has changed since and that are left as they are, by their number
    /// among those held.
    pub keep: Vec<u32>,
}

/// The record that the way back was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledBack {
    /// What is not as it was.
    pub differences: Vec<Kept>,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Which setting.
    pub setting: String,
    /// What it was.
    pub before: Reading,
    /// What it is, or why that cannot be told.
    pub is: Result<Reading, String>,
}

/// The record that a transaction is to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// When, in seconds since 1970.
    pub when: u64,
}

/// The record that a kernel ended before the transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutAway {
    /// The boot in which this was found.
    pub found_in: String,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// How to go back.
    Begin(Begin),
    /// All was written.
    Committed(Committed),
    /// The way back was taken after that.
    Undoing(Undoing),
    /// All is back.
    RolledBack(RolledBack),
    /// Its kernel is gone.
    PutAway(PutAway),
    /// It is to stay.
    Confirmed(Confirmed),
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How to go back.
    pub begin: Begin,
    /// What was written, if all was.
    pub committed: Option<Committed>,
    /// What is left alone, if it was being undone.
    pub undoing: Option<Undoing>,
    /// What was not as before, if it was rolled back.
    pub rolled_back: Option<RolledBack>,
    /// Where it stands.
    pub state: State,
    /// Where the last whole record ends, in bytes.
    pub end: usize,
    /// Whether there is part of another behind it.
    pub torn: bool,
}

/// Why bytes are no journal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Too much.
    #[error("it has {0} bytes; at most {MAX_FILE} are read")]
    TooLarge(usize),
    /// The first record is not whole, which is not what a crash leaves.
    #[error("it does not begin with a whole record")]
    NoBeginning,
    /// A record that is whole, and is not what it should be.
    #[error("the record at byte {at} {why}")]
    Record {
        /// Where it begins.
        at: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The plan in it breaks a rule.
    #[error("its plan is refused: {0}")]
    Plan(#[from] PlanError),
}

impl Record {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Begin(_) => Kind::Begin,
            Self::Committed(_) => Kind::Committed,
            Self::Undoing(_) => Kind::Undoing,
            Self::RolledBack(_) => Kind::RolledBack,
            Self::PutAway(_) => Kind::PutAway,
            Self::Confirmed(_) => Kind::Confirmed,
        }
    }
}

impl Entry {
    /// What a file says that has a beginning only.
    pub fn of(begin: Begin, end: usize) -> Self {
        Self {
            begin,
            committed: None,
            undoing: None,
            rolled_back: None,
            state: State::Begun,
            end,
            torn: false,
        }
    }
}

/// A record as bytes.
///
/// # Errors
///
/// Its size, where it is more than [`MAX_RECORD`].
pub fn encode(record: &Record) -> Result<Vec<u8>, usize> {
    match record {
        Record::Begin(begin) => framed(Kind::Begin, begin),
        Record::Committed(committed) => framed(Kind::Committed, committed),
        Record::Undoing(undoing) => framed(Kind::Undoing, undoing),
        Record::RolledBack(rolled_back) => framed(Kind::RolledBack, rolled_back),
        Record::PutAway(put_away) => framed(Kind::PutAway, put_away),
        Record::Confirmed(confirmed) => framed(Kind::Confirmed, confirmed),
    }
}

/// The first record as bytes, without taking it.
///
/// # Errors
///
/// As for [`encode`].
pub fn encode_begin(begin: &Begin) -> Result<Vec<u8>, usize> {
    framed(Kind::Begin, begin)
}

fn framed(kind: Kind, body: &impl Serialize) -> Result<Vec<u8>, usize> {
    match serde_json::to_vec(body) {
        Ok(body) if body.len() <= MAX_RECORD => Ok(frame(kind, &body)),
        Ok(body) => Err(body.len()),
        // Only what does not fit into memory cannot be written.
        Err(_) => Err(usize::MAX),
    }
}

/// A record with this body, whatever it is: for fuzzers, which find no checksums.
#[doc(hidden)]
pub fn frame(kind: Kind, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(&header_of(kind.number(), length, body));
    bytes.extend_from_slice(body);
    bytes
}

fn header_of(kind: u8, length: u32, body: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (marks, numbers) = header.split_at_mut(8);
    let (magic, kinds) = marks.split_at_mut(4);
    magic.copy_from_slice(&MAGIC);
    kinds.copy_from_slice(&[kind, 0, 0, 0]);
    let (length_at, sum_at) = numbers.split_at_mut(4);
    length_at.copy_from_slice(&length.to_le_bytes());
    sum_at.copy_from_slice(&crc32(&[&[kind], &length.to_le_bytes(), body]).to_le_bytes());
    header
}

/// The kind and body of the record that these bytes begin with; none if it is not whole.
fn split(bytes: &[u8]) -> Option<(Kind, &[u8])> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let [_, _, _, _, kind, _, _, _, l0, l1, l2, l3, ..] = *header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    let body = bytes.get(HEADER..)?.get(..usize::try_from(length).ok()?)?;
    let is_whole = body.len() <= MAX_RECORD && *header == header_of(kind, length, body);
    Some((Kind::of(kind).filter(|_| is_whole)?, body))
}

/// What a file says. Whatever stands behind the last whole record is part of one that a crash tore,
/// and counts for nothing.
///
/// # Errors
///
/// What is wrong with it, if no crash can have done that.
pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
    if bytes.len() > MAX_FILE {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    let Some((Kind::Begin, body)) = split(bytes) else { return Err(DecodeError::NoBeginning) };
    let begin: Begin = parse(0, body)?;
    check(&begin)?;
    let mut entry = Entry::of(begin, HEADER + body.len());
    while let Some((kind, body)) = bytes.get(entry.end..).and_then(split) {
        let at = entry.end;
        let wrong = |why: &str| DecodeError::Record { at, why: why.to_owned() };
        entry.state = entry
            .state
            .after(kind)
            .ok_or_else(|| wrong("stands where no such record may stand"))?;
        match kind {
            Kind::Begin => return Err(wrong("is a second beginning")),
            Kind::Committed => {
                let committed: Committed = parse(at, body)?;
                if committed.after.len() != entry.begin.held.len()
                    || !all_below(&committed.written, entry.begin.plan.steps.len())
                {
                    return Err(wrong("does not fit its beginning"));
                }
                entry.committed = Some(committed);
            }
            Kind::Undoing => {
                let undoing: Undoing = parse(at, body)?;
                if !all_below(&undoing.keep, entry.begin.held.len()) {
                    return Err(wrong("does not fit its beginning"));
                }
                entry.undoing = Some(undoing);
            }
            Kind::RolledBack => entry.rolled_back = Some(parse(at, body)?),
            Kind::PutAway => drop(parse::<PutAway>(at, body)?),
            Kind::Confirmed => {
                let _: Confirmed = parse(at, body)?;
            }
        }
        entry.end = at + HEADER + body.len();
    }
    entry.torn = entry.end < bytes.len();
    Ok(entry)
}

fn parse<'a, T: Deserialize<'a>>(at: usize, body: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body)
        .map_err(|error| DecodeError::Record { at, why: format!("cannot be understood: {error}") })
}

fn all_below(numbers: &[u32], limit: usize) -> bool {
    numbers.iter().all(|number| usize::try_from(*number).is_ok_and(|number| number < limit))
}

/// A journal says what is written at the next start: it may say no more than a plan.
fn check(begin: &Begin) -> Result<(), DecodeError> {
    begin.plan.check()?;
    let wrong = |why: String| DecodeError::Record { at: 0, why };
    if begin.held.len() > MAX_HELD {
        return Err(wrong(format!(
            "holds {} settings; at most {MAX_HELD} are read",
            begin.held.len()
        )));
    }
    let reach: std::collections::HashSet<Target> = begin
        .plan
        .reach()
        .into_iter()
        .filter(|reach| reach.write)
        .map(|reach| reach.target)
        .collect();
    for held in &begin.held {
        check_target(&held.setting, &held.target)?;
        if !reach.contains(&held.target) {
            return Err(wrong(format!("holds {}, which its plan does not write", held.target)));
        }
        if matches!(&held.before, Reading::Value(value) if value.len() > MAX_VALUE) {
            return Err(wrong(format!("holds a value of {} that is too long", held.setting)));
        }
    }
    Ok(())
}
