//! Values that only the machine knows, within TuneD's texts.
//!
//! TuneD puts variables and the results of functions into texts before it looks at them. So that the
//! same rules work with what is not known, such a value is one character for private use, which no
//! source can have, and the table says what it stands for.

use std::fmt;

use crate::expression::Cpus;

/// The first of the characters.
const FIRST: u32 = 0xf_0000;
/// More are not kept; what comes then is not known, and no more is said about it.
const MOST: usize = 4096;

/// CPUs as an expression over facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuExpression {
    text: String,
    /// Whether it can stand beside an operator without parentheses.
    alone: bool,
}

/// What a character stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// A set of CPUs.
    Cpus(CpuExpression),
    /// A number, as an expression.
    Number(String),
    /// Something that scripts cannot say, and why.
    Unknown(String),
}

/// What the characters stand for.
#[derive(Clone, Debug, Default)]
pub struct Symbols(Vec<Symbol>);

impl CpuExpression {
    /// A name, or a call.
    pub fn name(text: &str) -> Self {
        Self { text: text.to_owned(), alone: true }
    }

    /// CPUs by number; none where there are none, which cannot be written.
    pub fn literal(cpus: &Cpus) -> Option<Self> {
        let text = cpus.to_string();
        let alone = !text.contains(',');
        (!cpus.is_empty()).then_some(Self { text, alone })
    }

    /// `left OPERATOR right`.
    pub fn combined(&self, operator: char, right: &Self) -> Self {
        let (left, right) = (self.beside(), right.beside());
        Self { text: format!("{left} {operator} {right}"), alone: false }
    }

    fn beside(&self) -> String {
        if self.alone { self.text.clone() } else { format!("({})", self.text) }
    }
}

impl fmt::Display for CpuExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Symbols {
    /// The character for a value.
    pub fn put(&mut self, symbol: Symbol) -> char {
        let known = self.0.iter().position(|known| *known == symbol);
        let index = known.unwrap_or_else(|| {
            if self.0.len() + 1 < MOST {
                self.0.push(symbol);
            } else if self.0.len() < MOST {
                let why = "there are too many values that only the machine knows";
                self.0.push(Symbol::Unknown(why.to_owned()));
            }
            self.0.len() - 1
        });
        u32::try_from(index)
            .ok()
            .and_then(|index| char::from_u32(FIRST + index))
            .unwrap_or('\u{f0000}')
    }

    /// What a character stands for.
    pub fn get(&self, char: char) -> Option<&Symbol> {
        let index = u32::from(char).checked_sub(FIRST)?;
        self.0.get(usize::try_from(index).ok()?)
    }

    /// What a text stands for that is one such character, and blanks.
    pub fn alone(&self, text: &str) -> Option<&Symbol> {
        let mut chars = text.trim().chars();
        let first = chars.next()?;
        self.get(first).filter(|_| chars.next().is_none())
    }

    /// Whether a text has any.
    pub fn stand_in(&self, text: &str) -> bool {
        text.chars().any(|char| self.get(char).is_some())
    }

    /// Why the first value in a text cannot be said, if one cannot.
    pub fn unknown<'a>(&'a self, text: &str) -> Option<&'a str> {
        text.chars().find_map(|char| match self.get(char)? {
            Symbol::Unknown(why) => Some(why.as_str()),
            _ => None,
        })
    }

    /// A text for people.
    pub fn told(&self, text: &str) -> String {
        let mut out = String::new();
        for char in text.chars() {
            match self.get(char) {
                Some(Symbol::Cpus(cpus)) => out.push_str(&cpus.text),
                Some(Symbol::Number(number)) => out.push_str(number),
                Some(Symbol::Unknown(_)) => out.push('?'),
                None => out.push(char),
            }
        }
        out
    }
}
