//! Recorded signals.
//!
//! A trace is a table of text: the first line names `time` and signals, each other line is a moment, with
//! commas between. Times are durations since any beginning and do not go back; signals are written as in
//! scripts (`25%`, `true`, `22:30`); an empty cell is what the line before had.
//!
//! ```text
//! time, psi.io.full.avg10, workload.db.active
//! 0s,   2%,                true
//! 10s,  25%,
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnostic::FileId;
use crate::expression::{Expression, Found, Scope, Type, Value, evaluate};
use crate::facts::{self, About};
use crate::syntax::literal::Dimension;
use crate::syntax::parse_expression;

/// The largest trace, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// Recorded signals, in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Each moment.
    pub moments: Vec<Moment>,
}

/// What was seen at one time.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// Since the beginning.
    pub at: Duration,
    signals: BTreeMap<String, Value>,
}

/// Why a trace cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// beyond the bound
    #[error("the trace is too large: at most 64 MiB are read")]
    TooLarge,
    /// no header
    #[error("the first line has to name `time` and signals: time, psi.io.full.avg10")]
    Header,
    /// a name that is no signal
    #[error("line 1: `{0}` is no signal")]
    NotASignal(String),
    /// a cell that is no value
    #[error("line {line}: `{text}` is no value of `{signal}`, which is {wanted}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The signal.
        signal: String,
        /// What stands there.
        text: String,
        /// What is wanted.
        wanted: Type,
    },
    /// more or fewer cells than names
    #[error("line {line}: expected {wanted} cells, and there are {found}")]
    Cells {
        /// The line, from 1.
        line: usize,
        /// As many as the first line has.
        wanted: usize,
        /// As many as there are.
        found: usize,
    },
    /// time that goes back
    #[error("line {0}: time goes back")]
    Backwards(usize),
}

impl Scope for Moment {
    fn find(&self, path: &[String]) -> Found {
        match self.signals.get(&path.join(".")) {
            Some(value) => Found::Value(value.clone()),
            None if facts::named(path).is_some() => Found::NotKnownHere,
            None => Found::Nothing,
        }
    }
}

struct NoNames;

impl Scope for NoNames {
    fn find(&self, _: &[String]) -> Found {
        Found::Nothing
    }
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// [`TraceError`], with the line.
    pub fn read(text: &str) -> Result<Self, TraceError> {
        if text.len() > MOST_BYTES {
            return Err(TraceError::TooLarge);
        }
        let mut lines = (1_usize..).zip(text.lines());
        let header = lines.next().map(|(_, line)| line).ok_or(TraceError::Header)?;
        let mut names = header.split(',').map(str::trim);
        if names.next() != Some("time") {
            return Err(TraceError::Header);
        }
        let signals = names.map(signal).collect::<Result<Vec<_>, _>>()?;
        let mut moments: Vec<Moment> = Vec::new();
        for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
            let cells: Vec<&str> = text.split(',').map(str::trim).collect();
            let wanted = signals.len() + 1;
            let [time, cells @ ..] = cells.as_slice() else { continue };
            if cells.len() + 1 != wanted {
                return Err(TraceError::Cells { line, wanted, found: cells.len() + 1 });
            }
            let of = Type::Quantity(Dimension::Time);
            let at = match value(line, "time", time, &of)? {
                Value::Quantity(at, _) => {
                    u64::try_from(at).map_err(|_| TraceError::Backwards(line))?
                }
                _ => 0,
            };
            let at = Duration::from_nanos(at);
            let mut moment = moments.last().cloned().unwrap_or_default();
            if at < moment.at {
                return Err(TraceError::Backwards(line));
            }
            moment.at = at;
            for ((name, of), cell) in signals.iter().zip(cells).filter(|(_, cell)| !cell.is_empty())
            {
                moment.signals.insert(name.clone(), value(line, name, cell, of)?);
            }
            moments.push(moment);
        }
        Ok(Self { moments })
    }
}

fn signal(name: &str) -> Result<(String, Type), TraceError> {
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    match facts::named(&path) {
        Some(fact) if fact.about == About::Signal => Ok((name.to_owned(), fact.of.clone())),
        _ => Err(TraceError::NotASignal(name.to_owned())),
    }
}

fn value(line: usize, signal: &str, text: &str, of: &Type) -> Result<Value, TraceError> {
    let wrong = || TraceError::Value {
        line,
        signal: signal.to_owned(),
        text: text.chars().take(40).collect(),
        wanted: of.clone(),
    };
    let parse = parse_expression(FileId::default(), text);
    let tree = parse.tree().expression().filter(|_| parse.is_ok()).ok_or_else(wrong)?;
    let expression = Expression::of(FileId::default(), &tree, &mut Vec::new()).ok_or_else(wrong)?;
    let value = evaluate(&expression, &NoNames).map_err(|_| wrong())?;
    let fits =
        value.type_of().fits(of) || (*of == Type::Decimal && value.type_of() == Type::Number);
    if fits { Ok(value) } else { Err(wrong()) }
}
