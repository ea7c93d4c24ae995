//! The value of one of a discipline's parameters: as text, and as the kernel has it.

use crate::network::attributes::number;

/// What a parameter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Amount {
    /// A number, in the kernel's own unit; of a rate, bytes per second.
    Number(u64),
    /// Bytes that mean something to the kernel only.
    Bytes(Vec<u8>),
}

/// How a parameter is written, and how the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A number of 32 bits.
    Number,
    /// A number of 8 bits.
    Byte,
    /// A number of 32 bits that may be negative.
    Signed,
    /// On or off, in 32 bits.
    Flag,
    /// The same in 8 bits.
    FlagByte,
    /// Microseconds, in 32 bits.
    Microseconds,
    /// Nanoseconds, in 32 bits.
    Nanoseconds,
    /// Microseconds that the kernel keeps in units of 1.024 of them (`codel_time_t`).
    CodelTime,
    /// Bytes per second in 32 bits, all of which are set where there is no bound.
    Rate32,
    /// Bytes per second in 64 bits, none of which are set where there is no bound.
    Rate64,
    /// Bytes that mean something to the kernel only.
    Bytes,
}

/// Units of numbers that count bytes.
const SIZES: [(&str, u64); 5] =
    [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// The most bytes that mean something to the kernel only.
const MAX_BYTES: usize = 256;

impl Form {
    /// What is needed, for people.
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Byte => "a number up to 255",
            Self::Signed => "a number, perhaps a negative one",
            Self::Flag | Self::FlagByte => "on or off",
            Self::Microseconds | Self::CodelTime => "a time such as 5ms or 250us",
            Self::Nanoseconds => "a time such as 10us or 500ns",
            Self::Rate32 | Self::Rate64 => "a rate such as 100mbit, in whole bytes, or `unlimited`",
            Self::Bytes => "bytes in hexadecimal",
        }
    }

    /// What a text says.
    pub fn parsed(self, text: &str) -> Option<Amount> {
        let small = |number: u64| u32::try_from(number).ok().map(|_| Amount::Number(number));
        match self {
            Self::Number => small(scaled(text, &SIZES)?),
            Self::Byte => text.parse::<u8>().ok().map(|byte| Amount::Number(byte.into())),
            Self::Signed => {
                let number: i32 = text.parse().ok()?;
                Some(Amount::Number(number.cast_unsigned().into()))
            }
            Self::Flag | Self::FlagByte => match text {
                "on" | "1" | "yes" | "true" => Some(Amount::Number(1)),
                "off" | "0" | "no" | "false" => Some(Amount::Number(0)),
                _ => None,
            },
            Self::Microseconds => small(nanoseconds(text, 1000)? / 1000),
            Self::CodelTime => small(codel_read(codel_written(nanoseconds(text, 1000)? / 1000)?)?),
            Self::Nanoseconds => small(nanoseconds(text, 1)?),
            Self::Rate32 if text == "unlimited" => Some(Amount::Number(u32::MAX.into())),
            Self::Rate32 => small(bytes_per_second(text)?),
            Self::Rate64 if text == "unlimited" => Some(Amount::Number(0)),
            Self::Rate64 => bytes_per_second(text).map(Amount::Number),
            Self::Bytes => {
                let digits = text.strip_prefix("0x")?;
                if digits.len() % 2 != 0 || digits.len() > 2 * MAX_BYTES || !digits.is_ascii() {
                    return None;
                }
                let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
                (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>().map(Amount::Bytes)
            }
        }
    }

    /// As text.
    pub fn printed(self, amount: &Amount) -> String {
        let number = match amount {
            Amount::Number(number) => *number,
            Amount::Bytes(bytes) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                return format!("0x{digits}");
            }
        };
        match self {
            Self::Signed => (number as u32).cast_signed().to_string(),
            Self::Flag | Self::FlagByte if number == 0 => "off".to_owned(),
            Self::Flag | Self::FlagByte => "on".to_owned(),
            Self::Microseconds | Self::CodelTime => format!("{number}us"),
            Self::Nanoseconds => format!("{number}ns"),
            Self::Rate32 if number == u64::from(u32::MAX) => "unlimited".to_owned(),
            Self::Rate64 if number == 0 => "unlimited".to_owned(),
            Self::Rate32 | Self::Rate64 => format!("{}bit", u128::from(number) * 8),
            Self::Number | Self::Byte | Self::Bytes => number.to_string(),
        }
    }

    /// As the kernel takes it.
    pub fn encoded(self, amount: &Amount) -> Vec<u8> {
        let number = match amount {
            Amount::Number(number) => *number,
            Amount::Bytes(bytes) => return bytes.clone(),
        };
        match self {
            Self::Byte | Self::FlagByte => vec![number as u8],
            Self::Rate64 => number.to_ne_bytes().to_vec(),
            Self::CodelTime => {
                let written = codel_written(number).unwrap_or(number);
                (written as u32).to_ne_bytes().to_vec()
            }
            _ => (number as u32).to_ne_bytes().to_vec(),
        }
    }

    /// As the kernel tells it; none where it has another size.
    pub fn decoded(self, bytes: &[u8]) -> Option<Amount> {
        let size = match self {
            Self::Bytes => {
                return (bytes.len() <= MAX_BYTES).then(|| Amount::Bytes(bytes.to_vec()));
            }
            Self::Byte | Self::FlagByte => 1,
            Self::Rate64 => 8,
            _ => 4,
        };
        let number = number(bytes).ok().filter(|_| bytes.len() == size)?;
        Some(Amount::Number(match self {
            Self::Flag | Self::FlagByte => u64::from(number != 0),
            _ => number,
        }))
    }
}

