//! What an image depends on, as one digest: builds of unchanged inputs are skipped.

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
const VERSION: &str = "1";

/// The package that the minimal root file system's programs come from.
pub(super) const BUSYBOX: &str = "busybox-static";

/// The suite that [`BUSYBOX`] comes from: this machine's, else Debian's current release.
pub(super) fn busybox_suite(packages: &PackageSource) -> String {
    packages.system_suite().unwrap_or_else(|_| "stable".to_owned())
}

/// The digest of all inputs, `None` where that cannot be told without building: where package lists
/// are to be fetched again.
pub(super) fn digest(
    definition: &Definition,
    env: &BuildEnv<'_>,
    packages: &PackageSource,
) -> Result<Option<Digest>, BuildError> {
    let mut inputs = Inputs { hasher: blake3::Hasher::new() };
    inputs.text("version", VERSION);
    inputs.text("builder", env!("CARGO_PKG_VERSION"));
    inputs.text("modules", include_str!("../../modules.ron"));
    let text = serde_json::to_string(definition)
        .map_err(|error| BuildError::Input(PathBuf::from("definition"), error.into()))?;
    inputs.text("definition", &text);
    inputs.contents(env.guest_init)?;
    let suites = match &definition.kernel {
        KernelSource::Host => {
            let (path, modules) = kernel::host_files()?;
            inputs.contents(&path)?;
            inputs.tree(&modules)?;
            vec![]
        }
        KernelSource::File { path, modules } => {
            inputs.contents(&env.base.join(path))?;
            if let Some(modules) = modules {
                inputs.tree(&env.base.join(modules))?;
            }
            vec![]
        }
        KernelSource::Debian { suite: Some(suite), .. } => vec![suite.clone()],
        KernelSource::Debian { suite: None, .. } => {
            let own = packages.system_suite().map_err(kernel::KernelError::from)?;
            let backports = packages.stamp(&format!("{own}-backports"));
            inputs.text("backports", &backports.unwrap_or_default());
            vec![own]
        }
    };
    match &definition.rootfs {
        RootfsSource::Minimal => match env.busybox {
            Some(path) => inputs.contents(path)?,
            None => {
                let Some(stamp) = packages.stamp(&busybox_suite(packages)) else { return Ok(None) };
                inputs.text("busybox", &stamp);
            }
        },
        RootfsSource::Directory(path) | RootfsSource::Tar(path) | RootfsSource::Oci(path) => {
            inputs.tree(&env.base.join(path))?;
        }
    }
    for suite in suites {
        let Some(stamp) = packages.stamp(&suite) else { return Ok(None) };
        inputs.text(&suite, &stamp);
    }
    Ok(Some(Digest::from_hash(inputs.hasher.finalize())))
}

struct Inputs {
    hasher: blake3::Hasher,
}

impl Inputs {
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
