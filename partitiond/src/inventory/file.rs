//! A machine in a file: `partitiond plan --machine FILE`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Machine;

/// The largest file that is read, in bytes: 8,192 CPUs take about 2 MiB.
pub const MAX_FILE: u64 = 16 << 20;

/// Why a file holds no machine.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// the file system says no
    #[error("cannot read the machine file {path}: {cause}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// not a regular file
    #[error("the machine file {0} is not a regular file")]
    NotAFile(PathBuf),
    /// beyond [`MAX_FILE`]
    #[error("the machine file {0} is too large: at most 16 MiB are read")]
    TooLarge(PathBuf),
    /// no machine in RON
    #[error(
        "the machine file {path} does not read: {cause}. Expected a machine as partitiond saves it"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        cause: Box<ron::error::SpannedError>,
    },
    /// a machine that cannot be
    #[error("the machine file {path} describes no machine: {what}")]
    Impossible {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// The text of a machine file.
///
/// # Errors
/// None in practice; RON's writer may refuse a value that RON cannot express.
pub fn save(machine: &Machine) -> Result<String, ron::Error> {
    let pretty = ron::ser::PrettyConfig::default().depth_limit(3).struct_names(false);
    ron::ser::to_string_pretty(machine, pretty).map(|text| text + "\n")
}

/// Reads a machine from a file.
///
/// # Errors
/// [`LoadError`] where the file cannot be read, has more than [`MAX_FILE`] bytes, or describes no
/// possible machine.
pub fn load(path: &Path) -> Result<Machine, LoadError> {
    let open = |cause| LoadError::Open { path: path.to_owned(), cause };
    let metadata = std::fs::metadata(path).map_err(open)?;
    if !metadata.is_file() {
        return Err(LoadError::NotAFile(path.to_owned()));
    }
    let too_large = || LoadError::TooLarge(path.to_owned());
    if metadata.len() > MAX_FILE {
        return Err(too_large());
    }
    let mut text = Vec::new();
    File::open(path).map_err(open)?.take(MAX_FILE + 1).read_to_end(&mut text).map_err(open)?;
    if text.len() as u64 > MAX_FILE {
        return Err(too_large());
    }
    parse(path, &text)
}

/// Reads a machine from the text of a file; `path` is what errors call it.
///
/// # Errors
/// As [`load`].
pub fn parse(path: &Path, text: &[u8]) -> Result<Machine, LoadError> {
    let machine: Machine = ron::de::from_bytes(text)
        .map_err(|cause| LoadError::Format { path: path.to_owned(), cause: Box::new(cause) })?;
    match impossible(&machine) {
        None => Ok(machine),
        Some(what) => Err(LoadError::Impossible { path: path.to_owned(), what }),
    }
}

/// What keeps a machine from being one, if anything.
fn impossible(machine: &Machine) -> Option<String> {
    if machine.nodes.is_empty() || machine.nodes.len() > 1_024 {
        return Some(format!("{} nodes: expected 1 to 1,024", machine.nodes.len()));
    }
    if !machine.cpus.is_sorted_by(|a, b| a.id < b.id) {
        return Some("the CPUs do not stand in ascending order".to_owned());
    }
    if !machine.nodes.is_sorted_by(|a, b| a.id < b.id) {
        return Some("the nodes do not stand in ascending order".to_owned());
    }
    if machine.cpus.last().is_some_and(|cpu| cpu.id.0 > boot::units::MAX_CPU) {
        return Some(format!("a CPU beyond {}", boot::units::MAX_CPU));
    }
    let boots = machine.cpus.iter().filter(|cpu| cpu.boot).count();
    if boots != 1 {
        return Some(format!("{boots} boot CPUs: expected one"));
    }
    for node in &machine.nodes {
        if node.distances.len() != machine.nodes.len() {
            return Some(format!(
                "{} has {} distances: expected one to each of the {} nodes",
                node.id,
                node.distances.len(),
                machine.nodes.len()
            ));
        }
    }
    let total = machine.nodes.iter().try_fold(0_u64, |sum, node| sum.checked_add(node.memory.0));
    if total.is_none() {
        return Some("its memory is beyond 64 bits".to_owned());
    }
    for cpu in &machine.cpus {
        let Some(place) = &cpu.place else { continue };
        if !place.siblings.contains(cpu.id) || !place.llc.contains(cpu.id) {
            return Some(format!("{} is not among its own siblings", cpu.id));
        }
        if machine.node(place.node).is_none() {
            return Some(format!("{} lies on {}, which is not there", cpu.id, place.node));
        }
    }
    None
}
