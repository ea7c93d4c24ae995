//! Sizes, written as `"512MiB"`.

use super::quantity::{self, quoted};
use super::*;

/// A size in bytes. Its text form is a whole number with a binary unit: `"4096B"`, `"512MiB"`,
/// `"2GiB"`; a bare number counts bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// Why a text is not a size.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseBytesError {
    /// no number at the start
    #[error("`{0}` is not a size: expected a whole number and a unit, such as \"512MiB\"")]
    Number(String),
    /// a unit that is not ours
    #[error("`{0}` is not a unit of size: expected B, KiB, MiB, GiB or TiB")]
    Unit(String),
    /// beyond 64 bits
    #[error("`{0}` is larger than any machine: at most 16 EiB")]
    TooLarge(String),
}

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Bytes {
    /// `n` binary kilobytes (1,024 bytes each).
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// `n` binary megabytes (1,048,576 bytes each).
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` binary gigabytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// The size for a picture or a table: at most one decimal, the largest unit that gives at least
    /// one (`3.0 GiB`, `512 MiB`).
    pub fn human(self) -> String {
        for (unit, factor) in UNITS {
            if self.0 >= factor {
                let tenths = u128::from(self.0) * 10 / u128::from(factor);
                return match tenths % 10 {
                    0 => format!("{} {unit}", tenths / 10),
                    tenth => format!("{}.{tenth} {unit}", tenths / 10),
                };
            }
        }
        "0 B".to_owned()
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quantity::write(f, self.0, &UNITS)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = quantity::split(text);
        if number.is_empty() {
            return Err(ParseBytesError::Number(quoted(text)));
        }
        let too_large = || ParseBytesError::TooLarge(quoted(text));
        let number: u64 = number.parse().map_err(|_| too_large())?;
        let worth = match unit {
            "" => 1,
            _ => {
                quantity::worth(unit, &UNITS).ok_or_else(|| ParseBytesError::Unit(quoted(unit)))?
            }
        };
        number.checked_mul(worth).map(Self).ok_or_else(too_large)
    }
}

serde_as_text!(Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_as_people_write_them() {
        assert_eq!("512MiB".parse(), Ok(Bytes::mib(512)));
        assert_eq!(" 4 GiB ".parse(), Ok(Bytes::gib(4)));
        assert_eq!("4096".parse(), Ok(Bytes(4096)));
    }

    #[test]
    fn refuses_what_is_no_size() {
        assert!(matches!("".parse::<Bytes>(), Err(ParseBytesError::Number(_))));
        assert!(matches!("512MB".parse::<Bytes>(), Err(ParseBytesError::Unit(_))));
        assert!(matches!("-1".parse::<Bytes>(), Err(ParseBytesError::Number(_))));
        assert!(matches!("99999999999TiB".parse::<Bytes>(), Err(ParseBytesError::TooLarge(_))));
        assert!(matches!(
            "99999999999999999999".parse::<Bytes>(),
            Err(ParseBytesError::TooLarge(_))
        ));
    }

    proptest::proptest! {
        #[test]
        fn text_form_reads_back(n: u64) {
            proptest::prop_assert_eq!(Bytes(n).to_string().parse(), Ok(Bytes(n)));
        }
    }
}
