//! Making an image of a definition.
//!
//! What is made depends on the definition and on what it names alone: the same inputs give the same
//! bytes and the same digest, on every machine.

mod inputs;

use std::path::{Path, PathBuf};

use protocol::image::ImageConfig;

use self::inputs::Inputs;
use crate::cpio::{CpioError, Meta};
use crate::debian::{DebianError, PackageSource};
use crate::definition::{Definition, KernelSource, RootfsSource};
use crate::kernel::{self, FoundKernel, KernelError};
use crate::manifest::{Blob, Digest, Kernel, Manifest};
use crate::modules::{self, HOST_SET, ModulesError, Selection};
use crate::oci;
use crate::progress::Progress;
use crate::rootfs::{self, RootfsError};
use crate::store::{Store, StoreError, Writing};
use crate::tree::{Tree, TreeError};

/// What a build needs beside the definition.
#[derive(Debug)]
pub struct BuildEnv<'a> {
    /// Where the image goes.
    pub store: &'a Store,
    /// Where packages are kept; see [`Store::default_cache`].
    pub cache: &'a Path,
    /// guest-init, a static program.
    pub guest_init: &'a Path,
    /// A static busybox for minimal root file systems; without it, Debian's `busybox-static`.
    pub busybox: Option<&'a Path>,
    /// What relative paths in the definition start from.
    pub base: &'a Path,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The kernel.
    #[error("kernel: {0}")]
    Kernel(#[from] KernelError),
    /// Its modules.
    #[error("modules: {0}")]
    Modules(#[from] ModulesError),
    /// The root file system.
    #[error("root file system: {0}")]
    Rootfs(#[from] RootfsError),
    /// busybox.
    #[error("busybox, for the minimal root file system: {0}")]
    Busybox(DebianError),
    /// The package has no busybox in it.
    #[error("package busybox-static has no busybox in it; name a static busybox instead")]
    NoBusybox,
    /// The archive.
    #[error("initramfs: {0}")]
    Cpio(#[from] CpioError),
    /// The store.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// A tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An input cannot be read.
    #[error("cannot read {0}: {1}")]
    Input(PathBuf, std::io::Error),
}

/// Makes the image of a definition, or finds the one that was made of the same inputs before, and
/// gives its digest.
///
/// # Errors
///
/// Every variant of [`BuildError`]; the store then has no new image.
pub fn build(
    definition: &Definition,
    env: &BuildEnv<'_>,
    progress: &dyn Progress,
) -> Result<Digest, BuildError> {
    let writing = env.store.writing()?;
    let packages = PackageSource::new(env.cache.join("apt"));
    let inputs = Inputs::read(definition, env, &packages)?;
    if let Some(key) = inputs.key()
        && let Some(built) = writing.remembered(&key)?
    {
        progress.step("nothing changed since this image was built");
        return Ok(built);
    }
    let builder = Builder { env, writing: &writing, packages: &packages, progress };
    let digest = builder.build(definition)?;
    // Lists may have been fetched meanwhile; the files must be those that were there before.
    let after = Inputs::read(definition, env, &packages)?;
    if let Some(key) = after.key().filter(|_| after.fixed == inputs.fixed) {
        writing.remember(&key, &digest)?;
    }
    Ok(digest)
}

type Root = (Tree, Vec<protocol::Workload>, Vec<(String, String)>);

struct Builder<'a> {
    env: &'a BuildEnv<'a>,
    writing: &'a Writing<'a>,
    packages: &'a PackageSource,
    progress: &'a dyn Progress,
}

impl Builder<'_> {
    fn build(&self, definition: &Definition) -> Result<Digest, BuildError> {
        // What fails soonest comes first.
        let (mut tree, workloads, env) = self.rootfs(definition)?;
        let found = self.kernel(&definition.kernel)?;
        // Where `lib` is a link in the root file system, modules go where it leads.
        let directory = modules_directory(&tree, &found.release)?;
        let (modules, selection) = self.modules(&found, &definition.modules, &directory)?;
        let load = selection.to_load(&definition.modules, &found.release)?;
        let configuration =
            ImageConfig { workloads: workloads.clone(), modules: load.clone(), env };
        rootfs::add_guest(&mut tree, self.env.guest_init, &configuration)?;
        self.progress.step("write the root file system");
        let rootfs = self.write(&tree)?;
        self.progress.step("write the kernel");
        let vmlinux = self.writing.put_blob(&mut &*found.vmlinux)?;
        let manifest = Manifest {
            kernel: Kernel {
                release: found.release,
                vmlinux,
                modules: modules.clone(),
                origin: found.origin,
                selection,
            },
            // The root file system comes last: where both have a directory, its owner counts.
            initramfs: vec![modules, rootfs],
            cmdline: definition.cmdline.clone(),
            profile: definition.profile.clone(),
            modules: load,
            workloads,
        };
        Ok(self.writing.put_manifest(&manifest)?)
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.env.base.join(path)
    }

    fn scratch(&self) -> &Path {
        self.env.store.root()
    }

    fn kernel(&self, source: &KernelSource) -> Result<FoundKernel, BuildError> {
        Ok(match source {
            KernelSource::Host => {
                let (path, modules) = kernel::host_files()?;
                kernel::from_file(&path, Some(&modules), self.scratch(), self.progress)?
            }
            KernelSource::File { path, modules } => {
                let modules = modules.as_ref().map(|modules| self.path(modules));
                let path = self.path(path);
                kernel::from_file(&path, modules.as_deref(), self.scratch(), self.progress)?
            }
            KernelSource::Debian { package, suite } => {
                let packages =
                    kernel::fetch(self.packages, package, suite.as_deref(), self.progress)
                        .map_err(KernelError::from)?;
                kernel::from_packages(&packages, self.scratch(), self.progress)?
            }
        })
    }

    fn modules(
        &self,
        found: &FoundKernel,
        extra: &[String],
        directory: &str,
    ) -> Result<(Blob, Selection), BuildError> {
        self.progress.step("choose modules");
        let mut tree = Tree::new(Some(self.scratch()))?;
        let mut selection = Selection::default();
        if let Some(from) = &found.modules {
            let sets = modules::sets()?;
            let mut wanted = sets.guest;
            for name in extra {
                match name.as_str() {
                    HOST_SET => wanted.extend(sets.host.iter().cloned()),
                    name => wanted.push(name.to_owned()),
                }
            }
            selection = modules::select(&found.tree, from, &wanted, &mut tree, directory)?;
        } else if extra.iter().any(|name| name != HOST_SET) {
            return Err(ModulesError::NoDirectory.into());
        } else {
            self.progress.note("no directory of modules was named: the image has none");
            tree.directory(directory, Meta::root(0o755))?;
        }
        self.progress.step("write the modules");
        Ok((self.write(&tree)?, selection))
    }

    /// The root file system without guest-init; the workloads, and everyone's environment.
    fn rootfs(&self, definition: &Definition) -> Result<Root, BuildError> {
        let mut tree = Tree::new(Some(self.scratch()))?;
        let mut workloads = definition.workloads.clone();
        let mut env = Vec::new();
        match &definition.rootfs {
            RootfsSource::Minimal => match self.env.busybox {
                Some(path) => rootfs::minimal(&mut tree, path)?,
                None => self.minimal_of_package(&mut tree)?,
            },
            RootfsSource::Directory(path) => {
                let path = self.path(path);
                self.progress.step(&format!("read {}", path.display()));
                rootfs::add_directory(&path, "", &mut tree, self.progress)?;
            }
            RootfsSource::Tar(path) => {
                let path = self.path(path);
                self.progress.step(&format!("unpack {}", path.display()));
                rootfs::add_tar(&path, &mut tree)?;
            }
            RootfsSource::Oci(path) => {
                let path = self.path(path);
                self.progress.step(&format!("unpack {}", path.display()));
                let runs = oci::add(&path, &mut tree, self.progress)
                    .map_err(|error| RootfsError::Oci(path, error))?;
                // A definition's own workload of this name stands for the image's.
                if !workloads.iter().any(|workload| workload.name == OCI_WORKLOAD) {
                    workloads.extend(runs.workload(OCI_WORKLOAD));
                }
                env = runs.env;
            }
        }
        Ok((tree, workloads, env))
    }

    /// The minimal root file system with Debian's busybox.
    fn minimal_of_package(&self, tree: &mut Tree) -> Result<(), BuildError> {
        const LIMIT: u64 = 64 << 20;
        let suite = inputs::busybox_suite(self.packages);
        let fetched = self
            .packages
            .fetch(inputs::BUSYBOX, &suite, self.progress)
            .map_err(BuildError::Busybox)?;
        let mut files = Tree::new(Some(self.scratch()))?;
        for package in &fetched {
            kernel::add_package(package, &mut files, &|path| path.ends_with("bin/busybox"))?;
        }
        let path = files.entries().map(|(path, _)| path).find(|path| path.ends_with("/busybox"));
        let path = path.ok_or(BuildError::NoBusybox)?.to_owned();
        let program = files.read(&path, LIMIT)?.ok_or(BuildError::NoBusybox)?;
        Ok(rootfs::minimal_of(tree, &program, &path)?)
    }

    fn write(&self, tree: &Tree) -> Result<Blob, BuildError> {
        let total = tree.total_size();
        let progress = self.progress;
        let output = std::io::BufWriter::with_capacity(1 << 20, self.writing.blob()?);
        let (output, _) = tree.write_cpio(output, &mut |done| progress.advance(done, total))?;
        let blob = output.into_inner().map_err(|error| CpioError::Io(error.into_error()))?;
        Ok(blob.finish()?)
    }
}

/// The name of the workload that an OCI image's ENTRYPOINT and CMD become.
pub const OCI_WORKLOAD: &str = "main";

/// Where `/lib/modules/RELEASE` is in a root file system.
fn modules_directory(tree: &Tree, release: &str) -> Result<String, TreeError> {
    Ok(match tree.lookup("lib/modules")? {
        Some((path, _)) => format!("{path}/{release}"),
        None => match tree.lookup("lib")? {
            Some((path, _)) => format!("{path}/modules/{release}"),
            None => format!("lib/modules/{release}"),
        },
    })
}

#[cfg(test)]
mod tests;
