//! Packages from Debian's archive, of any suite, without touching the system's own packages.
//!
//! A [`PackageSource`] keeps a private apt directory for each suite. Where the archive is, how it is
//! reached and whose signature counts is read from the system's apt configuration; apt itself does
//! the fetching and checks signatures and digests. It works as any user.

pub mod control;
pub mod deb;
pub mod sources;

mod private;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use self::control::Stanza;
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
    /// The lists cannot be fetched and there are no older ones.
    #[error(
        "the package lists of suite {suite} cannot be fetched, and none were fetched before: \
         {reason}; check the suite's name and the network"
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
    /// What was fetched is not what the signed lists promise.
    #[error("{0} is not what Debian's signed lists say; it was removed, try again")]
    Corrupted(PathBuf),
    /// apt is missing or cannot be run.
    #[error("cannot run {0}: {1}; packages are fetched with apt, which this machine must have")]
    Apt(&'static str, io::Error),
    /// The cache cannot be used.
    #[error("cannot use {0}: {1}")]
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

/// How the packages begin that together are a kernel: one up to Linux 6.12, four from 7.x.
const KERNEL_PARTS: [&str; 4] = ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-"];

/// The most packages that exact dependencies may lead to.
const MAX_CHAIN: usize = 16;

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
            Err(DebianError::Fetch { .. }) if apt.refresh(progress)? => {
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
        match apt.download_closure(packages) {
            Err(DebianError::Fetch { .. }) if apt.refresh(progress)? => {
                apt.download_closure(packages)
            }
            result => result,
        }
    }
}

/// A stanza of the lists, with what must be in it.
struct Found {
    stanza: Stanza,
    name: String,
    version: String,
}

impl Found {
    fn new(stanza: Stanza) -> Option<Self> {
        let name = stanza.get("Package")?.to_owned();
        let version = stanza.get("Version")?.to_owned();
        Some(Self { stanza, name, version })
    }
}

/// The package's newest version, its name taken as it is or as the short form of a kernel's.
fn find(apt: &PrivateApt<'_>, package: &str) -> Result<Option<Found>, DebianError> {
    if let Some(stanza) = apt.show(package)? {
        return Ok(Found::new(stanza));
    }
    let Some((prefix, flavour)) = short_kernel(package) else { return Ok(None) };
    let names = apt.names(prefix)?;
    let mut matching: Vec<&String> =
        names.iter().filter(|name| is_release_of(name, prefix, flavour)).collect();
    matching.sort_by(|a, b| control::compare_versions(a, b));
    // Lists name packages that only others' dependencies mention: the newest that exists counts.
    for name in matching.into_iter().rev() {
        if let Some(stanza) = apt.show(name)? {
            return Ok(Found::new(stanza));
        }
    }
    Ok(None)
}

/// Splits `linux-image-6.12-rt-amd64` into `linux-image-6.12` and `-rt-amd64`.
fn short_kernel(package: &str) -> Option<(&str, &str)> {
    let release = package.strip_prefix("linux-image-")?;
    let flavour = release.find('-')?;
    let (version, _) = release.split_at(flavour);
    let (major, minor) = version.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(major) && digits(minor)).then(|| package.split_at("linux-image-".len() + flavour))
}

/// Whether `name` is a kernel of the series `prefix` in exactly this flavour.
fn is_release_of(name: &str, prefix: &str, flavour: &str) -> bool {
    let middle = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(flavour));
    middle.is_some_and(|middle| {
        let starts = middle.starts_with(['.', '-', '+', '~']);
        // `-` and a letter begin a flavour, as in `-cloud`.
        let other_flavour = middle
            .split('-')
            .skip(1)
            .any(|piece| piece.starts_with(|first: char| first.is_ascii_alphabetic()));
        starts && !other_flavour
    })
}

/// Fetches `first`, or the newest older version that the archive still has: where long-term support
/// of a release has ended, its security archive lists packages that are gone.
fn fetch_newest(
    apt: &PrivateApt<'_>,
    first: Found,
    progress: &dyn Progress,
) -> Result<Vec<Package>, DebianError> {
    let (name, newest) = (first.name.clone(), first.version.clone());
    let failure = match apt.is_gone(&name, &newest) {
        true => None,
        false => match fetch_chain(apt, first, progress) {
            Err(error @ DebianError::Fetch { .. }) => Some(error),
            result => return result,
        },
    };
    let mut older: Vec<Found> = apt
        .show_all(&name)?
        .into_iter()
        .filter_map(Found::new)
        .filter(|found| newer(&newest, &found.version))
        .collect();
    older.sort_by(|a, b| control::compare_versions(&b.version, &a.version));
    for found in older {
        let version = found.version.clone();
        match fetch_chain(apt, found, progress) {
            Err(DebianError::Fetch { .. }) => {}
            Err(error) => return Err(error),
            Ok(packages) => {
                progress.note(&format!(
                    "{name}: the archive lists {newest} and does not have it; {version} is taken"
                ));
                apt.set_gone(&name, &newest)?;
                return Ok(packages);
            }
        }
    }
    // The error of the newest tells most.
    Err(failure.unwrap_or_else(|| DebianError::Fetch {
        suite: apt.suite().to_owned(),
        package: name,
        reason: format!("the archive lists {newest} and does not have it"),
    }))
}

