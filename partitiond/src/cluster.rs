//! The cluster file: one file that says how a machine is divided.
//!
//! It is read in three steps: `notation` makes a tree in which every part knows its place; a decoder
//! turns the tree into types (that of images is `images::definition`); checks look at what no single
//! value shows. None of the steps stops at its first error: a person sees all of them in one run, each
//! with its place.

use std::path::{Path, PathBuf};

use notation::tree::{Body, Value};

mod check;
mod disk;
mod interval;
mod partition;
mod root;
mod tap;
mod types;

#[cfg(test)]
mod tests;

pub use check::Surroundings;
pub use interval::{Interval, ParseIntervalError};
pub use notation::{Diagnostic, Diagnostics, MAX_FILE, Problems, Source, SourceError};
pub use root::{MAX_PARTITIONS, Places};
pub use types::{
    Backend, Cluster, Cpus, Disk, Host, HugePage, MIN_HANG_AFTER, MIN_MEMORY, MemorySource, Numa,
    Partition, Restart, Risk, Tap, Trust, default_hang_after, default_memory,
};

/// A cluster with the file that it came from.
#[derive(Clone, Debug)]
pub struct ClusterFile {
    /// What the file says.
    pub cluster: Cluster,
    source: Source,
    places: Places,
}

/// Why a cluster file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// it could not be read as text
    #[error(transparent)]
    Source(#[from] SourceError),
    /// it says something wrong; every error is in there
    #[error("{0}")]
    Invalid(Diagnostics),
}

impl ClusterError {
    /// The error as people read it; `color` for a terminal. Ends with a newline.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Source(error) => format!("error: {error}\n"),
            Self::Invalid(diagnostics) => diagnostics.render(color),
        }
    }
}

/// Whether a text means to be a cluster file rather than the definition of one image: it says
/// `Cluster` or has a cluster's fields.
pub fn is_one(source: &Source) -> bool {
    let Value::Term { name, body } = notation::read(source, &mut Problems::default()).value else {
        return false;
    };
    let named = name.is_some_and(|name| name.text == "Cluster");
    let fields = match &body {
        Body::Fields(fields) => fields.as_slice(),
        _ => &[],
    };
    named || fields.iter().any(|field| matches!(&*field.name.text, "partitions" | "images"))
}

/// Reads and checks a cluster file.
///
/// # Errors
/// [`ClusterError::Source`] where the file cannot be read as text of at most [`MAX_FILE`] bytes;
/// [`ClusterError::Invalid`] with every error in what it says.
pub fn read(path: &Path, surroundings: &dyn Surroundings) -> Result<ClusterFile, ClusterError> {
    parse(Source::read(path)?, surroundings).map_err(ClusterError::Invalid)
}

/// Checks the text of a cluster file.
///
/// # Errors
/// Every error in what it says.
pub fn parse(source: Source, surroundings: &dyn Surroundings) -> Result<ClusterFile, Diagnostics> {
    let mut problems = Problems::default();
    let node = notation::read(&source, &mut problems);
    let (cluster, places) = root::cluster(&node, &mut problems);
    check::check(&cluster, &places, surroundings, &mut problems);
    let source = problems.finish(source)?;
    Ok(ClusterFile { cluster, source, places })
}

impl ClusterFile {
    /// The file.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where its parts stand.
    pub fn places(&self) -> &Places {
        &self.places
    }
}

/// The surroundings of a cluster file on disk.
#[derive(Clone, Debug)]
pub struct OnDisk {
    directory: PathBuf,
    stored: Vec<String>,
}

impl OnDisk {
    /// The surroundings of the cluster file at `path`, with `stored` images in the store.
    pub fn new(path: &Path, stored: Vec<String>) -> Self {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Self { directory: directory.unwrap_or(Path::new(".")).to_owned(), stored }
    }
}

impl Surroundings for OnDisk {
    fn stored_images(&self) -> Vec<String> {
        self.stored.clone()
    }

    fn check_profile(&self, reference: &str) -> Result<(), String> {
        profiles::locate(&self.directory, reference).map(drop).map_err(|error| error.to_string())
    }
}
