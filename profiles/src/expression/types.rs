//! Types: units are part of them.

use std::fmt;

use crate::syntax::literal::Dimension;

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Flag,
    /// A whole number.
    Number,
    /// A decimal number or a version.
    Decimal,
    /// A number of units.
    Quantity(Dimension),
    /// A kernel's version.
    Version,
    /// A time of day.
    TimeOfDay,
    /// Text between quotes.
    Text,
    /// A word.
    Word,
    /// CPUs.
    Cpus,
    /// Several of one type.
    List(Box<Type>),
    /// Several with names.
    Record,
    /// All between two of one type.
    Range(Box<Type>),
    /// Nothing is said: what an empty list holds, and what follows a fault that was told already.
    Unknown,
}

/// The names that scripts have for types of parameters.
const NAMES: &[(&str, Type)] = &[
    ("flag", Type::Flag),
    ("integer", Type::Number),
    ("bytes", Type::Quantity(Dimension::Size)),
    ("duration", Type::Quantity(Dimension::Time)),
    ("percent", Type::Quantity(Dimension::Share)),
    ("rate", Type::Quantity(Dimension::Rate)),
    ("frequency", Type::Quantity(Dimension::Frequency)),
    ("operations", Type::Quantity(Dimension::Operations)),
    ("version", Type::Version),
    ("time", Type::TimeOfDay),
    ("text", Type::Text),
    ("word", Type::Word),
    ("cpus", Type::Cpus),
];

impl Type {
    /// The type that a script calls so.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, of)| of.clone())
    }

    /// What scripts can call types.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// Whether a value of this type can stand where one of `wanted` is: a decimal is a version where
    /// one is wanted, and a number a CPU.
    pub fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Unknown, _) | (_, Self::Unknown) => true,
            (Self::Decimal, Self::Version) | (Self::Number, Self::Cpus) => true,
            (Self::List(own), Self::List(wanted)) | (Self::Range(own), Self::Range(wanted)) => {
                own.fits(wanted)
            }
            (own, wanted) => own == wanted,
        }
    }

    /// What all of several are, as far as they agree.
    pub fn common(types: impl Iterator<Item = Self>) -> Self {
        let mut common = Self::Unknown;
        for next in types {
            // Ranges in a list stand for what lies in them.
            let next = match next {
                Self::Range(of) => *of,
                other => other,
            };
            if common.fits(&next) {
                common = next;
            } else if !next.fits(&common) {
                return Self::Unknown;
            }
        }
        common
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "a flag",
            Self::Number => "a whole number",
            Self::Decimal => "a decimal number",
            Self::Quantity(Dimension::Size) => "a size",
            Self::Quantity(Dimension::Time) => "a duration",
            Self::Quantity(Dimension::Share) => "a percentage",
            Self::Quantity(Dimension::Rate) => "a rate",
            Self::Quantity(Dimension::Frequency) => "a frequency",
            Self::Quantity(Dimension::Operations) => "a number of operations per second",
            Self::Version => "a version",
            Self::TimeOfDay => "a time of day",
            Self::Text => "a text",
            Self::Word => "a word",
            Self::Cpus => "CPUs",
            Self::Record => "several values with names",
            Self::List(of) => return write!(f, "a list ({of})"),
            Self::Range(of) => return write!(f, "a range ({of})"),
            Self::Unknown => "of no type",
        })
    }
}
