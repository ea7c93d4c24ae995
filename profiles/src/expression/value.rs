//! Values.

use std::fmt;

use super::cpus::Cpus;
use super::fault::FaultKind;
use super::types::Type;
use crate::syntax::literal::{self, Dimension, Number, Version};

/// What an expression is worth.
///
/// Numbers are kept in 128 bits, so that what is within 64 can be multiplied before it is divided; what
/// leaves even those is a [fault](super::FaultKind::Overflow).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// True or false.
    Flag(bool),
    /// A whole number.
    Number(i128),
    /// `0.5`, or the version `5.10`: which of both, the place decides.
    Decimal(Number, Version),
    /// So many base units.
    Quantity(i128, Dimension),
    /// `6.12.3`
    Version(Version),
    /// Minutes since midnight.
    TimeOfDay(u16),
    /// What stood between quotes.
    Text(String),
    /// A word that a setting or a fact knows: `never`.
    Word(String),
    /// CPUs.
    Cpus(Cpus),
    /// Several.
    List(Vec<Value>),
    /// Several with names.
    Record(Vec<(String, Value)>),
    /// All between two ends, which belong to it.
    Range(Option<Box<Value>>, Option<Box<Value>>),
}

impl Value {
    /// What a literal is worth.
    pub fn of_literal(value: literal::Value) -> Self {
        match value {
            literal::Value::Integer(number) => Self::Number(number.into()),
            literal::Value::Decimal(number, version) => Self::Decimal(number, version),
            literal::Value::Version(version) => Self::Version(version),
            literal::Value::Quantity(amount, dimension) => Self::Quantity(amount.into(), dimension),
            literal::Value::TimeOfDay(minutes) => Self::TimeOfDay(minutes),
            literal::Value::Text(text) => Self::Text(text),
        }
    }

    /// A word.
    pub fn word(word: &str) -> Self {
        Self::Word(word.to_owned())
    }

    /// Bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self::Quantity(bytes.into(), Dimension::Size)
    }

    /// Its type.
    pub fn type_of(&self) -> Type {
        match self {
            Self::Flag(_) => Type::Flag,
            Self::Number(_) => Type::Number,
            Self::Decimal(..) => Type::Decimal,
            Self::Quantity(_, dimension) => Type::Quantity(*dimension),
            Self::Version(_) => Type::Version,
            Self::TimeOfDay(_) => Type::TimeOfDay,
            Self::Text(_) => Type::Text,
            Self::Word(_) => Type::Word,
            Self::Cpus(_) => Type::Cpus,
            Self::List(values) => {
                Type::List(Box::new(Type::common(values.iter().map(Self::type_of))))
            }
            Self::Record(_) => Type::Record,
            Self::Range(start, end) => {
                let ends = start.iter().chain(end).map(|end| end.type_of());
                Type::Range(Box::new(Type::common(ends)))
            }
        }
    }

    /// The number or quantity in base units.
    pub fn amount(&self) -> Option<i128> {
        match self {
            Self::Number(number) | Self::Quantity(number, _) => Some(*number),
            _ => None,
        }
    }

    /// The CPUs; one number is one CPU.
    ///
    /// # Errors
    /// [`FaultKind::NotACpu`] for a number that none has, [`FaultKind::Wanted`] for anything else.
    pub fn to_cpus(&self) -> Result<Cpus, FaultKind> {
        match self {
            Self::Cpus(cpus) => Ok(cpus.clone()),
            Self::Number(number) => {
                let cpu = u16::try_from(*number).map_err(|_| FaultKind::NotACpu(*number))?;
                Ok(Cpus::from_iter([cpu]))
            }
            other => Err(FaultKind::Wanted { wanted: Type::Cpus, found: other.type_of() }),
        }
    }

    /// The version; `5.10` is one where a version is wanted.
    pub fn version(&self) -> Option<Version> {
        match self {
            Self::Version(version) | Self::Decimal(_, version) => Some(*version),
            _ => None,
        }
    }
}

/// The largest unit in which a quantity is a whole number.
fn with_unit(amount: i128, dimension: Dimension) -> String {
    let units = literal::UNITS.iter().filter(|(_, of, _)| *of == dimension);
    // Rates are told in bits.
    let units = units.filter(|(name, ..)| !name.ends_with("B/s"));
    let fits = |factor: u64| amount != 0 && amount % i128::from(factor) == 0;
    let best = units.filter(|(.., factor)| fits(*factor) || *factor == 1).max_by_key(|unit| unit.2);
    match best {
        Some((name, _, factor)) => format!("{}{name}", amount / i128::from(*factor)),
        // Of a percent, only ten-thousandths are whole.
        None => {
            let (sign, amount) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
            let text = format!("{sign}{}.{:04}", amount / 10_000, amount % 10_000);
            format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

impl fmt::Display for Value {
    /// As it would stand in a script.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Decimal(number, version) => {
                let scale = usize::from(number.scale);
                let digits = format!("{:0>width$}", number.digits, width = scale + 1);
                match digits.split_at_checked(digits.len() - scale) {
                    Some((whole, fraction)) => write!(f, "{whole}.{fraction}"),
                    None => write!(f, "{version}"),
                }
            }
            Self::Quantity(amount, dimension) => f.write_str(&with_unit(*amount, *dimension)),
            Self::Version(version) => write!(f, "{version}"),
            Self::TimeOfDay(minutes) => write!(f, "{}:{:02}", minutes / 60, minutes % 60),
            Self::Text(text) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
            Self::Word(word) => f.write_str(word),
            Self::Cpus(cpus) if cpus.is_empty() => f.write_str("no CPUs"),
            Self::Cpus(cpus) => write!(f, "{cpus}"),
            Self::List(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Record(parts) => {
                f.write_str("{ ")?;
                for (at, (name, value)) in parts.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str(" }")
            }
            Self::Range(start, end) => {
                start.iter().try_for_each(|start| write!(f, "{start}"))?;
                f.write_str("..")?;
                end.iter().try_for_each(|end| write!(f, "{end}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_told_in_the_largest_whole_unit() {
        let told = |amount, dimension| Value::Quantity(amount, dimension).to_string();
        assert_eq!(told(512 << 20, Dimension::Size), "512MiB");
        assert_eq!(told((1 << 30) + 1, Dimension::Size), "1073741825B");
        assert_eq!(told(0, Dimension::Size), "0B");
        assert_eq!(told(90_000_000_000, Dimension::Time), "90s");
        assert_eq!(told(-3_000_000, Dimension::Time), "-3ms");
        assert_eq!(told(800_000, Dimension::Share), "80%");
        assert_eq!(told(12_345, Dimension::Share), "1.2345%");
        assert_eq!(told(500, Dimension::Share), "0.05%");
        assert_eq!(told(0, Dimension::Share), "0%");
        assert_eq!(told(1_000_000_000, Dimension::Rate), "1Gbit/s");
    }

    #[test]
    fn decimals_keep_their_digits() {
        let version = Version { major: 5, minor: 10, patch: None };
        let told = |digits, scale| Value::Decimal(Number { digits, scale }, version).to_string();
        assert_eq!(told(510, 2), "5.10");
        assert_eq!(told(5, 1), "0.5");
        assert_eq!(told(5, 3), "0.005");
    }
}
