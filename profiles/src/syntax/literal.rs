//! What numbers, units and texts are worth.
//!
//! Sizes are binary only, and a unit says what it measures: `10ms` is no size. A number with a unit
//! has to be a whole number of base units ([`Dimension`]): `1.5KiB` is 1,536 bytes, `0.5B` is nothing.

use std::fmt;

use super::kind::{SyntaxKind, SyntaxToken};

/// What a unit measures, and the base unit of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// Bytes.
    Size,
    /// Nanoseconds.
    Time,
    /// Parts per million.
    Share,
    /// Bits per second.
    Rate,
    /// Hertz.
    Frequency,
    /// Operations per second.
    Operations,
}

/// Every unit, with what it measures and how many base units it has.
pub const UNITS: &[(&str, Dimension, u64)] = &[
    ("B", Dimension::Size, 1),
    ("KiB", Dimension::Size, 1 << 10),
    ("MiB", Dimension::Size, 1 << 20),
    ("GiB", Dimension::Size, 1 << 30),
    ("TiB", Dimension::Size, 1 << 40),
    ("ns", Dimension::Time, 1),
    ("us", Dimension::Time, 1_000),
    ("ms", Dimension::Time, 1_000_000),
    ("s", Dimension::Time, 1_000_000_000),
    ("min", Dimension::Time, 60_000_000_000),
    ("h", Dimension::Time, 3_600_000_000_000),
    ("d", Dimension::Time, 86_400_000_000_000),
    ("%", Dimension::Share, 10_000),
    ("bit/s", Dimension::Rate, 1),
    ("kbit/s", Dimension::Rate, 1_000),
    ("Mbit/s", Dimension::Rate, 1_000_000),
    ("Gbit/s", Dimension::Rate, 1_000_000_000),
    ("B/s", Dimension::Rate, 8),
    ("KiB/s", Dimension::Rate, 8 << 10),
    ("MiB/s", Dimension::Rate, 8 << 20),
    ("GiB/s", Dimension::Rate, 8 << 30),
    ("Hz", Dimension::Frequency, 1),
    ("kHz", Dimension::Frequency, 1_000),
    ("MHz", Dimension::Frequency, 1_000_000),
    ("GHz", Dimension::Frequency, 1_000_000_000),
    ("iops", Dimension::Operations, 1),
];

/// Other ways to write units, with ours.
const FOREIGN_UNITS: &[(&str, &str)] = &[
    ("kB", "KiB"),
    ("KB", "KiB"),
    ("K", "KiB"),
    ("k", "KiB"),
    ("MB", "MiB"),
    ("M", "MiB"),
    ("GB", "GiB"),
    ("G", "GiB"),
    ("TB", "TiB"),
    ("T", "TiB"),
    ("sec", "s"),
    ("secs", "s"),
    ("m", "min"),
    ("hours", "h"),
    ("days", "d"),
    ("usec", "us"),
    ("msec", "ms"),
    ("Mbps", "Mbit/s"),
    ("Gbps", "Gbit/s"),
    ("mbit", "Mbit/s"),
    ("gbit", "Gbit/s"),
    ("Mbit", "Mbit/s"),
    ("Gbit", "Gbit/s"),
];

/// A decimal number, exactly: `digits` × 10^-`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    /// All its digits.
    pub digits: u64,
    /// How many of them stand behind the point.
    pub scale: u8,
}

/// A kernel's version: `5.10`, `6.12.3`. So 5.10 is above 5.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third, where it is given.
    pub patch: Option<u32>,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// What a literal is worth.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// `4096`, `0x1f`
    Integer(u64),
    /// `0.5`, `5.10`: a number, or a version, by where it stands.
    Decimal(Number, Version),
    /// `6.12.3`
    Version(Version),
    /// `512MiB`: so many base units.
    Quantity(u64, Dimension),
    /// `09:30`, in minutes since midnight.
    TimeOfDay(u16),
    /// `"mq-deadline"`, without quotes and escapes.
    Text(String),
}

/// Why a literal is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiteralError {
    /// not written as numbers are
    Malformed(&'static str),
    /// beyond 64 bits
    TooLarge,
    /// no such unit; perhaps this one is meant
    UnknownUnit(String, Option<&'static str>),
    /// between two base units
    NotWhole(Dimension),
    /// `\` before something else than `"` and `\`; its bytes in the literal
    BadEscape(std::ops::Range<usize>),
}

impl Dimension {
    /// The base unit, for messages.
    pub fn base(self) -> &'static str {
        match self {
            Self::Size => "bytes",
            Self::Time => "nanoseconds",
            Self::Share => "ten-thousandths of a percent",
            Self::Rate => "bits per second",
            Self::Frequency => "hertz",
            Self::Operations => "operations per second",
        }
    }
}

