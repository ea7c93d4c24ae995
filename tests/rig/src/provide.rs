//! What a rig needs and this machine may lack: QEMU, a kernel, busybox. All come as Debian packages
//! and are unpacked below a cache folder; nothing is installed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use images::debian::deb::DebError;
use images::debian::{DebianError, PackageSource};
use images::progress::Progress;

use crate::spec::KernelFiles;

/// The suite that busybox and QEMU 7.2 are taken from, whatever this machine runs.
pub(crate) const SUITE: &str = "bookworm";

/// Why it cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ProvideError {
    /// a package
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// a package that is damaged
    #[error("{}: {error}; remove it and try again", .path.display())]
    Package {
        /// the file
        path: PathBuf,
        /// what is wrong
        error: DebError,
    },
    /// the cache
    #[error("cannot write {}: {error}", .path.display())]
    Cache {
        /// where
        path: PathBuf,
        /// why
        error: io::Error,
    },
    /// a package without what it is fetched for
    #[error("the packages in {} hold no {what}", .path.display())]
    Lacking {
        /// what was looked for
        what: &'static str,
        /// where they were unpacked
        path: PathBuf,
    },
    /// a path that a list of folders cannot hold
    #[error("{} has a `:` or a `,` in it: choose another cache folder", .0.display())]
    Unusable(PathBuf),
    /// nowhere to keep things
    #[error("neither XDG_CACHE_HOME nor HOME is set: set one to a folder of your own")]
    NoHome,
}

pub(crate) fn cache_error(path: &Path) -> impl FnOnce(io::Error) -> ProvideError {
    move |error| ProvideError::Cache { path: path.to_owned(), error }
}

/// `$XDG_CACHE_HOME/partitiond`, or `~/.cache/partitiond`.
///
/// # Errors
///
/// [`ProvideError::NoHome`].
pub fn cache_dir() -> Result<PathBuf, ProvideError> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("partitiond"))
        .ok_or(ProvideError::NoHome)
}

pub(crate) fn source(cache: &Path) -> PackageSource {
    PackageSource::new(cache.join("debian"))
}

/// A kernel as a Debian package has it, such as `linux-image-6.12-cloud-amd64` of `bookworm-backports`.
///
/// # Errors
///
/// Where the package cannot be fetched or unpacked, or holds no kernel.
pub fn kernel(
    package: &str,
    suite: &str,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<KernelFiles, ProvideError> {
    let packages = source(cache).fetch(package, suite, progress)?;
    let key: Vec<String> =
        packages.iter().take(1).map(|one| format!("{}_{}", one.name, one.version)).collect();
    let paths: Vec<PathBuf> = packages.into_iter().map(|one| one.path).collect();
    let root = unpacked(&cache.join("kernels").join(key.concat()), &paths, progress)?;
    let lacking = |what| ProvideError::Lacking { what, path: root.clone() };
    let modules = ["lib/modules", "usr/lib/modules"]
        .iter()
        .filter_map(|folder| only_entry(&root.join(folder)))
        .find(|folder| folder.join("kernel").is_dir())
        .ok_or_else(|| lacking("modules"))?;
    let release = modules.file_name().map(|name| name.to_string_lossy().into_owned());
    let release = release.ok_or_else(|| lacking("modules"))?;
    let image = [
        root.join(format!("boot/vmlinuz-{release}")),
        root.join(format!("usr/lib/modules/{release}/vmlinuz")),
    ];
    let image = image.into_iter().find(|path| path.is_file()).ok_or_else(|| lacking("vmlinuz"))?;
    Ok(KernelFiles { image, release, modules })
}

fn only_entry(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).next()
}

/// A static busybox.
///
/// # Errors
///
/// Where the package cannot be fetched or unpacked.
pub fn busybox(cache: &Path, progress: &dyn Progress) -> Result<PathBuf, ProvideError> {
    let root = cache.join("busybox");
    let find = || {
        ["bin/busybox", "usr/bin/busybox"]
            .into_iter()
            .map(|name| root.join(name))
            .find(|path| path.is_file())
    };
    if let Some(path) = find() {
        return Ok(path);
    }
    let packages = source(cache).fetch("busybox-static", SUITE, progress)?;
    let paths: Vec<PathBuf> = packages.into_iter().map(|one| one.path).collect();
    unpacked(&root, &paths, progress)?;
    find().ok_or_else(|| ProvideError::Lacking { what: "busybox", path: root.clone() })
}

/// Unpacks packages into a folder that appears only when it is whole; one that is there is taken.
pub(crate) fn unpacked(
    root: &Path,
    packages: &[PathBuf],
    progress: &dyn Progress,
) -> Result<PathBuf, ProvideError> {
    if root.is_dir() {
        return Ok(root.to_owned());
    }
    let parent = root.parent().unwrap_or(root);
    fs::create_dir_all(parent).map_err(cache_error(parent))?;
    let partial = tempfile::tempdir_in(parent).map_err(cache_error(parent))?;
    let total = packages.len() as u64;
    progress.step(&format!("unpack {}", root.file_name().unwrap_or_default().display()));
    for (done, path) in packages.iter().enumerate() {
        progress.advance(done as u64, total);
        unpack(path, partial.path())?;
    }
    // The folder of a `tempdir` is closed to others; its contents may be read by whoever can reach it.
    match fs::rename(partial.path(), root) {
        Ok(()) => {
            let _ = partial.keep();
        }
        // Somebody else was faster.
        Err(_) if root.is_dir() => {}
        Err(error) => return Err(cache_error(root)(error)),
    }
    Ok(root.to_owned())
}

fn unpack(package: &Path, root: &Path) -> Result<(), ProvideError> {
    let package_error = |error| ProvideError::Package { path: package.to_owned(), error };
    let file = File::open(package).map_err(|error| package_error(error.into()))?;
    let data = images::debian::deb::data(file).map_err(package_error)?;
    let mut archive = tar::Archive::new(data);
    // Not the owners: this runs as any user.
    archive.set_preserve_permissions(false);
    archive.set_overwrite(true);
    archive.unpack(root).map_err(cache_error(root))
}
