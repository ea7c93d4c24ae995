//! One private apt directory: the sources, lists and archives of one suite and its family.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};

use super::control::{self, Stanza};
use super::sources::{self, Family, Source};
use super::{DebianError, PackageSource, check_name, run};
use crate::progress::Progress;

/// How old lists may be before they are fetched again.
const LISTS_KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// How old lists must be for it to be worth while to fetch them again when something is missing.
const LISTS_RETRY: Duration = Duration::from_secs(10 * 60);

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

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
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
            let (path, aside) = self.source_paths(suite);
            let is = |path: &Path| fs::read_to_string(path).is_ok_and(|old| old == text);
            if !is(&path) && !is(&aside) {
                let _ = fs::remove_file(&aside);
                fs::write(&path, text).map_err(|error| DebianError::Cache(path, error))?;
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
        // What was missing may have come since.
        for sibling in &self.family.siblings {
            let (path, aside) = self.source_paths(sibling);
            if aside.exists() {
                fs::rename(&aside, path).map_err(|error| DebianError::Cache(aside, error))?;
            }
        }
        if self.run_update(None)?.is_err() {
            // One suite at a time shows which it is that fails.
            let suites = std::iter::once(&self.family.suite).chain(&self.family.siblings);
            for suite in suites {
                self.update_suite(suite, progress)?;
            }
        }
        self.write("gone", "")?;
        self.write("updated", "")
    }

    /// Fetches the lists of one suite of the family, setting aside a sibling that does not exist.
    fn update_suite(&self, suite: &str, progress: &dyn Progress) -> Result<(), DebianError> {
        let (path, aside) = self.source_paths(suite);
        if !path.exists() {
            return Ok(());
        }
        match self.run_update(Some(&path))? {
            Ok(()) => Ok(()),
            Err(reason) if suite != self.family.suite && is_missing(&reason) => {
                progress.note(&format!("going on without suite {suite}: {reason}"));
                fs::rename(&path, aside).map_err(|error| DebianError::Cache(path, error))
            }
            Err(reason) => Err(DebianError::Update { suite: suite.to_owned(), reason }),
        }
    }

    /// The file with a suite's sources, and its name while the archive lacks the suite.
    fn source_paths(&self, suite: &str) -> (PathBuf, PathBuf) {
        let name = format!("{}.sources", suite.replace('/', "_"));
        let sources = self.path("sources");
        (sources.join(&name), sources.join(format!("{name}.missing")))
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
    fn run_update(&self, only: Option<&Path>) -> Result<Result<(), String>, DebianError> {
        let mut arguments = vec!["update".to_owned(), "--error-on=any".to_owned()];
        if let Some(path) = only {
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

    /// Runs one of apt's programs in a directory.
    pub(super) fn run(
        &self,
        program: &'static str,
        arguments: &[String],
        directory: &Path,
    ) -> Result<Result<String, String>, DebianError> {
        run::run(program, &self.path("apt.conf"), arguments, directory, None)
    }
}

/// Whether apt says that a suite is not in the archive, rather than that it cannot be reached.
fn is_missing(reason: &str) -> bool {
    reason.contains("does not have a Release file")
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
