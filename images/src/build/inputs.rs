//! What an image depends on: builds of unchanged inputs are skipped.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{BuildEnv, BuildError};
use crate::debian::PackageSource;
use crate::definition::{Definition, KernelSource, RootfsSource};
use crate::kernel;
use crate::manifest::Digest;

/// Changed whenever this builder makes something else of the same inputs.
const VERSION: &str = "2";

/// The package that the minimal root file system's programs come from.
pub(super) const BUSYBOX: &str = "busybox-static";

/// The suite that [`BUSYBOX`] comes from: this machine's, else Debian's current release.
pub(super) fn busybox_suite(packages: &PackageSource) -> String {
    packages.system_suite().unwrap_or_else(|_| "stable".to_owned())
}

/// What an image depends on.
pub(super) struct Inputs {
    /// The definition and the files that it names.
    pub fixed: Digest,
    /// The state of the package lists, `None` where they are to be fetched again.
    lists: Option<String>,
}

impl Inputs {
    /// All of it as one digest, `None` where that cannot be told without building.
    pub fn key(&self) -> Option<Digest> {
        let lists = self.lists.as_ref()?;
        Some(Digest::of(format!("{} {lists}", self.fixed).as_bytes()))
    }

    /// Reads what an image depends on.
    pub fn read(
        definition: &Definition,
        env: &BuildEnv<'_>,
        packages: &PackageSource,
    ) -> Result<Self, BuildError> {
        let mut files = Hasher { hasher: blake3::Hasher::new() };
        files.text("version", VERSION);
        files.text("builder", env!("CARGO_PKG_VERSION"));
        files.text("modules", include_str!("../../modules.ron"));
        let text = serde_json::to_string(definition)
            .map_err(|error| BuildError::Input(PathBuf::from("definition"), error.into()))?;
        files.text("definition", &text);
        files.contents(env.guest_init)?;
        // Suites whose lists must be known, and those that count where they are.
        let (mut needed, mut known) = (Vec::new(), Vec::new());
        match &definition.kernel {
            KernelSource::Host => {
                let (path, modules) = kernel::host_files()?;
                files.contents(&path)?;
                files.tree(&modules)?;
            }
            KernelSource::File { path, modules } => {
                files.contents(&env.base.join(path))?;
                if let Some(modules) = modules {
                    files.tree(&env.base.join(modules))?;
                }
            }
            KernelSource::Debian { suite: Some(suite), .. } => needed.push(suite.clone()),
            KernelSource::Debian { suite: None, .. } => {
                let own = packages.system_suite().map_err(kernel::KernelError::from)?;
                known.push(format!("{own}-backports"));
                needed.push(own);
            }
        }
        match &definition.rootfs {
            RootfsSource::Minimal => match env.busybox {
                Some(path) => files.contents(path)?,
                None => needed.push(busybox_suite(packages)),
            },
            RootfsSource::Directory(path) | RootfsSource::Tar(path) | RootfsSource::Oci(path) => {
                files.tree(&env.base.join(path))?;
            }
        }
        let mut lists = Some(String::new());
        for (suites, must) in [(needed, true), (known, false)] {
            for suite in suites {
                let stamp = packages.stamp(&suite);
                let stamp = if must { stamp } else { Some(stamp.unwrap_or_default()) };
                lists = lists.zip(stamp).map(|(lists, stamp)| format!("{lists} {suite} {stamp}"));
            }
        }
        Ok(Self { fixed: Digest::from_hash(files.hasher.finalize()), lists })
    }
}

struct Hasher {
    hasher: blake3::Hasher,
}

impl Hasher {
    /// Adds a named text; lengths keep texts apart.
    fn text(&mut self, name: &str, text: &str) {
        for part in [name, text] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part.as_bytes());
        }
    }

    /// Adds a file by its contents.
    fn contents(&mut self, path: &Path) -> Result<(), BuildError> {
        let input = |error| BuildError::Input(path.to_owned(), error);
        let mut file = fs::File::open(path).map_err(input)?;
        let size = file.metadata().map_err(input)?.len();
        self.text("file", &format!("{} {size}", path.display()));
        io::copy(&mut file, &mut self.hasher).map_err(input)?;
        self.hasher.flush().map_err(input)
    }

    /// Adds a file, or a directory with all in it, by what changes whenever contents change: size,
    /// inode and the time of the last change (ctime), which nobody can set.
    fn tree(&mut self, path: &Path) -> Result<(), BuildError> {
        // A link given by its path stands for what it leads to.
        let top = fs::canonicalize(path);
        let top = top.map_err(|error| BuildError::Input(path.to_owned(), error))?;
        let mut waiting = vec![top];
        while let Some(path) = waiting.pop() {
            let input = |error| BuildError::Input(path.clone(), error);
            let data = fs::symlink_metadata(&path).map_err(input)?;
            self.text(
                "entry",
                &format!(
                    "{} {} {} {} {}.{} {:o} {}:{}",
                    path.display(),
                    data.dev(),
                    data.ino(),
                    data.len(),
                    data.ctime(),
                    data.ctime_nsec(),
                    data.mode(),
                    data.uid(),
                    data.gid(),
                ),
            );
            if data.is_dir() {
                let entries = fs::read_dir(&path).map_err(input)?;
                let mut below: Vec<PathBuf> = entries
                    .map(|entry| entry.map(|entry| entry.path()))
                    .collect::<Result<_, _>>()
                    .map_err(input)?;
                below.sort();
                waiting.extend(below);
            }
        }
        Ok(())
    }
}