/// What a token is worth.
///
/// # Errors
/// [`LiteralError`] for tokens that are no literals as well.
pub fn value(token: &SyntaxToken) -> Result<Value, LiteralError> {
    value_of(token.kind(), token.text())
}

/// What the text of a token of some kind is worth.
pub(super) fn value_of(kind: SyntaxKind, text: &str) -> Result<Value, LiteralError> {
    match kind {
        SyntaxKind::Integer => integer(text).map(Value::Integer),
        SyntaxKind::Decimal => Ok(Value::Decimal(number(text)?, version(text)?)),
        SyntaxKind::Version => version(text).map(Value::Version),
        SyntaxKind::Quantity => quantity(text),
        SyntaxKind::TimeOfDay => time_of_day(text),
        SyntaxKind::Text => unquoted(text).map(Value::Text),
        _ => Err(LiteralError::Malformed("no literal")),
    }
}

fn integer(text: &str) -> Result<u64, LiteralError> {
    let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return Ok(number(text)?.digits);
    };
    let hex = digits(hex, |digit| digit.is_ascii_hexdigit())?;
    u64::from_str_radix(&hex, 16).map_err(|_| LiteralError::TooLarge)
}

/// Digits without the `_` between them.
fn digits(text: &str, allowed: fn(&char) -> bool) -> Result<String, LiteralError> {
    if text.is_empty() || text.ends_with('_') || text.starts_with('_') || text.contains("__") {
        return Err(LiteralError::Malformed("`_` stands between two digits"));
    }
    let out: String = text.chars().filter(|char| *char != '_').collect();
    if out.chars().all(|digit| allowed(&digit)) {
        Ok(out)
    } else {
        Err(LiteralError::Malformed("digits are missing, or are not of this number"))
    }
}

fn number(text: &str) -> Result<Number, LiteralError> {
    let decimal = |text| digits(text, char::is_ascii_digit);
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (decimal(whole)?, decimal(fraction)?),
        None => (decimal(text)?, String::new()),
    };
    if whole.len() > 1 && whole.starts_with('0') {
        // The kernel's own parsers take this for octal.
        return Err(LiteralError::Malformed("numbers do not begin with 0"));
    }
    let digits = (whole + &fraction).parse().map_err(|_| LiteralError::TooLarge)?;
    let scale = u8::try_from(fraction.len()).map_err(|_| LiteralError::TooLarge)?;
    Ok(Number { digits, scale })
}

fn version(text: &str) -> Result<Version, LiteralError> {
    let mut parts = text.split('.').map(|part| match part.contains('_') {
        true => Err(LiteralError::Malformed("no `_` here")),
        false => part.parse::<u32>().map_err(|_| LiteralError::TooLarge),
    });
    let mut next = || parts.next().transpose();
    let (Some(major), Some(minor)) = (next()?, next()?) else {
        return Err(LiteralError::Malformed("a version has two numbers or three"));
    };
    Ok(Version { major, minor, patch: next()? })
}

fn quantity(text: &str) -> Result<Value, LiteralError> {
    let at = text.find(|char: char| !(char.is_ascii_digit() || "._".contains(char)));
    let (digits, unit) = text.split_at(at.unwrap_or(text.len()));
    let number = number(digits)?;
    let known = UNITS.iter().find(|(name, ..)| *name == canonical_unit(unit));
    let Some((_, dimension, factor)) = known else {
        let foreign = FOREIGN_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ours)| *ours);
        let meant =
            foreign.or_else(|| notation::closest(unit, UNITS.iter().map(|(name, ..)| *name)));
        return Err(LiteralError::UnknownUnit(unit.to_owned(), meant));
    };
    let base = u128::from(number.digits) * u128::from(*factor);
    let divisor = 10u128.checked_pow(u32::from(number.scale)).ok_or(LiteralError::TooLarge)?;
    if base % divisor != 0 {
        return Err(LiteralError::NotWhole(*dimension));
    }
    let base = u64::try_from(base / divisor).map_err(|_| LiteralError::TooLarge)?;
    Ok(Value::Quantity(base, *dimension))
}

/// The one way to write a unit: the two code points for micro are `u`.
pub(super) fn canonical_unit(unit: &str) -> &str {
    match unit {
        "µs" | "μs" => "us",
        unit => unit,
    }
}

