//! Lengths of time, written as `"10s"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use boot::units::quantity::{self, quoted};
use serde::{Deserialize, Serialize};

/// A length of time. Its text form is a whole number and a unit: `"500ms"`, `"10s"`, `"10min"`,
/// `"1h"`. At most 366 days.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Interval(pub Duration);

/// Why a text is not a length of time.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseIntervalError {
    /// no number at the start
    #[error("`{0}` is not a time: expected a whole number and a unit, such as \"10s\"")]
    Number(String),
    /// no unit
    #[error("`{0}` has no unit of time: expected ms, s, min or h, such as \"{0}s\"")]
    NoUnit(String),
    /// a unit that is not ours
    #[error("`{0}` is not a unit of time: expected ms, s, min or h")]
    Unit(String),
    /// beyond a year
    #[error("`{0}` is too long: at most 366 days")]
    TooLong(String),
}

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
const MAX_MILLIS: u64 = 366 * 24 * 3_600_000;

impl FromStr for Interval {
    type Err = ParseIntervalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = quantity::split(text);
        if number.is_empty() {
            return Err(ParseIntervalError::Number(quoted(text)));
        }
        if unit.is_empty() {
            return Err(ParseIntervalError::NoUnit(quoted(text)));
        }
        let worth =
            quantity::worth(unit, &UNITS).ok_or_else(|| ParseIntervalError::Unit(quoted(unit)))?;
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(worth));
        match millis {
            Some(millis) if millis <= MAX_MILLIS => Ok(Self(Duration::from_millis(millis))),
            _ => Err(ParseIntervalError::TooLong(quoted(text))),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quantity::write(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &UNITS)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Interval {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_as_people_write_them() {
        assert_eq!("10s".parse(), Ok(Interval(Duration::from_secs(10))));
        assert_eq!("500 ms".parse(), Ok(Interval(Duration::from_millis(500))));
        assert_eq!("10min".parse(), Ok(Interval(Duration::from_secs(600))));
        assert_eq!("1h".parse(), Ok(Interval(Duration::from_secs(3600))));
    }

    #[test]
    fn refuses_what_is_no_time() {
        let parse = str::parse::<Interval>;
        assert_eq!(parse("s"), Err(ParseIntervalError::Number("s".into())));
        assert_eq!(parse("10"), Err(ParseIntervalError::NoUnit("10".into())));
        assert_eq!(parse("10m"), Err(ParseIntervalError::Unit("m".into())));
        assert!(matches!(parse("99999999999999999999h"), Err(ParseIntervalError::TooLong(_))));
        assert!(matches!(parse("9000h"), Err(ParseIntervalError::TooLong(_))));
    }

    proptest::proptest! {
        #[test]
        fn text_form_reads_back(millis in 0..=MAX_MILLIS) {
            let interval = Interval(Duration::from_millis(millis));
            proptest::prop_assert_eq!(interval.to_string().parse(), Ok(interval));
        }
    }
}
