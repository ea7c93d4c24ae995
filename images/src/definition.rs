//! What an image is made from: the text that people write.
//!
//! ```
//! use images::definition::{Definition, RootfsSource};
//!
//! let text = r#"(kernel: Debian(package: "linux-image-rt-amd64", suite: "bookworm-backports"))"#;
//! let definition = Definition::parse(notation::Source::new("rt.ron", text))?;
//! assert_eq!(definition.rootfs, RootfsSource::Minimal);
//! # Ok::<(), notation::Diagnostics>(())
//! ```

use std::path::{Path, PathBuf};

use notation::{Diagnostic, Diagnostics, Problems, Source, SourceError};
use serde::{Deserialize, Serialize};

pub mod decode;
pub mod workload;

/// What an image is made from. Paths are as written: relative to the file that says them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Where the kernel comes from.
    pub kernel: KernelSource,
    /// Where the root file system comes from.
    #[serde(default)]
    pub rootfs: RootfsSource,
    /// Words for the kernel's command line.
    #[serde(default)]
    pub cmdline: String,
    /// The profile for a partition that names none.
    #[serde(default)]
    pub profile: Option<String>,
    /// What the partition runs. Behind them comes what an OCI image itself would run.
    #[serde(default)]
    pub workloads: Vec<protocol::Workload>,
    /// Kernel modules that guest-init loads before it starts anything, in this order; those that
    /// they need come along and are loaded first.
    #[serde(default)]
    pub modules: Vec<String>,
}

/// Where a kernel comes from.
///
/// In RON: `Host`, `File("vmlinuz")`, `File(path: "vmlinuz", modules: "lib/modules/6.1.0")`,
/// `Debian("linux-image-cloud-amd64")`,
/// `Debian(package: "linux-image-rt-amd64", suite: "bookworm-backports")`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KernelSource {
    /// The kernel that runs here: `/boot/vmlinuz-RELEASE` and its modules.
    Host,
    /// A file: a bzImage or an uncompressed ELF file.
    File {
        /// The file.
        path: PathBuf,
        /// The directory with its modules, the one that has `kernel` and `modules.builtin` in it.
        /// Without it the image has no modules.
        modules: Option<PathBuf>,
    },
    /// A package of Debian's.
    Debian {
        /// Its name, that of a package which depends on it, or `linux-image-6.12-cloud-amd64` for
        /// the newest of a series.
        package: String,
        /// The suite, which includes its updates. Without it, that of this machine, then its
        /// backports.
        suite: Option<String>,
    },
}

/// Where a root file system comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootfsSource {
    /// guest-init and busybox.
    #[default]
    Minimal,
    /// A directory, as it is at the time.
    Directory(PathBuf),
    /// A tar archive, packed with gzip, xz, zstd or not at all.
    Tar(PathBuf),
    /// An OCI image layout: a directory with `oci-layout` and `index.json`.
    Oci(PathBuf),
}

/// Why a text is no definition.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// It could not be read as text.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It says something wrong; every error is in there.
    #[error("{0}")]
    Invalid(Diagnostics),
}

impl DefinitionError {
    /// The error as people read it; `color` for a terminal. Ends with a newline.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Source(error) => format!("error: {error}\n"),
            Self::Invalid(diagnostics) => diagnostics.render(color),
        }
    }
}

impl Definition {
    /// Reads the text of a definition.
    ///
    /// # Errors
    ///
    /// Every error in what it says.
    pub fn parse(source: Source) -> Result<Self, Diagnostics> {
        let mut problems = Problems::default();
        let node = notation::read(&source, &mut problems);
        let definition = decode::definition(&node, &mut problems);
        let source = problems.finish(source)?;
        // Nothing is left out without a word said about it; should it be, these are the words.
        definition.ok_or_else(|| {
            let mut problems = Problems::default();
            let label = "expected `(kernel: …)`";
            problems.push(Diagnostic::new(0..0, "this is no definition of an image", label));
            problems.into_diagnostics(source)
        })
    }

    /// Reads a definition's file.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`].
    pub fn read(path: &Path) -> Result<Self, DefinitionError> {
        Self::parse(Source::read(path)?).map_err(DefinitionError::Invalid)
    }
}

/// The definitions that come with partitiond, by name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("host", include_str!("../definitions/host.ron")),
    ("linux-5.10-cloud", include_str!("../definitions/linux-5.10-cloud.ron")),
    ("linux-6.1-cloud", include_str!("../definitions/linux-6.1-cloud.ron")),
    ("linux-6.12-cloud", include_str!("../definitions/linux-6.12-cloud.ron")),
    ("linux-6.12-rt", include_str!("../definitions/linux-6.12-rt.ron")),
    ("linux-7.2-cloud", include_str!("../definitions/linux-7.2-cloud.ron")),
];

/// A definition that comes with partitiond, by its name.
///
/// # Errors
///
/// What is wrong with its text; a test keeps that from happening.
pub fn shipped(name: &str) -> Option<Result<Definition, Diagnostics>> {
    let (name, text) = SHIPPED.iter().find(|(known, _)| *known == name)?;
    Some(Definition::parse(Source::new(name, text)))
}

#[cfg(test)]
mod tests;
