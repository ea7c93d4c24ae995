//! One private apt directory: the sources, lists and archives of one suite and its family.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};

use super::control::{self, Stanza};
use super::sources::{self, Family, Source};
use super::{DebianError, PackageSource, check_name};
use crate::progress::Progress;

/// How old lists may be before they are fetched again.
const LISTS_KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// How old lists must be for it to be worth while to fetch them again when something is missing.
const LISTS_RETRY: Duration = Duration::from_secs(10 * 60);

/// The most that is read of a program's output, in bytes.
const MAX_OUTPUT: u64 = 64 << 20;

/// A private apt directory, held by this process alone.
pub(super) struct PrivateApt<'a> {
    source: &'a PackageSource,
    family: Family,
    root: PathBuf,
    _lock: Flock<fs::File>,
}

impl<'a> PrivateApt<'a> {
    /// Opens the directory of a suite, made where missing, its lists fetched where they are missing
    /// or a day old.
    pub(super) fn open(
        source: &'a PackageSource,
        suite: &str,
        progress: &dyn Progress,
    ) -> Result<Self, DebianError> {
        check_name(suite)?;
        let root = source.cache.join(suite.replace('/', "_"));
        let text = root.to_str().filter(|text| !text.contains(['"', '\n', '\\', ';']));
        if text.is_none() {
            return Err(DebianError::Path(root));
        }
        for directory in
            ["sources", "empty", "lists/partial", "cache/archives/partial", "log", "debs"]
        {
            let path = root.join(directory);
            fs::create_dir_all(&path).map_err(|error| DebianError::Cache(path, error))?;
        }
        let lock = lock(&root.join("lock"), progress)?;
        let apt = Self { source, family: sources::family(suite), root, _lock: lock };
        apt.write("status", "")?;
        apt.configure()?;
        if apt.configure_sources()? || !apt.lists_are_fresh() {
            match apt.update(progress) {
                Err(error) if apt.has_lists() => progress.note(&format!(
                    "going on with the package lists of {suite} from an earlier day: {error}"
                )),
                result => result?,
            }
        }
        Ok(apt)
    }