fn time_of_day(text: &str) -> Result<Value, LiteralError> {
    let malformed = LiteralError::Malformed("a time of day is from 0:00 to 24:00");
    let (hours, minutes) = text.split_once(':').ok_or(malformed.clone())?;
    match (hours.parse::<u16>(), minutes.parse::<u16>()) {
        (Ok(hours @ 0..=23), Ok(minutes @ 0..=59)) => Ok(Value::TimeOfDay(hours * 60 + minutes)),
        (Ok(24), Ok(0)) => Ok(Value::TimeOfDay(24 * 60)),
        _ => Err(malformed),
    }
}

fn unquoted(text: &str) -> Result<String, LiteralError> {
    let body = text.strip_prefix('"').unwrap_or(text);
    let mut out = String::with_capacity(body.len());
    let mut chars = body.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => break,
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                other => {
                    let len = 1 + other.map_or(0, |(_, char)| char.len_utf8());
                    let start = at + text.len() - body.len();
                    return Err(LiteralError::BadEscape(start..start + len));
                }
            },
            char => out.push(char),
        }
    }
    Ok(out)
}

/// The CPUs of a part of a list: `3`, or `2-5`.
///
/// # Errors
/// A number beyond 65535, or a range that runs backwards.
pub fn cpus(part: &str) -> Result<std::ops::RangeInclusive<u16>, LiteralError> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| LiteralError::TooLarge);
    let (first, last) = match part.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(part)?, number(part)?),
    };
    if last < first {
        return Err(LiteralError::Malformed("the range runs backwards"));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_exact() {
        let of = |text: &str| value_of(SyntaxKind::Quantity, text);
        assert_eq!(of("512MiB"), Ok(Value::Quantity(512 << 20, Dimension::Size)));
        assert_eq!(of("1.5KiB"), Ok(Value::Quantity(1536, Dimension::Size)));
        assert_eq!(of("0.5B"), Err(LiteralError::NotWhole(Dimension::Size)));
        assert_eq!(of("10µs"), Ok(Value::Quantity(10_000, Dimension::Time)));
        assert_eq!(of("80%"), Ok(Value::Quantity(800_000, Dimension::Share)));
        assert_eq!(of("1Gbit/s"), Ok(Value::Quantity(1_000_000_000, Dimension::Rate)));
        assert_eq!(of("17000000TiB"), Err(LiteralError::TooLarge));
        assert_eq!(of("16777216TiB"), Err(LiteralError::TooLarge));
        assert_eq!(of("5MB"), Err(LiteralError::UnknownUnit("MB".into(), Some("MiB"))));
        assert_eq!(of("5parsecs"), Err(LiteralError::UnknownUnit("parsecs".into(), None)));
        for (unit, dimension, factor) in UNITS {
            assert_eq!(of(&format!("1{unit}")), Ok(Value::Quantity(*factor, *dimension)));
        }
    }

    #[test]
    fn numbers_are_read_whole_or_refused() {
        let of = |text: &str| value_of(SyntaxKind::Integer, text);
        assert_eq!(of("18446744073709551615"), Ok(Value::Integer(u64::MAX)));
        assert_eq!(of("18446744073709551616"), Err(LiteralError::TooLarge));
        assert_eq!(of("0x1F"), Ok(Value::Integer(31)));
        assert_eq!(of("1_000"), Ok(Value::Integer(1000)));
        for malformed in ["1_", "0x", "0xg", "010", "1__0"] {
            assert!(matches!(of(malformed), Err(LiteralError::Malformed(_))), "{malformed}");
        }
        let version = Version { major: 5, minor: 10, patch: None };
        let number = Number { digits: 510, scale: 2 };
        assert_eq!(value_of(SyntaxKind::Decimal, "5.10"), Ok(Value::Decimal(number, version)));
        assert!(version > Version { minor: 9, ..version });
    }

    #[test]
    fn texts_have_two_escapes() {
        let of = |text: &str| value_of(SyntaxKind::Text, text);
        assert_eq!(of(r#""a\\b\"c""#), Ok(Value::Text(r#"a\b"c"#.into())));
        assert_eq!(of(r#""a\n""#), Err(LiteralError::BadEscape(2..4)));
    }

    #[test]
    fn cpus_run_forwards() {
        assert_eq!(cpus("2-3"), Ok(2..=3));
        assert_eq!(cpus("6"), Ok(6..=6));
        assert!(cpus("3-2").is_err());
        assert!(cpus("70000").is_err());
    }

    #[test]
    fn times_of_day_end_at_midnight() {
        let of = |text: &str| value_of(SyntaxKind::TimeOfDay, text);
        assert_eq!(of("9:30"), Ok(Value::TimeOfDay(570)));
        assert_eq!(of("24:00"), Ok(Value::TimeOfDay(1440)));
        assert!(of("24:01").is_err() && of("12:60").is_err());
    }
}
