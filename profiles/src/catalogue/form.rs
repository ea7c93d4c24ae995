//! Values as a script gives them, and as the kernel's files hold them.
//!
//! A value has three shapes: what an expression gives (`512MiB`), the same as the setting's own type
//! ([`Kind::typed`]: a size; of choices, one of them), and the text that is written
//! ([`Kind::written`]: `536870912`, or `524288` where the file counts in KiB). The text is canonical: plain
//! decimals, single blanks, no line break. Kernels take much else (`swappiness="60 junk"`), so only this
//! is ever written.

#[cfg(test)]
mod tests;
mod units;

use transaction::network::{Discipline, DisciplineError};

use super::setting::{CpuForm, Kind};
use crate::expression::{Cpus, Value};
use crate::syntax::literal::Dimension;
use units::unit;

/// Why a value is none of a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// something else is needed
    #[error("this is {found}, and the setting takes {wanted}")]
    Wanted {
        /// What the setting takes.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// the file counts in larger units
    #[error("{value} is not a whole number of {unit}, in which the kernel counts here")]
    NotWhole {
        /// The value.
        value: Value,
        /// The unit.
        unit: &'static str,
    },
    /// no such word
    #[error("there is no value `{0}` here")]
    NotAChoice(String, Option<String>),
    /// parts are missing, or there are others
    #[error("the setting has the parts {}", .0.join(", "))]
    Parts(Vec<String>),
    /// text that cannot be written
    #[error("a text of at most {0} bytes is needed, on one line and without control characters")]
    Text(u16),
    /// no queueing discipline
    #[error(transparent)]
    Discipline(#[from] DisciplineError),
    /// a value in several forms
    #[error("the setting takes one of {}, with parts in braces", .0.join(", "))]
    Forms(Vec<String>),
}

/// Words that everybody uses for on and off.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Flag(flag) => Some(*flag),
        Value::Number(0) => Some(false),
        Value::Number(1) => Some(true),
        Value::Word(word) => match word.as_str() {
            "on" | "yes" | "enabled" => Some(true),
            "off" | "no" | "disabled" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

impl Kind {
    /// What the setting takes, for messages.
    pub fn wanted(&self) -> String {
        match self {
            Self::Switch { .. } | Self::Flag => "on or off".to_owned(),
            Self::Integer | Self::Level(_) | Self::Bits(_) => "a whole number".to_owned(),
            Self::Size(_) => "a size (64KiB, 1GiB)".to_owned(),
            Self::Time(_) => "a duration (10ms, 5s)".to_owned(),
            Self::Percent => "whole percents (20%)".to_owned(),
            Self::Rate(unit) => format!("a number of {unit}"),
            Self::Frequency => "a frequency (2400MHz)".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Words(words) if words.is_empty() => "a list of words".to_owned(),
            Self::Words(words) => format!("a list of {}", words.join(", ")),
            Self::Cpus(_) => "CPUs (2-3,6)".to_owned(),
            Self::Numbers(parts) | Self::Sizes(_, parts) => {
                format!("values with the names {}", parts.join(", "))
            }
            Self::Ports => "a text of ports (\"22,8000-8010\")".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Discipline => "a queueing discipline (fq, \"fq_codel target 5ms\")".to_owned(),
            Self::Trigger => "a whole number, or `on`".to_owned(),
            Self::Record(forms) => {
                format!("one of {}", forms.keys().cloned().collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// A value as this kind's own: numbers for flags, sizes for sizes, one of the words for choices.
    ///
    /// # Errors
    /// [`FormError`] where it is none.
    pub fn typed(&self, value: &Value) -> Result<Value, FormError> {
        let wanted =
            || FormError::Wanted { wanted: self.wanted(), found: value.type_of().to_string() };
        match self {
            Self::Flag => flag(value).map(|on| Value::Number(on.into())).ok_or_else(wanted),
            Self::Switch { off, on } => match value {
                Value::Word(word) | Value::Text(word) if !word.is_empty() && word == on => {
                    Ok(Value::Flag(true))
                }
                Value::Word(word) | Value::Text(word) if !word.is_empty() && word == off => {
                    Ok(Value::Flag(false))
                }
                value => flag(value).map(Value::Flag).ok_or_else(wanted),
            },
            Self::Integer | Self::Level(_) | Self::Bits(_) => match value {
                Value::Number(_) => Ok(value.clone()),
                Value::Word(word) if word == "max" => Ok(value.clone()),
                // Entries for switches that the kernel counts.
                value => match (self, flag(value)) {
                    (Self::Level(names), Some(on)) if names.len() == 2 => {
                        Ok(Value::Number(on.into()))
                    }
                    _ => Err(wanted()),
                },
            },
            Self::Size(_) | Self::Time(_) | Self::Frequency => {
                let Some((dimension, factor, name)) = unit(self) else { return Err(wanted()) };
                match value {
                    Value::Quantity(amount, of) if *of == dimension => {
                        // `-1us` stands for a -1 in a file that counts in microseconds.
                        match amount.checked_rem(factor) {
                            Some(0) => Ok(value.clone()),
                            _ => Err(FormError::NotWhole { value: value.clone(), unit: name }),
                        }
                    }
                    Value::Number(0) => Ok(Value::Quantity(0, dimension)),
                    Value::Word(word) if word == "max" => Ok(value.clone()),
                    _ => Err(wanted()),
                }
            }
            Self::Percent => match value {
                Value::Quantity(share, Dimension::Share) if share % 10_000 == 0 => {
                    Ok(Value::Number(share / 10_000))
                }
                Value::Quantity(_, Dimension::Share) => {
                    Err(FormError::NotWhole { value: value.clone(), unit: "percents" })
                }
                Value::Number(_) => Ok(value.clone()),
                _ => Err(wanted()),
            },
            Self::Rate(unit) => match (value, unit.as_str()) {
                (Value::Number(_), _) => Ok(value.clone()),
                (Value::Quantity(bits, Dimension::Rate), "KiB/s" | "MB/s") => {
                    let (factor, unit) =
                        if unit == "KiB/s" { (8 << 10, "KiB/s") } else { (8_000_000, "MB/s") };
                    match bits % factor {
                        0 => Ok(Value::Number(bits / factor)),
                        _ => Err(FormError::NotWhole { value: value.clone(), unit }),
                    }
                }
                (Value::Quantity(hertz, Dimension::Frequency), "Hz") => Ok(Value::Number(*hertz)),
                _ => Err(wanted()),
            },
            Self::Choice(words) => {
                let word = match value {
                    Value::Word(word) | Value::Text(word) => word.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return Err(wanted()),
                };
                if words.contains(&word) {
                    return Ok(Value::Word(word));
                }
                let nearest = notation::closest(&word, words.iter().map(String::as_str));
                let nearest = nearest.map(str::to_owned);
                Err(FormError::NotAChoice(word, nearest))
            }
            Self::Words(known) => {
                let values = match value {
                    Value::List(values) => values.as_slice(),
                    one => std::slice::from_ref(one),
                };
                let words = values.iter().map(|value| match value {
                    Value::Word(word) | Value::Text(word) if is_word(word) => {
                        if known.is_empty() || known.contains(word) {
                            return Ok(Value::Word(word.clone()));
                        }
                        let nearest = notation::closest(word, known.iter().map(String::as_str));
                        Err(FormError::NotAChoice(word.clone(), nearest.map(str::to_owned)))
                    }
                    _ => Err(wanted()),
                });
                words.collect::<Result<_, _>>().map(Value::List)
            }
            Self::Cpus(_) => value.to_cpus().map(Value::Cpus).map_err(|_| wanted()),
            Self::Numbers(names) | Self::Sizes(_, names) => {
                let parts: Vec<(String, Value)> = match value {
                    Value::Record(parts) => parts.clone(),
                    Value::List(values) => names.iter().cloned().zip(values.clone()).collect(),
                    _ => return Err(wanted()),
                };
                let missing = || FormError::Parts(names.clone());
                let known = parts.iter().all(|(name, _)| names.contains(name));
                if !known || parts.len() != names.len() {
                    return Err(missing());
                }
                let part = |name: &String| {
                    let (_, value) =
                        parts.iter().find(|(own, _)| own == name).ok_or_else(missing)?;
                    let value = match self {
                        Self::Sizes(unit, _) => Self::Size(*unit).typed(value)?,
                        _ => match value {
                            Value::Number(_) => value.clone(),
                            Value::Word(word) if word == "max" => value.clone(),
                            _ => return Err(wanted()),
                        },
                    };
                    Ok((name.clone(), value))
                };
                names.iter().map(part).collect::<Result<_, _>>().map(Value::Record)
            }
            Self::Ports | Self::Text(_) => {
                let most = if let Self::Text(most) = self { *most } else { 4096 };
                match value {
                    Value::Text(text) | Value::Word(text) => {
                        let fits = text.len() <= usize::from(most);
                        if !fits || text.chars().any(char::is_control) {
                            return Err(FormError::Text(most));
                        }
                        Ok(Value::Text(text.clone()))
                    }
                    Value::Number(number) => Ok(Value::Text(number.to_string())),
                    _ => Err(wanted()),
                }
            }
            Self::Discipline => match value {
                Value::Text(text) | Value::Word(text) => {
                    Ok(Value::Text(Discipline::parse(text)?.to_string()))
                }
                _ => Err(wanted()),
            },
            Self::Trigger => match value {
                Value::Number(_) | Value::Quantity(_, Dimension::Size) => Ok(value.clone()),
                value => match flag(value) {
                    Some(true) => Ok(Value::Number(1)),
                    _ => Err(wanted()),
                },
            },
            Self::Record(forms) => Err(FormError::Forms(forms.keys().cloned().collect())),
        }
    }

    /// The text that is written for a [typed](Self::typed) value.
    pub fn written(&self, value: &Value) -> String {
        let counted = |amount: i128| match unit(self) {
            Some((_, factor, _)) => (amount / factor).to_string(),
            None => amount.to_string(),
        };
        match (self, value) {
            (Self::Switch { off, on }, Value::Flag(flag)) => if *flag { on } else { off }.clone(),
            (Self::Cpus(CpuForm::Mask), Value::Cpus(cpus)) => cpus.to_mask(),
            (_, Value::Quantity(amount, _)) => counted(*amount),
            (Self::Words(_), Value::List(words)) => {
                words.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
            }
            (_, Value::Record(parts)) => {
                parts.iter().map(|(_, part)| self.written(part)).collect::<Vec<_>>().join(" ")
            }
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Cpus(cpus)) => cpus.to_string(),
            (_, value) => value.to_string(),
        }
    }

    /// The value that a file's text holds; none where it is not understood.
    pub fn parsed(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        // cgroup weights read back with that word; `mm.lru_gen` reads back in hexadecimal.
        let text = text.strip_prefix("default ").unwrap_or(text);
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(digits) => i128::from_str_radix(digits, 16).ok(),
            None => text.parse::<i128>().ok(),
        };
        match self {
            Self::Switch { off, on } => match text {
                _ if text == on => Some(Value::Flag(true)),
                _ if text == off => Some(Value::Flag(false)),
                "1" | "Y" | "y" => Some(Value::Flag(true)),
                "0" | "N" | "n" => Some(Value::Flag(false)),
                _ => None,
            },
            Self::Size(_) | Self::Time(_) | Self::Frequency if text == "max" => {
                Some(Value::word("max"))
            }
            Self::Size(_) | Self::Time(_) | Self::Frequency => {
                let (dimension, factor, _) = unit(self)?;
                Some(Value::Quantity(number(text)?.checked_mul(factor)?, dimension))
            }
            Self::Choice(words) => words.iter().any(|word| word == text).then(|| Value::word(text)),
            Self::Words(_) => Some(Value::List(text.split_whitespace().map(Value::word).collect())),
            Self::Cpus(CpuForm::List) => Cpus::of_list(text).map(Value::Cpus),
            Self::Cpus(CpuForm::Mask) => Cpus::of_mask(text).map(Value::Cpus),
            Self::Numbers(names) | Self::Sizes(_, names) => {
                let parts: Vec<&str> = text.split_whitespace().collect();
                if parts.len() != names.len() {
                    return None;
                }
                let part = |(name, text): (&String, &&str)| {
                    let value = match unit(self) {
                        Some((of, factor, _)) => {
                            Value::Quantity(number(text)?.checked_mul(factor)?, of)
                        }
                        None => number(text).map_or_else(|| Value::word(text), Value::Number),
                    };
                    Some((name.clone(), value))
                };
                names.iter().zip(&parts).map(part).collect::<Option<_>>().map(Value::Record)
            }
            Self::Ports | Self::Text(_) | Self::Discipline => Some(Value::Text(text.to_owned())),
            Self::Trigger | Self::Record(_) => None,
            _ if text == "max" => Some(Value::word("max")),
            _ => number(text).map(Value::Number),
        }
    }
}

/// A word that can stand between blanks.
fn is_word(word: &str) -> bool {
    !word.is_empty() && !word.chars().any(|char| char.is_whitespace() || char.is_control())
}
