//! The units in which files count.

use crate::catalogue::setting::{Kind, SizeUnit, TimeUnit};
use crate::syntax::literal::Dimension;

impl SizeUnit {
    /// Bytes in one.
    pub fn bytes(self) -> i128 {
        match self {
            Self::Bytes => 1,
            Self::Sectors => 512,
            Self::KiB => 1 << 10,
            Self::MiB => 1 << 20,
            Self::Pages => 4 << 10,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Sectors => "sectors of 512 bytes",
            Self::KiB => "KiB",
            Self::MiB => "MiB",
            Self::Pages => "pages of 4 KiB",
        }
    }
}

impl TimeUnit {
    /// Nanoseconds in one.
    pub fn nanoseconds(self) -> i128 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
            Self::Centiseconds | Self::UserHz => 10_000_000,
            Self::S => 1_000_000_000,
            Self::Minutes => 60_000_000_000,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ns => "nanoseconds",
            Self::Us => "microseconds",
            Self::Ms => "milliseconds",
            Self::Centiseconds | Self::UserHz => "hundredths of a second",
            Self::S => "seconds",
            Self::Minutes => "minutes",
        }
    }
}

/// What a kind counts in: base units in one, and its name.
pub(super) fn unit(kind: &Kind) -> Option<(Dimension, i128, &'static str)> {
    match kind {
        Kind::Size(unit) | Kind::Sizes(unit, _) => {
            Some((Dimension::Size, unit.bytes(), unit.name()))
        }
        Kind::Time(unit) => Some((Dimension::Time, unit.nanoseconds(), unit.name())),
        Kind::Frequency => Some((Dimension::Frequency, 1_000, "kHz")),
        _ => None,
    }
}
