//! Finding a package and fetching it with the parts of the kernel that it depends on.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::control::{self, Stanza};
use super::private::PrivateApt;
use super::{DebianError, Package, check_name, newer};
use crate::progress::Progress;

/// How the packages begin that together are a kernel: one up to Linux 6.12, four from 7.x.
const KERNEL_PARTS: [&str; 4] = ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-"];

/// The most packages that exact dependencies may lead to.
const MAX_CHAIN: usize = 16;

/// A stanza of the lists, with what must be in it.
pub(super) struct Found {
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
pub(super) fn find(apt: &PrivateApt<'_>, package: &str) -> Result<Option<Found>, DebianError> {
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
pub(super) fn fetch_newest(
    apt: &PrivateApt<'_>,
    first: Found,
    progress: &dyn Progress,
) -> Result<Vec<Package>, DebianError> {
    let (name, newest) = (first.name.clone(), first.version.clone());
    let gone = DebianError::Gone {
        suite: apt.suite().to_owned(),
        package: name.clone(),
        version: newest.clone(),
    };
    if !apt.is_gone(&name, &newest) {
        match fetch_chain(apt, first, progress) {
            Err(DebianError::Gone { .. }) => {}
            result => return result,
        }
    }
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
            Err(DebianError::Gone { .. }) => {}
            Err(error) => return Err(error),
            Ok(packages) => {
                progress.note(&format!("{gone}: {version} is taken"));
                apt.set_gone(&name, &newest)?;
                return Ok(packages);
            }
        }
    }
    Err(gone)
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
        let path = apt.download(&found.name, &found.version, &found.stanza, progress)?;
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
pub(super) fn no_package(apt: &PrivateApt<'_>, package: &str) -> Result<DebianError, DebianError> {
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
}
