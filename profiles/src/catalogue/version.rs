//! Kernel versions, and ranges of them.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A kernel's version as far as settings depend on it: `6.12`. The patch level is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Version {
    /// `6` in 6.12.
    pub major: u16,
    /// `12` in 6.12.
    pub minor: u16,
}

impl Version {
    /// The version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

/// What is wrong with a version or a range of versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// no `major.minor`
    #[error("`{0}` is no kernel version: write it as 6.12")]
    NotAVersion(String),
    /// no `..` in a range
    #[error("`{0}` is no range of kernel versions: write it as 5.13..6.6, 6.6.. or ..5.13")]
    NotARange(String),
    /// the range holds no version
    #[error(
        "the range of kernel versions `{0}` is empty: the version behind `..` is the first without"
    )]
    Empty(String),
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `6.12`, and of a release such as `6.12.117+deb12-cloud-amd64` its beginning.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let wrong = || VersionError::NotAVersion(text.to_owned());
        let (major, rest) = text.split_once('.').ok_or_else(wrong)?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(rest);
        let number = |digits: &str| digits.parse::<u16>().map_err(|_| wrong());
        Ok(Self::new(number(major)?, number(minor)?))
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A half-open range of kernel versions: `5.13..6.6` holds 5.13 and no longer 6.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct KernelRange {
    /// The first version within, if there is a first.
    pub since: Option<Version>,
    /// The first version no longer within, if there is one.
    pub until: Option<Version>,
}

impl KernelRange {
    /// Whether a version lies within.
    pub fn contains(&self, version: Version) -> bool {
        self.since.is_none_or(|since| since <= version)
            && self.until.is_none_or(|until| version < until)
    }
}

impl FromStr for KernelRange {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (since, until) =
            text.split_once("..").ok_or_else(|| VersionError::NotARange(text.to_owned()))?;
        let end = |end: &str| (!end.is_empty()).then(|| end.parse::<Version>()).transpose();
        let range = Self { since: end(since)?, until: end(until)? };
        if let (Some(since), Some(until)) = (range.since, range.until)
            && since >= until
        {
            return Err(VersionError::Empty(text.to_owned()));
        }
        Ok(range)
    }
}

impl TryFrom<String> for KernelRange {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl fmt::Display for KernelRange {
    /// As a person says it: `since 5.13, until 6.6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.since, self.until) {
            (None, None) => f.write_str("all"),
            (Some(since), None) => write!(f, "since {since}"),
            (None, Some(until)) => write!(f, "before {until}"),
            (Some(since), Some(until)) => write!(f, "since {since}, before {until}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open() {
        let range: KernelRange = "5.13..6.6".parse().unwrap();
        let holds = |version: &str| range.contains(version.parse().unwrap());
        assert!(!holds("5.12") && holds("5.13") && holds("6.5") && !holds("6.6") && !holds("6.12"));
        let open: KernelRange = "6.6..".parse().unwrap();
        assert!(open.contains(Version::new(7, 2)) && !open.contains(Version::new(6, 1)));
    }

    #[test]
    fn versions_are_numbers_not_decimals() {
        assert!(Version::new(6, 12) > Version::new(6, 6));
        let release: Version = "6.12.117+deb12-cloud-amd64".parse().unwrap();
        assert_eq!(release, Version::new(6, 12));
    }

    #[test]
    fn refuses_what_is_no_range() {
        assert!(matches!("6.6".parse::<KernelRange>(), Err(VersionError::NotARange(_))));
        assert!(matches!("6.6..5.10".parse::<KernelRange>(), Err(VersionError::Empty(_))));
        assert!(matches!("six..".parse::<KernelRange>(), Err(VersionError::NotAVersion(_))));
        assert!(matches!("99999.1..".parse::<KernelRange>(), Err(VersionError::NotAVersion(_))));
    }
}
