//! A kernel as far as settings depend on it, and where a setting is in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::dump::dump;
use super::place::{Absent, Access, Place};
use super::setting::Setting;
use super::version::{KernelRange, Version, VersionError};

/// Debian's flavours of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Flavour {
    /// `linux-image-cloud-amd64`: for virtual machines, few drivers.
    Cloud,
    /// `linux-image-amd64`.
    Generic,
    /// `linux-image-rt-amd64`: PREEMPT_RT.
    Rt,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cloud => "cloud",
            Self::Generic => "generic",
            Self::Rt => "rt",
        })
    }
}

/// A kernel that a profile is resolved for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its version.
    pub version: Version,
    /// Its flavour.
    pub flavour: Flavour,
    /// Kernel options known to be on (built in or module) or off, named with `CONFIG_`. What is not
    /// listed is not known, and taken to be on.
    pub config: BTreeMap<String, bool>,
}

/// Where a setting is in one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence<'a> {
    /// It is there.
    Present(&'a Place),
    /// It is not there, for this reason.
    Absent(String),
}

/// What is wrong with a kernel on a command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// no version
    #[error(transparent)]
    Version(#[from] VersionError),
    /// no flavour of Debian's
    #[error("`{0}` is no flavour of a kernel: there are cloud, generic and rt")]
    Flavour(String),
}

impl FromStr for Kernel {
    type Err = KernelError;

    /// Reads `6.12-rt`; without a flavour, cloud is meant. Of a kernel of the matrix, its options are
    /// known then.
    fn from_str(text: &str) -> Result<Self, KernelError> {
        Self::named(text).map(Self::with_options)
    }
}

impl Kernel {
    /// Reads `6.12-rt`, and nothing but that.
    pub(super) fn named(text: &str) -> Result<Self, KernelError> {
        let (version, flavour) = text.split_once('-').unwrap_or((text, "cloud"));
        let flavour = match flavour {
            "cloud" => Flavour::Cloud,
            "generic" => Flavour::Generic,
            "rt" => Flavour::Rt,
            other => return Err(KernelError::Flavour(other.to_owned())),
        };
        Ok(Self::new(version.parse()?, flavour))
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.version, self.flavour)
    }
}

impl Presence<'_> {
    /// Whether it is there and can be changed, as far as is known without looking at the machine.
    pub fn is_writable(&self) -> bool {
        matches!(self, Self::Present(place) if place.access != Access::ReadOnly)
    }
}

impl Kernel {
    /// A kernel of which only version and flavour are known.
    pub fn new(version: Version, flavour: Flavour) -> Self {
        Self { version, flavour, config: BTreeMap::new() }
    }

    /// The same with the options that were found in it, where it is in the matrix.
    #[must_use]
    pub fn with_options(self) -> Self {
        // The tests rule out that a dump cannot be read.
        match dump(&self) {
            Ok(Some(dump)) => dump.kernel,
            _ => self,
        }
    }

    /// Where a setting is in this kernel: the first of its places that fits, or why none does. A
    /// [record](super::Kind::Record) has no place: ask for its parts.
    pub fn find<'a>(&self, setting: &'a Setting) -> Presence<'a> {
        match setting.places.iter().find(|place| self.obstacle(place).is_none()) {
            Some(place) => Presence::Present(place),
            None => Presence::Absent(self.why_absent(setting)),
        }
    }

    /// Whether the kernel is of this range and, unless there are none, one of these flavours.
    pub fn is_within(&self, kernels: KernelRange, flavours: &[Flavour]) -> bool {
        kernels.contains(self.version) && (flavours.is_empty() || flavours.contains(&self.flavour))
    }

    fn why_absent(&self, setting: &Setting) -> String {
        let said = |absent: &&Absent| self.is_within(absent.kernels, &absent.flavours);
        if let Some(absent) = setting.absent.iter().find(said) {
            return absent.why.clone();
        }
        // Of several places, the last one's obstacle is nearest to what today's kernels do.
        let obstacle = setting.places.iter().rev().find_map(|place| self.obstacle(place));
        obstacle.unwrap_or_else(|| "the catalogue names no place for it".to_owned())
    }

    /// What keeps this kernel from having a place.
    fn obstacle(&self, place: &Place) -> Option<String> {
        let version = self.version;
        if let Some(since) = place.kernels.since.filter(|since| version < *since) {
            return Some(format!("only since Linux {since}; this is {version}"));
        }
        if let Some(until) = place.kernels.until.filter(|until| version >= *until) {
            return Some(format!("gone since Linux {until}; this is {version}"));
        }
        if !self.is_within(place.kernels, &place.flavours) {
            return Some(format!("{} kernels do not have it", self.flavour));
        }
        let off = |option: &&String| self.config.get(*option) == Some(&false);
        place.config.iter().find(off).map(|option| format!("this kernel is built without {option}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_a_kernel_of_the_matrix_are_known() {
        let of = |text: &str| text.parse::<Kernel>().unwrap();
        assert_eq!(of("6.12").config.get("CONFIG_ZSWAP"), Some(&false));
        assert_eq!(of("6.12-generic").config.get("CONFIG_ZSWAP"), Some(&true));
        assert_eq!(of("7.2-rt").config.get("CONFIG_PREEMPT_RT"), Some(&true));
        assert!(of("6.6-rt").config.is_empty());
        assert!("6.12-hot".parse::<Kernel>().is_err());
    }
}
