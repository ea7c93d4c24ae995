//! Fetching packages' files into a private apt directory.

use std::fs;
use std::path::PathBuf;

use super::DebianError;
use super::control::Stanza;
use super::private::PrivateApt;
use super::run::{Watch, run};
use crate::progress::Progress;

impl PrivateApt<'_> {
    /// Fetches one version of a package into the cache, where it is not there.
    pub(super) fn download(
        &self,
        package: &str,
        version: &str,
        stanza: &Stanza,
        progress: &dyn Progress,
    ) -> Result<PathBuf, DebianError> {
        let pool = stanza.get("Filename").and_then(|name| name.rsplit('/').next());
        let pool = pool.unwrap_or(package);
        // Two versions never share a name in the pool, but an epoch does not stand in it.
        let path = self.path("debs").join(pool);
        if path.exists() {
            return Ok(path);
        }
        let fetching = tempfile::tempdir_in(self.path("debs"))
            .map_err(|error| DebianError::Cache(self.path("debs"), error))?;
        let arguments = ["download".to_owned(), format!("{package}={version}")];
        let total = stanza.get("Size").and_then(|size| size.parse().ok()).unwrap_or(0);
        let watch = Watch { directories: &[fetching.path()], total, progress };
        let fetched =
            run("apt-get", &self.path("apt.conf"), &arguments, fetching.path(), Some(&watch));
        fetched?.map_err(|reason| match is_gone(&reason) {
            true => DebianError::Gone {
                suite: self.suite().to_owned(),
                package: package.to_owned(),
                version: version.to_owned(),
            },
            false => DebianError::Fetch {
                suite: self.suite().to_owned(),
                package: package.to_owned(),
                reason,
            },
        })?;
        let cache = |error| DebianError::Cache(fetching.path().to_owned(), error);
        for entry in fs::read_dir(fetching.path()).map_err(cache)? {
            let fetched = entry.map_err(cache)?.path();
            if fetched.extension().is_some_and(|extension| extension == "deb") {
                fs::rename(&fetched, &path).map_err(cache)?;
                return Ok(path);
            }
        }
        Err(DebianError::Fetch {
            suite: self.suite().to_owned(),
            package: package.to_owned(),
            reason: "apt fetched nothing".to_owned(),
        })
    }

    /// Fetches packages with all that they depend on, as if nothing at all were installed.
    pub(super) fn download_closure(
        &self,
        packages: &[&str],
        progress: &dyn Progress,
    ) -> Result<Vec<PathBuf>, DebianError> {
        let failed = |reason| DebianError::Fetch {
            suite: self.suite().to_owned(),
            package: packages.join(" "),
            reason,
        };
        let install = |option: &str| {
            let mut arguments = vec!["install".to_owned(), option.to_owned()];
            arguments.extend(packages.iter().map(|package| (*package).to_owned()));
            arguments
        };
        let plan = self.run("apt-get", &install("--simulate"), self.root())?.map_err(failed)?;
        let missing = self.run("apt-get", &install("--print-uris"), self.root())?;
        let total: u64 = missing.map_err(failed)?.lines().filter_map(uri_size).sum();
        let archives = self.path("cache/archives");
        if total > 0 {
            let partial = archives.join("partial");
            let watch = Watch { directories: &[&archives, &partial], total, progress };
            let arguments = install("--download-only");
            let conf = self.path("apt.conf");
            let fetched = run("apt-get", &conf, &arguments, self.root(), Some(&watch))?;
            fetched.map_err(|reason| match is_gone(&reason) {
                true => DebianError::Gone {
                    suite: self.suite().to_owned(),
                    package: packages.join(" "),
                    version: "(or something that it needs)".to_owned(),
                },
                false => failed(reason),
            })?;
        }
        let mut paths: Vec<PathBuf> =
            plan.lines().filter_map(archive_name).map(|name| archives.join(name)).collect();
        paths.sort();
        match paths.iter().find(|path| fs::metadata(path).map_or(0, |data| data.len()) == 0) {
            Some(missing) => Err(failed(format!("apt did not fetch {}", missing.display()))),
            None => Ok(paths),
        }
    }
}

/// Whether apt says that a file is not in the archive, rather than that it cannot be reached.
fn is_gone(reason: &str) -> bool {
    ["404 ", "File not found"].iter().any(|words| reason.contains(words))
}

/// The size in a line `'URI' NAME SIZE DIGEST`, of what apt would fetch.
fn uri_size(line: &str) -> Option<u64> {
    line.strip_prefix('\'')?.split_once("' ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The file name in apt's archive directory of a line `Inst NAME (VERSION ORIGIN [ARCH])`.
fn archive_name(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Inst ")?;
    let (name, rest) = rest.split_once(" (")?;
    let name = name.split([' ', ':']).next()?;
    let (inside, _) = rest.split_once(')')?;
    let version = inside.split_whitespace().next()?.replace(':', "%3a");
    let architecture = inside.rsplit_once('[')?.1.split_once(']')?.0;
    Some(format!("{name}_{version}_{architecture}.deb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apts_plan_names_the_archives() {
        let line = "Inst libc6 (2:2.36-9+deb12u13 Debian:12.12/oldstable [amd64])";
        assert_eq!(archive_name(line).unwrap(), "libc6_2%3a2.36-9+deb12u13_amd64.deb");
        let line = "Inst libgcc-s1 (12.2.0-14 Debian:12.12/oldstable [amd64]) [libc6:amd64 ] []";
        assert_eq!(archive_name(line).unwrap(), "libgcc-s1_12.2.0-14_amd64.deb");
        assert_eq!(archive_name("Conf libc6 (2.36 Debian [amd64])"), None);
    }

    #[test]
    fn sizes_of_what_is_missing_are_read() {
        let line = "'http://m.example/a_1_amd64.deb' a_1_amd64.deb 123 SHA256:00";
        assert_eq!(uri_size(line), Some(123));
        assert_eq!(uri_size("Reading package lists..."), None);
    }
}
