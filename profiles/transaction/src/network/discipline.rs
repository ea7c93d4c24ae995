//! A queueing discipline as text: what a profile asks for, and what a device reads.
//!
//! A kind, and behind it pairs of a name and a value, in the kernel's own terms: `fq limit 20000`,
//! `fq_codel target 5ms ecn on`, `cake bandwidth 100mbit`. What a device reads has everything that it
//! has, also its handle, which is `0:` for the one that the kernel put there by itself: `fq_codel handle
//! 0: target 4999us …`. Writing such a text again brings exactly that back; one without a handle sets
//! what it names and leaves the rest as it is, or as the kind begins.

mod amount;
mod kinds;
mod options;

use std::fmt;

use thiserror::Error;

pub(super) use amount::Amount;
pub use kinds::KINDS;
pub(super) use kinds::Parameter;
use kinds::parameters;
pub(super) use options::{OPTIONS, Undecoded, decoded, encoded};

/// The longest name of a kind: `IFNAMSIZ` less its NUL.
const MAX_KIND: usize = 15;
/// The most pairs that a text may have; no kind has as many.
const MAX_PAIRS: usize = 64;

/// A queueing discipline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discipline {
    pub(super) kind: String,
    /// The upper half of its handle; 0 for the kernel's own, none where any will do.
    pub(super) handle: Option<u16>,
    /// What the kernel put below the queues of `mq`: one kind, or several with commas between them.
    pub(super) below: Option<String>,
    /// In the order of the kind's table, each once.
    pub(super) parameters: Vec<(&'static Parameter, Amount)>,
}

/// Why a text is no queueing discipline.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DisciplineError {
    /// nothing
    #[error("a queueing discipline is needed: {}", KINDS.join(", "))]
    Empty,
    /// another kind
    #[error("the queueing discipline `{kind}` cannot be set here; {} can", KINDS.join(", "))]
    Kind {
        /// What stands there.
        kind: String,
    },
    /// another name
    #[error("`{kind}` has nothing called `{name}`{}", but(.known))]
    Name {
        /// The kind.
        kind: String,
        /// What stands there.
        name: String,
        /// What it has.
        known: Vec<&'static str>,
    },
    /// a name without a value
    #[error("a value is missing behind `{0}`")]
    NoValue(String),
    /// twice
    #[error("`{0}` stands there twice")]
    Twice(String),
    /// no such value
    #[error("`{value}` is no value of `{name}`, which is {wanted}")]
    Value {
        /// Of what.
        name: String,
        /// What stands there.
        value: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// too long
    #[error("a queueing discipline has at most {MAX_PAIRS} parts")]
    TooLong,
}

impl Discipline {
    /// Reads a text.
    ///
    /// # Errors
    /// [`DisciplineError`]
    pub fn parse(text: &str) -> Result<Self, DisciplineError> {
        let mut words = text.split_ascii_whitespace();
        let kind = words.next().ok_or(DisciplineError::Empty)?;
        let words: Vec<&str> = words.take(2 * MAX_PAIRS + 1).collect();
        if words.len() > 2 * MAX_PAIRS {
            return Err(DisciplineError::TooLong);
        }
        // What the kernel put there by itself is brought back by taking away what is there instead.
        let is_own = words.chunks(2).any(|pair| pair == ["handle", "0:"]);
        if !(KINDS.contains(&kind) || is_own && is_kind(kind)) {
            return Err(DisciplineError::Kind { kind: kind.chars().take(MAX_KIND + 1).collect() });
        }
        let mut found =
            Self { kind: kind.to_owned(), handle: None, below: None, parameters: Vec::new() };
        let mut names: Vec<&str> = Vec::new();
        for pair in words.chunks(2) {
            let (name, value) = match *pair {
                [name, value] => (name, value),
                [name] => return Err(DisciplineError::NoValue(name.to_owned())),
                _ => continue,
            };
            if names.contains(&name) {
                return Err(DisciplineError::Twice(name.to_owned()));
            }
            names.push(name);
            found.take(name, value)?;
        }
        let table = parameters(&found.kind);
        let at = |own: &Parameter| table.iter().position(|other| other.name == own.name);
        found.parameters.sort_by_key(|(own, _)| at(own));
        Ok(found)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), DisciplineError> {
        let wrong = |wanted| DisciplineError::Value {
            name: name.to_owned(),
            value: value.chars().take(40).collect(),
            wanted,
        };
        match name {
            "handle" => {
                const WANTED: &str = "a hexadecimal number and a colon";
                let digits = value.strip_suffix(':').ok_or_else(|| wrong(WANTED))?;
                let number = u16::from_str_radix(digits, 16).map_err(|_| wrong(WANTED))?;
                self.handle = Some(number);
            }
            "below" if self.kind == "mq" => {
                if value.split(',').count() > MAX_PAIRS || !value.split(',').all(is_kind) {
                    return Err(wrong("a kind, or several with commas between them"));
                }
                self.below = Some(value.to_owned());
            }
            name => {
                let table = parameters(&self.kind);
                let parameter = table.iter().find(|own| own.name == name).ok_or_else(|| {
                    let known = table.iter().map(|own| own.name).collect();
                    DisciplineError::Name { kind: self.kind.clone(), name: name.to_owned(), known }
                })?;
                let amount = parameter.form.parsed(value);
                let amount = amount.ok_or_else(|| wrong(parameter.form.wanted()))?;
                self.parameters.push((parameter, amount));
            }
        }
        Ok(())
    }

