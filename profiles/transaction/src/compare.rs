//! How what is read back compares with what was written. Pure.

mod cpus;
mod forms;

use serde::{Deserialize, Serialize};

pub use cpus::{CpuForm, Cpus, MAX_CPU};

/// How a setting is read back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The value.
    #[default]
    Same,
    /// The value, with other blanks or tabs between its parts.
    Blanks,
    /// All choices, the one in force in brackets: `always [madvise] never`.
    Bracketed,
    /// All choices, the one in force in parentheses: `none voluntary (full)`.
    Parenthesised,
    /// `Y` or `N`, whatever form of yes and no was written.
    YesNo,
    /// The number in hexadecimal, with or without zeros or `0x` in front.
    Hex,
    /// The same CPUs in this form.
    Cpus(CpuForm),
    /// What the kernel made of it.
    Rounded(Rounding),
    /// The value; words behind it say that it is void: `isolated invalid (…)`.
    Annotated,
    /// A word among others; `NO_` in front of it is its opposite.
    Toggle,
    /// A line among others, found by its first word: `8:0 rbps=1048576 wbps=max`. Holds if the line has
    /// every word that was written.
    Keyed {
        /// What is written behind the first word to be rid of the line: `rbps=max wbps=max`.
        unset: String,
    },
    /// A word, and pairs of a name and a value behind it: `fq handle 8001: limit 10000 …`. Holds if the
    /// word is the one that was written, and every pair that was written is among them.
    Pairs,
    /// What was there before: some kernels take the write and ignore it.
    Ignored,
    /// Nothing: it cannot be read.
    WriteOnly,
}

/// What a kernel may make of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// One of these.
    OneOf(Vec<String>),
    /// A number from `least` to `most`, both included.
    Between {
        /// The smallest.
        least: i64,
        /// The largest.
        most: u64,
    },
    /// Whatever it will, which is told and kept.
    Any,
}

/// How a reading stands to what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in force.
    Holds,
    /// The kernel made something else of it, which the plan allows.
    Rounded,
    /// The kernel took the write and kept what it had, which the plan allows.
    Ignored,
    /// It is not in force.
    Differs,
}

impl Compare {
    /// Whether `wanted` is in force already, so that it need not be written.
    pub fn already(&self, wanted: &str, reading: &str) -> bool {
        match self {
            Self::WriteOnly => false,
            Self::Rounded(Rounding::OneOf(outcomes)) => {
                let reading = reading.trim();
                reading == wanted || outcomes.iter().any(|outcome| outcome == reading)
            }
            // Another value that would be allowed may be the old one.
            Self::Rounded(Rounding::Between { .. } | Rounding::Any) | Self::Ignored => {
                reading.trim() == wanted
            }
            _ => self.judge(wanted, reading, None) == Verdict::Holds,
        }
    }

    /// How a reading stands to what was written, where `before` was read before that.
    pub fn judge(&self, wanted: &str, reading: &str, before: Option<&str>) -> Verdict {
        let trimmed = reading.trim();
        let holds = match self {
            Self::Same | Self::Annotated => trimmed == wanted,
            Self::Blanks => trimmed.split_ascii_whitespace().eq(wanted.split_ascii_whitespace()),
            Self::Bracketed => forms::enclosed(trimmed, '[', ']') == Some(wanted),
            Self::Parenthesised => forms::enclosed(trimmed, '(', ')') == Some(wanted),
            Self::YesNo => {
                forms::yes_or_no(trimmed).is_some_and(|is| forms::yes_or_no(wanted) == Some(is))
            }
            Self::Hex => forms::hex(trimmed).is_some_and(|is| forms::hex(wanted) == Some(is)),
            Self::Cpus(form) => {
                Cpus::parse(*form, trimmed).is_some_and(|is| Cpus::parse(*form, wanted) == Some(is))
            }
            Self::Toggle => trimmed.split_ascii_whitespace().any(|word| word == wanted),
            Self::Keyed { unset } => forms::line_has(trimmed, wanted, unset),
            Self::Rounded(rounding) => return rounding.judge(wanted, trimmed),
            Self::Ignored => {
                return match (trimmed == wanted, before) {
                    (true, _) => Verdict::Holds,
                    (false, Some(before)) if before.trim() == trimmed => Verdict::Ignored,
                    (false, _) => Verdict::Differs,
                };
            }
            Self::Pairs => forms::has_pairs(trimmed, wanted),
            Self::WriteOnly => true,
        };
        if holds { Verdict::Holds } else { Verdict::Differs }
    }

    /// What to write to bring a reading about: `madvise` for `always [madvise] never`. `wanted` is
    /// what the plan writes there, where it writes anything: of a reading with several values, that
    /// names the one. None where nothing would do.
    pub fn in_force(&self, wanted: Option<&str>, reading: &str) -> Option<String> {
        let trimmed = reading.trim();
        match self {
            Self::Same
            | Self::YesNo
            | Self::Hex
            | Self::Cpus(_)
            | Self::Rounded(_)
            | Self::Pairs
            | Self::Ignored => Some(trimmed.to_owned()),
            Self::Blanks => Some(trimmed.split_ascii_whitespace().collect::<Vec<_>>().join(" ")),
            Self::Bracketed => forms::enclosed(trimmed, '[', ']').map(str::to_owned),
            Self::Parenthesised => forms::enclosed(trimmed, '(', ')').map(str::to_owned),
            Self::Annotated => trimmed.split_ascii_whitespace().next().map(str::to_owned),
            Self::Toggle => forms::toggle(trimmed, wanted?).map(str::to_owned),
            Self::Keyed { unset } => forms::keyed(trimmed, wanted?, unset),
            Self::WriteOnly => None,
        }
    }

    /// Whether two readings say the same.
    pub fn alike(&self, one: &str, other: &str) -> bool {
        one.trim() == other.trim()
            || match self {
                Self::Blanks => one.split_ascii_whitespace().eq(other.split_ascii_whitespace()),
                Self::Bracketed | Self::Parenthesised => {
                    let one = self.in_force(None, one);
                    one.is_some() && one == self.in_force(None, other)
                }
                Self::YesNo | Self::Hex | Self::Cpus(_) => {
                    self.judge(other.trim(), one, None) == Verdict::Holds
                }
                _ => false,
            }
    }

    /// All text of the plan's that it holds.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let (list, one): (&[String], Option<&String>) = match self {
            Self::Rounded(Rounding::OneOf(outcomes)) => (outcomes, None),
            Self::Keyed { unset } => (&[], Some(unset)),
            _ => (&[], None),
        };
        list.iter().chain(one).map(String::as_str)
    }
}

impl Rounding {
    fn judge(&self, wanted: &str, reading: &str) -> Verdict {
        let allowed = match self {
            Self::OneOf(outcomes) => outcomes.iter().any(|outcome| outcome == reading),
            Self::Between { least, most } => reading
                .parse::<i128>()
                .is_ok_and(|number| (i128::from(*least)..=i128::from(*most)).contains(&number)),
            Self::Any => true,
        };
        match (allowed, reading == wanted) {
            (true, false) => Verdict::Rounded,
            (true, true) => Verdict::Holds,
            (false, _) => Verdict::Differs,
        }
    }
}

#[cfg(test)]
mod tests;