    pub(super) fn suite(&self) -> &str {
        &self.family.suite
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), DebianError> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|error| DebianError::Cache(path, error))
    }

    /// Writes the configuration that is read behind the system's own, so that its proxies count and
    /// its hooks do not.
    fn configure(&self) -> Result<(), DebianError> {
        let root = self.root.display();
        let mut text = format!(
            "#clear APT::Update::Pre-Invoke;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             #clear DPkg::Pre-Install-Pkgs;\n\
             #clear DPkg::Pre-Invoke;\n\
             #clear DPkg::Post-Invoke;\n\
             #clear APT::Default-Release;\n\
             Dir::Etc \"{root}/empty\";\n\
             Dir::Etc::sourcelist \"/dev/null\";\n\
             Dir::Etc::sourceparts \"{root}/sources\";\n\
             Dir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"{root}/empty\";\n\
             Dir::Etc::trusted \"/etc/apt/trusted.gpg\";\n\
             Dir::Etc::trustedparts \"/etc/apt/trusted.gpg.d\";\n\
             Dir::State \"{root}\";\n\
             Dir::State::lists \"{root}/lists\";\n\
             Dir::State::status \"{root}/status\";\n\
             Dir::State::extended_states \"{root}/extended_states\";\n\
             Dir::Cache \"{root}/cache\";\n\
             Dir::Cache::archives \"{root}/cache/archives\";\n\
             Dir::Cache::pkgcache \"pkgcache.bin\";\n\
             Dir::Cache::srcpkgcache \"srcpkgcache.bin\";\n\
             Dir::Log \"{root}/log\";\n\
             APT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\n\
             APT::Install-Recommends \"false\";\n\
             APT::Install-Suggests \"false\";\n\
             APT::Immediate-Configure \"false\";\n\
             APT::Get::Assume-Yes \"true\";\n\
             APT::Keep-Downloaded-Packages \"true\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             Debug::NoLocking \"true\";\n\
             quiet \"2\";\n"
        );
        // The user that apt would turn into for fetching need not be able to write to the cache.
        let user = nix::unistd::Uid::effective();
        if user.is_root() {
            text.push_str("APT::Sandbox::User \"root\";\n");
        }
        if self.family.preferred {
            text.push_str(&format!("APT::Default-Release \"{}\";\n", self.family.suite));
        }
        self.write("apt.conf", &text)
    }

    /// Writes the sources, one file for each suite of the family; tells whether they changed.
    fn configure_sources(&self) -> Result<bool, DebianError> {
        let known = self.system_sources()?;
        let mut changed = false;
        let suites = std::iter::once(&self.family.suite).chain(&self.family.siblings);
        for suite in suites {
            let text = sources::derive(&known, suite);
            if text.is_empty() {
                if *suite == self.family.suite {
                    return Err(DebianError::NoArchive(
                        self.source.configuration.clone(),
                        suite.clone(),
                    ));
                }
                continue;
            }
            let name = format!("sources/{}.sources", suite.replace('/', "_"));
            // A sibling that the archive turned out not to have is kept aside under another name.
            let aside = self.path(&format!("{name}.missing"));
            let is = |path: &Path| fs::read_to_string(path).is_ok_and(|old| old == text);
            if !is(&self.path(&name)) && !is(&aside) {
                let _ = fs::remove_file(&aside);
                self.write(&name, &text)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Debian's archives in the system's configuration.
    fn system_sources(&self) -> Result<Vec<Source>, DebianError> {
        let directory = &self.source.configuration;
        let mut files = vec![directory.join("sources.list")];
        let parts = directory.join("sources.list.d");
        if let Ok(entries) = fs::read_dir(&parts) {
            let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            found.sort();
            files.extend(found);
        }
        let mut known = Vec::new();
        for file in files {
            let text = match fs::read_to_string(&file) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(DebianError::Cache(file, error)),
            };
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => known.extend(sources::parse_list(&text)),
                Some("sources") => known.extend(sources::parse_deb822(&text)),
                _ => {}
            }
        }
        Ok(known)
    }

    fn lists_are_fresh(&self) -> bool {
        stamp(&self.root).is_some() && self.has_lists()
    }

    fn has_lists(&self) -> bool {
        fs::read_dir(self.path("lists")).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        })
    }

    /// Fetches the lists. A sibling suite that the archive lacks is noted and left out.
    pub(super) fn update(&self, progress: &dyn Progress) -> Result<(), DebianError> {
        progress.step(&format!("update the package lists of {}", self.family.suite));
        if let Err(reason) = self.run_update(None)? {
            // One file at a time shows which suite it is that fails.
            let own = format!("{}.sources", self.family.suite.replace('/', "_"));
            if self.run_update(Some(&own))?.is_err() {
                return Err(DebianError::Update { suite: self.family.suite.clone(), reason });
            }
            for sibling in &self.family.siblings {
                let name = format!("{sibling}.sources");
                if !self.path("sources").join(&name).exists() {
                    continue;
                }
                if let Err(reason) = self.run_update(Some(&name))? {
                    progress.note(&format!("going on without suite {sibling}: {reason}"));
                    let path = self.path("sources").join(&name);
                    let aside = self.path("sources").join(format!("{name}.missing"));
                    fs::rename(&path, aside).map_err(|error| DebianError::Cache(path, error))?;
                }
            }
        }
        self.write("gone", "")?;
        self.write("updated", "")
    }

    /// Fetches the lists again where they are not quite new; tells whether it did.
    pub(super) fn refresh(&self, progress: &dyn Progress) -> Result<bool, DebianError> {
        if lists_age(&self.root).is_some_and(|age| age < LISTS_RETRY) {
            return Ok(false);
        }
        self.update(progress).map(|()| true)
    }

    /// Whether a version was found missing from the archive since the lists were fetched.
    pub(super) fn is_gone(&self, package: &str, version: &str) -> bool {
        let line = format!("{package} {version}");
        let gone = fs::read_to_string(self.path("gone")).unwrap_or_default();
        gone.lines().any(|one| one == line)
    }

    /// Remembers that the archive lists a version and lacks it, until lists are fetched again.
    pub(super) fn set_gone(&self, package: &str, version: &str) -> Result<(), DebianError> {
        if self.is_gone(package, version) {
            return Ok(());
        }
        let gone = fs::read_to_string(self.path("gone")).unwrap_or_default();
        self.write("gone", &format!("{gone}{package} {version}\n"))
    }

    /// Runs `apt-get update` for all sources or one file of them; the inner error is apt's reason.
    fn run_update(&self, only: Option<&str>) -> Result<Result<(), String>, DebianError> {
        let mut arguments = vec!["update".to_owned(), "--error-on=any".to_owned()];
        if let Some(file) = only {
            let path = self.path("sources").join(file);
            arguments.push(format!("-oDir::Etc::sourcelist={}", path.display()));
            arguments.push(format!("-oDir::Etc::sourceparts={}", self.path("empty").display()));
            arguments.push("-oAPT::Get::List-Cleanup=0".to_owned());
        }
        Ok(self.run("apt-get", &arguments, &self.root)?.map(drop))
    }

    /// The candidate version's stanza, `None` where there is no such package.
    pub(super) fn show(&self, package: &str) -> Result<Option<Stanza>, DebianError> {
        let arguments = ["show", "--no-all-versions", package].map(str::to_owned);
        let Ok(text) = self.run("apt-cache", &arguments, &self.root)? else { return Ok(None) };
        let mut stanzas = control::stanzas(&text).into_iter();
        Ok(stanzas.find(|stanza| stanza.get("Package") == Some(package)))
    }

    /// The stanzas of all versions.
    pub(super) fn show_all(&self, package: &str) -> Result<Vec<Stanza>, DebianError> {
        let arguments = ["show", "--all-versions", package].map(str::to_owned);
        let Ok(text) = self.run("apt-cache", &arguments, &self.root)? else { return Ok(vec![]) };
        let mut stanzas = control::stanzas(&text);
        stanzas.retain(|stanza| stanza.get("Package") == Some(package));
        Ok(stanzas)
    }

    /// The stanza of one version.
    pub(super) fn show_version(
        &self,
        package: &str,
        version: &str,
    ) -> Result<Option<Stanza>, DebianError> {
        let arguments = ["show".to_owned(), format!("{package}={version}")];
        let Ok(text) = self.run("apt-cache", &arguments, &self.root)? else { return Ok(None) };
        Ok(control::stanzas(&text).into_iter().find(|stanza| {
            stanza.get("Package") == Some(package) && stanza.get("Version") == Some(version)
        }))
    }

    /// All names that begin with `prefix`.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>, DebianError> {
        let arguments = ["pkgnames".to_owned(), prefix.to_owned()];
        let text = self.run("apt-cache", &arguments, &self.root)?.unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Fetches one version of a package into the cache, where it is not there.
    pub(super) fn download(
        &self,
        package: &str,
        version: &str,
        filename: Option<&str>,
    ) -> Result<PathBuf, DebianError> {
        let pool = filename.and_then(|name| name.rsplit('/').next()).unwrap_or(package);
        // Two versions never share a name in the pool, but an epoch does not stand in it.
        let path = self.path("debs").join(pool);
        if path.exists() {
            return Ok(path);
        }
        let fetching = tempfile::tempdir_in(self.path("debs"))
            .map_err(|error| DebianError::Cache(self.path("debs"), error))?;
        let arguments = ["download".to_owned(), format!("{package}={version}")];
        self.run("apt-get", &arguments, fetching.path())?.map_err(|reason| DebianError::Fetch {
            suite: self.family.suite.clone(),
            package: package.to_owned(),
            reason,
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
            suite: self.family.suite.clone(),
            package: package.to_owned(),
            reason: "apt fetched nothing".to_owned(),
        })
    }

    /// Fetches packages with all that they depend on, as if nothing at all were installed.
    pub(super) fn download_closure(&self, packages: &[&str]) -> Result<Vec<PathBuf>, DebianError> {
        let failed = |reason| DebianError::Fetch {
            suite: self.family.suite.clone(),
            package: packages.join(" "),
            reason,
        };
        let install = |option: &str| {
            let mut arguments = vec!["install".to_owned(), option.to_owned()];
            arguments.extend(packages.iter().map(|package| (*package).to_owned()));
            self.run("apt-get", &arguments, &self.root)
        };
        let plan = install("--simulate")?.map_err(failed)?;
        install("--download-only")?.map_err(failed)?;
        let archives = self.path("cache/archives");
        let mut paths: Vec<PathBuf> =
            plan.lines().filter_map(archive_name).map(|name| archives.join(name)).collect();
        paths.sort();
        match paths.iter().find(|path| fs::metadata(path).map_or(0, |data| data.size()) == 0) {
            Some(missing) => Err(failed(format!("apt did not fetch {}", missing.display()))),
            None => Ok(paths),
        }
    }

    /// Runs one of apt's programs; the inner error is the last of what it says.
    fn run(
        &self,
        program: &'static str,
        arguments: &[String],
        directory: &Path,
    ) -> Result<Result<String, String>, DebianError> {
        let mut child = Command::new(program)
            .arg("-c")
            .arg(self.path("apt.conf"))
            .args(arguments)
            .current_dir(directory)
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| DebianError::Apt(program, error))?;
        let errors = child.stderr.take();
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(stream) = errors {
                let _ = stream.take(MAX_OUTPUT).read_to_end(&mut text);
            }
            text
        });
        let mut output = Vec::new();
        if let Some(stream) = child.stdout.take() {
            stream
                .take(MAX_OUTPUT)
                .read_to_end(&mut output)
                .map_err(|error| DebianError::Apt(program, error))?;
        }
        let status = child.wait().map_err(|error| DebianError::Apt(program, error))?;
        let errors = errors.join().unwrap_or_default();
        if status.success() {
            return Ok(Ok(String::from_utf8_lossy(&output).into_owned()));
        }
        let errors = String::from_utf8_lossy(&errors).into_owned();
        let said: Vec<&str> = errors.lines().filter(|line| line.starts_with("E: ")).collect();
        let said: Vec<&str> = if said.is_empty() { errors.lines().collect() } else { said };
        let last = said.into_iter().rev().take(3).collect::<Vec<_>>();
        Ok(Err(last.into_iter().rev().collect::<Vec<_>>().join("; ")))
    }
}

/// How long ago the lists were fetched, `None` where they never were.
fn lists_age(root: &Path) -> Option<Duration> {
    let fetched = fs::metadata(root.join("updated")).and_then(|data| data.modified()).ok()?;
    SystemTime::now().duration_since(fetched).ok()
}

/// When the lists were fetched, `None` where that is too long ago.
pub(super) fn stamp(root: &Path) -> Option<String> {
    lists_age(root).filter(|age| *age < LISTS_KEEP)?;
    let fetched = fs::metadata(root.join("updated")).and_then(|data| data.modified()).ok()?;
    let since_epoch = fetched.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since_epoch.as_nanos().to_string())
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

/// Waits until this process alone holds a directory.
fn lock(path: &Path, progress: &dyn Progress) -> Result<Flock<fs::File>, DebianError> {
    let cache = |error: io::Error| DebianError::Cache(path.to_owned(), error);
    let file =
        fs::File::options().create(true).truncate(false).write(true).open(path).map_err(cache)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
            progress.note("waiting for another process that fetches packages of this suite");
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| cache(error.into()))
        }
        Err((_, error)) => Err(cache(error.into())),
    }
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
}