    /// Its kind: `fq`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether it is the one that the kernel put there by itself.
    pub fn is_the_kernels_own(&self) -> bool {
        self.handle == Some(0)
    }
}

impl fmt::Display for Discipline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if let Some(handle) = self.handle {
            write!(f, " handle {handle:x}:")?;
        }
        if let Some(below) = &self.below {
            write!(f, " below {below}")?;
        }
        for (parameter, amount) in &self.parameters {
            write!(f, " {} {}", parameter.name, parameter.form.printed(amount))?;
        }
        Ok(())
    }
}

fn but(known: &[&str]) -> String {
    if known.is_empty() { String::new() } else { format!(", but {}", known.join(", ")) }
}

fn is_kind(text: &str) -> bool {
    (1..=MAX_KIND).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        Discipline::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    #[test]
    fn texts_have_one_form() {
        for (text, expected) in [
            ("fq", "fq"),
            ("fq flow_limit 200  limit 10000", "fq limit 10000 flow_limit 200"),
            (
                "fq_codel interval 100ms target 5ms ecn on",
                "fq_codel target 5000us interval 100000us ecn on",
            ),
            ("fq maxrate 1gbit", "fq maxrate 1000000000bit"),
            ("fq maxrate unlimited", "fq maxrate unlimited"),
            ("cake bandwidth 100mbit", "cake bandwidth 100000000bit"),
            ("fq maxrate 1Gbit/s pacing true", "fq pacing on maxrate 1000000000bit"),
            ("fq_codel memory_limit 4MiB", "fq_codel memory_limit 4194304"),
            ("bfifo limit 0x10 ", "error"),
            ("mq handle 8001: below fq", "mq handle 8001: below fq"),
            ("sfq handle 0:", "sfq handle 0:"),
            ("noop handle 0:", "noop handle 0:"),
        ] {
            match expected {
                "error" => assert!(Discipline::parse(text).is_err()),
                expected => assert_eq!(canonical(text), expected),
            }
        }
    }

    #[test]
    fn what_is_unknown_is_told_by_name() {
        let told = |text: &str| Discipline::parse(text).unwrap_err().to_string();
        assert!(told("").contains("is needed"));
        assert!(told("htb").contains("`htb` cannot be set here; fq, fq_codel"), "{}", told("htb"));
        assert!(told("sfq handle 1:").contains("`sfq`"));
        assert!(told("fq target 5ms").contains("`fq` has nothing called `target`, but limit"));
        assert!(told("pfifo_fast limit 5").ends_with("nothing called `limit`"));
        assert!(told("fq limit").contains("missing behind `limit`"));
        assert!(told("fq limit 1 limit 2").contains("twice"));
        assert!(told("fq limit many").contains("`many` is no value of `limit`"));
        assert!(told("fq limit 4294967296").contains("no value"));
        assert!(told("fq pacing maybe").contains("on or off"));
        assert!(told("cake bandwidth 7bit").contains("no value"));
        assert!(told("fq handle 8001").contains("colon"));
        assert!(told(&"fq a b".repeat(100)).contains("at most"));
    }

    proptest! {
        #[test]
        fn a_form_is_its_own_form(
            kind in proptest::sample::select(KINDS),
            picks in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u32..2_000_000), 0..6),
        ) {
            let table = parameters(kind);
            let mut text = kind.to_owned();
            for (at, number) in picks.iter().filter(|_| !table.is_empty()) {
                let parameter = at.get(table);
                let amount = parameter.form.printed(&Amount::Number(u64::from(*number) * 8));
                text += &format!(" {} {amount}", parameter.name);
            }
            if let Ok(discipline) = Discipline::parse(&text) {
                let once = discipline.to_string();
                prop_assert_eq!(canonical(&once), once);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = Discipline::parse(&text);
            let _ = Discipline::parse(&format!("fq_codel {text}"));
        }
    }
}