/// What codel reads where this was written (`codel_time_to_us` in include/net/codel.h).
fn codel_read(written: u64) -> Option<u64> {
    Some((written.checked_mul(1000)? >> 10 << 10) / 1000)
}

/// What has to be written for codel to read this, or the least above it that it can read.
fn codel_written(reads: u64) -> Option<u64> {
    let ticks = reads.checked_mul(1000)?.div_ceil(1024);
    Some(ticks.checked_mul(1024)?.div_ceil(1000))
}

/// A number with one of these units behind it.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A time; a bare number counts in `bare` nanoseconds.
fn nanoseconds(text: &str, bare: u64) -> Option<u64> {
    scaled(text, &[("", bare), ("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000)])
}

fn bytes_per_second(text: &str) -> Option<u64> {
    // As tc writes it, and as scripts do.
    let lower = text.strip_suffix("/s").unwrap_or(text).to_ascii_lowercase();
    let units = [("bit", 1), ("kbit", 1000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)];
    let bits = scaled(&lower, &units)?;
    (bits % 8 == 0).then_some(bits / 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codel_reads_what_was_meant() {
        // The default target: 5 ms written are 4,999 µs read.
        assert_eq!(codel_read(5000), Some(4999));
        assert_eq!(codel_written(4999), Some(5000));
        assert_eq!(Form::CodelTime.parsed("4999us"), Some(Amount::Number(4999)));
        assert_eq!(Form::CodelTime.encoded(&Amount::Number(4999)), 5000_u32.to_ne_bytes());
    }

    proptest! {
        #[test]
        fn codel_gets_back_whatever_it_has(ticks in 0_u64..u64::from(u32::MAX)) {
            let reads = ticks * 1024 / 1000;
            prop_assert_eq!(codel_read(codel_written(reads).unwrap()), Some(reads));
        }

        #[test]
        fn what_is_printed_is_read(number in 0_u64..u64::from(u32::MAX)) {
            for form in [Form::Number, Form::Signed, Form::Microseconds, Form::Nanoseconds, Form::Rate32, Form::Rate64] {
                let amount = Amount::Number(number);
                prop_assert_eq!(form.parsed(&form.printed(&amount)), Some(amount.clone()));
                prop_assert_eq!(form.decoded(&form.encoded(&amount)), Some(amount));
            }
        }
    }
}
