//! Packages from Debian's archive, of any suite, without touching the system's own packages.
//!
//! A [`PackageSource`] keeps a private apt directory for each suite. Where the archive is, how it is
//! reached and whose signature counts is read from the system's apt configuration; apt itself does
//! the fetching and checks signatures and digests. It works as any user.

pub mod control;
pub mod deb;
pub mod sources;

mod chain;
mod download;
mod private;
mod run;

use std::cmp::Ordering;
use std::io;
use std::path::PathBuf;

use self::chain::{fetch_newest, find, no_package};
use self::private::PrivateApt;
use crate::progress::Progress;

/// Why a package cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// A name with characters that no package or suite has.
    #[error("{0:?} is no name of a package or suite: lower-case letters, digits and `+-.~/` only")]
    Name(String),
    /// apt knows no Debian archive.
    #[error(
        "{0} names no archive of Debian for suite {1}; add an entry for Debian's own archive there"
    )]
    NoArchive(PathBuf, String),
    /// The lists cannot be fetched.
    #[error(
        "the package lists of suite {suite} cannot be fetched: {reason}; check the suite's name and \
         the network"
    )]
    Update {
        /// The suite.
        suite: String,
        /// What apt says.
        reason: String,
    },
    /// The suite lacks the package.
    #[error("suite {suite} has no package {package}; {hint}")]
    NoPackage {
        /// The suite.
        suite: String,
        /// The package.
        package: String,
        /// What can be done.
        hint: String,
    },
    /// The package cannot be fetched.
    #[error("{package} of suite {suite} cannot be fetched: {reason}; check the network")]
    Fetch {
        /// The suite.
        suite: String,
        /// The package.
        package: String,
        /// What apt says.
        reason: String,
    },
    /// The lists name a package that the archive does not have.
    #[error("{package} {version} of suite {suite} is listed in the archive and is not there")]
    Gone {
        /// The suite.
        suite: String,
        /// The package.
        package: String,
        /// Its version.
        version: String,
    },
    /// What was fetched is not what the signed lists promise.
    #[error("{0} is not what Debian's signed lists say; it was removed, try again")]
    Corrupted(PathBuf),
    /// apt is missing or cannot be run.
    #[error("cannot run {0}: {1}; packages are fetched with apt, which this machine must have")]
    Apt(&'static str, io::Error),
    /// The cache cannot be used.
    #[error("cannot use {0}: {1}; choose another cache directory, or make this one writable")]
    Cache(PathBuf, io::Error),
    /// The machine's own suite is not known.
    #[error("this machine does not run a release of Debian: name the package's suite")]
    NotDebian,
    /// A path that cannot be written in apt's configuration.
    #[error("{0:?} cannot hold a package cache: apt's configuration has no quotes or line ends")]
    Path(PathBuf),
}

/// A package in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The `.deb` file.
    pub path: PathBuf,
}

/// Fetches packages through private apt directories.
#[derive(Clone, Debug)]
pub struct PackageSource {
    cache: PathBuf,
    configuration: PathBuf,
}

impl PackageSource {
    /// A source that keeps what it fetches under `cache` (made where missing) and reads the system's
    /// configuration from `/etc/apt`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), configuration: PathBuf::from("/etc/apt") }
    }

    /// Reads apt's sources from another directory than `/etc/apt`.
    #[must_use]
    pub fn with_configuration(mut self, directory: impl Into<PathBuf>) -> Self {
        self.configuration = directory.into();
        self
    }

    /// The suite of this machine's own release, from os-release(5).
    ///
    /// # Errors
    ///
    /// [`DebianError::NotDebian`] where it is another distribution or names no suite.
    pub fn system_suite(&self) -> Result<String, DebianError> {
        let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(|value| value.trim_matches('"').to_owned())
        };
        value("VERSION_CODENAME")
            .filter(|_| value("ID").as_deref() == Some("debian"))
            .ok_or(DebianError::NotDebian)
    }

    /// Tells the state of a suite's lists, `None` where they would be fetched again before anything
    /// else: while it stays the same, so do the packages that [`PackageSource::fetch`] gives.
    pub fn stamp(&self, suite: &str) -> Option<String> {
        private::stamp(&self.cache.join(suite.replace('/', "_")))
    }

    /// Fetches a package of a suite and, for the kernel's packages, those of its dependencies that
    /// hold parts of the kernel (`linux-image-*`, `linux-binary-*`, `linux-modules-*`,
    /// `linux-base-*`). The package
    /// that was asked for comes first.
    ///
    /// A suite is its whole family: `bookworm` includes its updates and security updates, and the
    /// newest wins. `linux-image-6.12-rt-amd64` is short for the newest `linux-image-6.12.…-rt-amd64`.
    ///
    /// # Errors
    ///
    /// Every variant of [`DebianError`]. What is in the cache needs no network.
    pub fn fetch(
        &self,
        package: &str,
        suite: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Package>, DebianError> {
        check_name(package)?;
        let apt = PrivateApt::open(self, suite, progress)?;
        let Some(first) = find(&apt, package)? else {
            // Lists may be a day old: what they lack may have come since.
            apt.refresh(progress)?;
            return match find(&apt, package)? {
                Some(first) => fetch_newest(&apt, first, progress),
                None => Err(no_package(&apt, package)?),
            };
        };
        match fetch_newest(&apt, first, progress) {
            // A mirror drops a version when a newer one comes: the lists may be too old.
            Err(DebianError::Gone { .. }) if apt.refresh(progress)? => {
                let first = find(&apt, package)?.ok_or(no_package(&apt, package)?)?;
                fetch_newest(&apt, first, progress)
            }
            result => result,
        }
    }

    /// Fetches packages with everything that they depend on, down to the C library, recommendations
    /// left out: enough to unpack a tree that stands on its own.
    ///
    /// # Errors
    ///
    /// Every variant of [`DebianError`]. What is in the cache needs no network.
    pub fn fetch_closure(
        &self,
        packages: &[&str],
        suite: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<PathBuf>, DebianError> {
        for package in packages {
            check_name(package)?;
        }
        let apt = PrivateApt::open(self, suite, progress)?;
        for package in packages {
            if apt.show(package)?.is_none() {
                apt.refresh(progress)?;
                if apt.show(package)?.is_none() {
                    return Err(no_package(&apt, package)?);
                }
            }
        }
        progress.step(&format!("fetch {} from {suite}", packages.join(" ")));
        match apt.download_closure(packages, progress) {
            Err(DebianError::Gone { .. }) if apt.refresh(progress)? => {
                apt.download_closure(packages, progress)
            }
            result => result,
        }
    }
}

fn check_name(name: &str) -> Result<(), DebianError> {
    let valid = name
        .starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.len() <= 200
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.~/".contains(&byte)
        })
        && !name.contains("..")
        && !name.contains("//");
    if valid { Ok(()) } else { Err(DebianError::Name(name.chars().take(200).collect())) }
}

/// The newer of two versions, for those who choose between packages.
pub fn newer(a: &str, b: &str) -> bool {
    control::compare_versions(a, b) == Ordering::Greater
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_be_options_or_paths() {
        for bad in ["", "-o", "A", "a b", "../x", "a\n", "a;b", "/etc"] {
            assert!(matches!(check_name(bad), Err(DebianError::Name(_))), "{bad:?}");
        }
        assert!(check_name("linux-image-6.12.117+deb12-rt-amd64").is_ok());
    }
}
