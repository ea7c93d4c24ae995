//! Getting hold of a kernel and its modules.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::archive::{self, ArchiveError, Whiteouts};
use crate::bzimage::{self, BzImageError, MAX_KERNEL};
use crate::debian::{DebianError, Package, PackageSource, deb};
use crate::progress::Progress;
use crate::rootfs::{self, RootfsError};
use crate::tree::{Tree, TreeError};

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel's file cannot be read.
    #[error("cannot read the kernel {0}: {1}")]
    Read(PathBuf, io::Error),
    /// It is no kernel that can be booted.
    #[error("{0}: {1}")]
    Image(String, BzImageError),
    /// This machine's own kernel is not where Debian keeps it.
    #[error("the kernel that runs here, {0}, is not in /boot; name a file or a package instead")]
    NoHostKernel(String),
    /// The directory of modules is missing.
    #[error("no modules in {0}; name the directory that has `kernel` and `modules.builtin` in it")]
    NoModules(PathBuf),
    /// The modules are another kernel's.
    #[error("the modules are of {found}, the kernel is {kernel}; they must be of one build")]
    OtherModules {
        /// The kernel's release.
        kernel: String,
        /// That of the modules.
        found: String,
    },
    /// The package cannot be had.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The package cannot be read.
    #[error("package {0} cannot be unpacked: {1}")]
    Package(String, String),
    /// The package has no kernel in it.
    #[error("package {0} holds no kernel; name one such as linux-image-cloud-amd64")]
    NoKernel(String),
    /// Reading the modules' directory.
    #[error(transparent)]
    Modules(#[from] RootfsError),
    /// Keeping what was unpacked.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A kernel with the tree that its modules are in.
#[derive(Debug)]
pub struct FoundKernel {
    /// `uname -r`.
    pub release: String,
    /// The uncompressed ELF file, checked.
    pub vmlinux: Vec<u8>,
    /// Where it came from, for people.
    pub origin: String,
    /// The tree with its modules.
    pub tree: Tree,
    /// The directory of modules in `tree`; `None` where there are none.
    pub modules: Option<String>,
}

/// The release of the kernel that runs here.
///
/// # Errors
///
/// [`KernelError::Read`].
pub fn host_release() -> Result<String, KernelError> {
    let path = Path::new("/proc/sys/kernel/osrelease");
    let release =
        fs::read_to_string(path).map_err(|error| KernelError::Read(path.to_owned(), error))?;
    Ok(release.trim().to_owned())
}

/// The files of the kernel that runs here: the image and the directory of its modules.
///
/// # Errors
///
/// [`KernelError::NoHostKernel`].
pub fn host_files() -> Result<(PathBuf, PathBuf), KernelError> {
    let release = host_release()?;
    let modules = PathBuf::from(format!("/lib/modules/{release}"));
    let places = [PathBuf::from(format!("/boot/vmlinuz-{release}")), modules.join("vmlinuz")];
    match places.into_iter().find(|path| path.exists()) {
        Some(kernel) => Ok((kernel, modules)),
        None => Err(KernelError::NoHostKernel(release)),
    }
}

/// Reads a kernel from a file, and its modules from a directory.
///
/// # Errors
///
/// Every variant of [`KernelError`] but those of packages.
pub fn from_file(
    path: &Path,
    modules: Option<&Path>,
    scratch: &Path,
    progress: &dyn Progress,
) -> Result<FoundKernel, KernelError> {
    progress.step(&format!("unpack {}", path.display()));
    let read = |error| KernelError::Read(path.to_owned(), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(MAX_KERNEL).read_to_end(&mut bytes).map_err(read)?;
    let (release, vmlinux) = unpack(&bytes, &path.display().to_string())?;
    let mut tree = Tree::new(Some(scratch))?;
    let mut directory = None;
    if let Some(modules) = modules {
        if !modules.join("kernel").is_dir() {
            return Err(KernelError::NoModules(modules.to_owned()));
        }
        let target = format!("lib/modules/{release}");
        rootfs::add_directory(modules, &target, &mut tree, progress)?;
        directory = Some(target);
    }
    // Not the whole path: the same kernel makes the same image wherever it lies.
    let origin = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let origin = origin.unwrap_or_default();
    Ok(FoundKernel { release, vmlinux, origin, tree, modules: directory })
}

/// Fetches a kernel from Debian's archive.
///
/// # Errors
///
/// Every variant of [`KernelError`] but those of files.
pub fn from_packages(
    packages: &[Package],
    scratch: &Path,
    progress: &dyn Progress,
) -> Result<FoundKernel, KernelError> {
    let mut tree = Tree::new(Some(scratch))?;
    let mut origin = String::new();
    for package in packages {
        progress.step(&format!("unpack {} {}", package.name, package.version));
        let before = kernels(&tree).len();
        add_package(package, &mut tree, &|path| {
            ["boot/vmlinuz", "lib/modules/", "usr/lib/modules/"]
                .iter()
                .any(|start| path.starts_with(start))
        })?;
        if kernels(&tree).len() > before {
            origin = format!("{} {}", package.name, package.version);
        }
    }
    let asked = packages.first().map(|package| package.name.clone()).unwrap_or_default();
    let found = kernels(&tree);
    let Some(path) = found.first() else { return Err(KernelError::NoKernel(asked)) };
    let bytes = tree.read(path, MAX_KERNEL)?;
    let (release, vmlinux) = unpack(&bytes.unwrap_or_default(), &origin)?;
    // The first of these up to Linux 6.12, the second from 7.x.
    let modules = ["lib/modules", "usr/lib/modules"]
        .map(|parent| format!("{parent}/{release}"))
        .into_iter()
        .find(|path| {
            tree.entries().any(|(entry, _)| entry.starts_with(&format!("{path}/kernel/")))
        });
    if modules.is_none() {
        return Err(KernelError::NoModules(PathBuf::from(format!("lib/modules/{release}"))));
    }
    Ok(FoundKernel { release, vmlinux, origin, tree, modules })
}

/// Fetches a package's kernel: of a suite, or of this machine's own suite and then its backports.
///
/// # Errors
///
/// [`DebianError`].
pub fn fetch(
    source: &PackageSource,
    package: &str,
    suite: Option<&str>,
    progress: &dyn Progress,
) -> Result<Vec<Package>, DebianError> {
    if let Some(suite) = suite {
        return source.fetch(package, suite, progress);
    }
    let own = source.system_suite()?;
    match source.fetch(package, &own, progress) {
        Err(DebianError::NoPackage { .. }) => {
            let backports = format!("{own}-backports");
            progress.note(&format!("suite {own} has no {package}: looking in {backports}"));
            source.fetch(package, &backports, progress)
        }
        result => result,
    }
}

/// Adds a package's files to a tree.
///
/// # Errors
///
/// [`KernelError::Package`].
pub fn add_package(
    package: &Package,
    tree: &mut Tree,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(), KernelError> {
    let damaged = |reason: String| KernelError::Package(package.name.clone(), reason);
    let file = File::open(&package.path).map_err(|error| damaged(error.to_string()))?;
    let data = deb::data(io::BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
    archive::read(data, tree, Whiteouts::Plain, wanted)
        .map_err(|error: ArchiveError| damaged(error.to_string()))
}

/// Files in a tree that are kernels by their name.
fn kernels(tree: &Tree) -> Vec<String> {
    tree.entries()
        .map(|(path, _)| path)
        .filter(|path| {
            path.starts_with("boot/vmlinuz-")
                || (path.contains("lib/modules/") && path.ends_with("/vmlinuz"))
        })
        .map(str::to_owned)
        .collect()
}

fn unpack(bytes: &[u8], name: &str) -> Result<(String, Vec<u8>), KernelError> {
    let wrong = |error| KernelError::Image(name.to_owned(), error);
    let release = bzimage::kernel_release(bytes).map_err(wrong)?;
    Ok((release, bzimage::vmlinux(bytes).map_err(wrong)?))
}