/// Fetches `first` and the parts of the kernel that it depends on.
fn fetch_chain(
    apt: &PrivateApt<'_>,
    first: Found,
    progress: &dyn Progress,
) -> Result<Vec<Package>, DebianError> {
    let mut fetched = Vec::new();
    let mut seen = BTreeSet::from([first.name.clone()]);
    let mut waiting = vec![first];
    while let Some(found) = waiting.pop() {
        for alternatives in control::dependencies(found.stanza.get("Depends").unwrap_or_default()) {
            let part = alternatives
                .iter()
                .find(|one| KERNEL_PARTS.iter().any(|prefix| one.package.starts_with(prefix)));
            let Some(part) = part else { continue };
            if check_name(&part.package).is_err()
                || seen.len() >= MAX_CHAIN
                || !seen.insert(part.package.clone())
            {
                continue;
            }
            let stanza = match &part.exact {
                Some(version) => apt.show_version(&part.package, version)?,
                None => apt.show(&part.package)?,
            };
            let next = stanza.and_then(Found::new);
            waiting.push(next.ok_or(no_package(apt, &part.package)?)?);
        }
        progress.step(&format!("fetch {} {}", found.name, found.version));
        let path = apt.download(&found.name, &found.version, found.stanza.get("Filename"))?;
        verify(&path, found.stanza.get("SHA256"))?;
        fetched.push(Package { name: found.name, version: found.version, path });
    }
    Ok(fetched)
}

/// Checks a cached file against the digest in the signed lists.
fn verify(path: &Path, expected: Option<&str>) -> Result<(), DebianError> {
    let cache = |error| DebianError::Cache(path.to_owned(), error);
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path).map_err(cache)?, &mut hasher).map_err(cache)?;
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if expected != Some(&*found) {
        std::fs::remove_file(path).map_err(cache)?;
        return Err(DebianError::Corrupted(path.to_owned()));
    }
    Ok(())
}

/// The error for a package that is not there, with the nearest that are.
fn no_package(apt: &PrivateApt<'_>, package: &str) -> Result<DebianError, DebianError> {
    let mut stem: String = package
        .char_indices()
        .take_while(|(index, letter)| *index < 12 || !letter.is_ascii_digit())
        .map(|(_, letter)| letter)
        .collect();
    let mut near = apt.names(&stem)?;
    while near.is_empty() && stem.pop().is_some() && stem.len() > 3 {
        near = apt.names(&stem)?;
    }
    let same_end = |name: &String| {
        let end = package.rsplit('-').next().unwrap_or_default();
        name.ends_with(end) && !name.contains("dbg")
    };
    near.sort_by(|a, b| {
        same_end(b).cmp(&same_end(a)).then_with(|| control::compare_versions(b, a))
    });
    near.truncate(5);
    let hint = match near.is_empty() {
        true => "check the spelling, or name another suite".to_owned(),
        false => format!("it has {}", near.join(", ")),
    };
    Ok(DebianError::NoPackage { suite: apt.suite().to_owned(), package: package.to_owned(), hint })
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
    fn the_short_form_names_a_series_in_one_flavour() {
        let (prefix, flavour) = short_kernel("linux-image-6.12-amd64").unwrap();
        assert_eq!((prefix, flavour), ("linux-image-6.12", "-amd64"));
        assert!(is_release_of("linux-image-6.12.117+deb12-amd64", prefix, flavour));
        assert!(is_release_of("linux-image-6.12-1-amd64", prefix, flavour));
        assert!(!is_release_of("linux-image-6.12.117+deb12-rt-amd64", prefix, flavour));
        assert!(!is_release_of("linux-image-6.120.1-amd64", prefix, flavour));
        assert!(!is_release_of("linux-image-6.12.117+deb12-amd64-dbg", prefix, flavour));
        assert_eq!(short_kernel("linux-image-rt-amd64"), None);
        assert_eq!(short_kernel("linux-image-6.1.0-56-cloud-amd64"), None);
    }

    #[test]
    fn names_cannot_be_options_or_paths() {
        for bad in ["", "-o", "A", "a b", "../x", "a\n", "a;b", "/etc"] {
            assert!(matches!(check_name(bad), Err(DebianError::Name(_))), "{bad:?}");
        }
        assert!(check_name("linux-image-6.12.117+deb12-rt-amd64").is_ok());
    }
}
