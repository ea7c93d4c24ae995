//! KernelScript out of what people have today: sysctl.d files and TuneD profiles.
//!
//! What a source says becomes settings of the [catalogue](crate::catalogue), under its names and with its
//! types and units. What cannot be said, or is not to be said without somebody who decides, stands at
//! the end of the script as comments and in [`Imported::remarks`]: nothing vanishes. A guard is written
//! only where [`Options`] ask for one, a waiver never.
//!
//! ```
//! use profiles::catalogue::Catalogue;
//! use profiles::import::{Memory, Options, import};
//!
//! let files = Memory::new(&[("/etc/sysctl.d/db.conf", "vm.swappiness = 3\n-vm.nonsense = 1\n")]);
//! let catalogue = Catalogue::built_in()?;
//! let imported = import(&["/etc/sysctl.d/db.conf".into()], &files, catalogue, &Options::default())?;
//! assert!(imported.script.contains("profile db {\n    vm.swappiness = 3\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod emit;
mod error;
mod files;
mod find;
mod item;
mod judge;
mod kernel_text;
mod literal;
mod name;
mod remark;
mod sysctl;
#[cfg(test)]
mod tests;
mod tuned;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::{ImportError, Problem};
pub use files::{Disk, FileKind, Files, Memory};
pub use remark::{Fate, Place, Remark};

use crate::catalogue::Catalogue;

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// sysctl.d(5): `key = value`.
    Sysctl,
    /// A TuneD profile: `tuned.conf`.
    Tuned,
}

/// How to import.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the source is; told by names and contents where it is not said.
    pub format: Option<Format>,
    /// The profile's name, where there is one; made from the file's name where it is not said. TuneD's
    /// profiles have names already.
    pub name: Option<String>,
    /// Each profile gets a guard that waits so long for somebody to confirm. Whole milliseconds.
    pub guard: Option<Duration>,
    /// Whether values stand in the script that `check` will refuse: those that the kernel does not take,
    /// and those that take a waiver. Otherwise they are comments.
    pub refused: bool,
    /// Where TuneD's profiles lie that others include, besides the folder beside the file; the first
    /// that has one is taken.
    pub search: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let search =
            ["/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned"];
        Self {
            format: None,
            name: None,
            guard: None,
            refused: false,
            search: search.map(PathBuf::from).to_vec(),
        }
    }
}

/// Something that stands in the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where the source says it.
    pub at: Place,
    /// The profile that it stands in.
    pub profile: String,
    /// What it is about: a setting's name, or a file.
    pub what: String,
    /// The statement, without the block that it stands in.
    pub statement: String,
}

/// What came of a source.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The script, in canonical form.
    pub script: String,
    /// Its profiles, in its order.
    pub profiles: Vec<String>,
    /// What stands in it.
    pub written: Vec<Written>,
    /// What does not, or not quite.
    pub remarks: Vec<Remark>,
}

/// Writes a script that says what sources say: one or more `tuned.conf` (or the folders that hold
/// them), or sysctl.d files and folders. Of several sysctl.d folders the first has precedence, as
/// `/etc/sysctl.d` has over `/usr/lib/sysctl.d`.
///
/// # Errors
/// Everything that is wrong with the sources, at once.
pub fn import(
    paths: &[PathBuf],
    files: &dyn Files,
    catalogue: &Catalogue,
    options: &Options,
) -> Result<Imported, ImportError> {
    let formats: Vec<Format> = match options.format {
        Some(format) => vec![format],
        None => paths.iter().map(|path| told(path, files)).collect::<Result<_, _>>()?,
    };
    let Some(format) = formats.first() else { return Err(Problem::Nothing.into()) };
    if formats.iter().any(|other| other != format) {
        return Err(Problem::Mixed.into());
    }
    let set = match format {
        Format::Sysctl => sysctl::import(paths, files, catalogue, options)?,
        Format::Tuned => tuned::import(paths, files, catalogue, options)?,
    };
    emit::script(set, catalogue, options)
}

/// What a source is, by its name and contents.
fn told(path: &Path, files: &dyn Files) -> Result<Format, ImportError> {
    if path.file_name().is_some_and(|name| name == tuned::FILE) {
        return Ok(Format::Tuned);
    }
    if files.kind(path) == Some(FileKind::Directory) {
        let tuned = files.kind(&path.join(tuned::FILE)) == Some(FileKind::File);
        return Ok(if tuned { Format::Tuned } else { Format::Sysctl });
    }
    let text = files.read(path)?;
    let lines = text.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let section = lines.next().is_some_and(|line| line.starts_with('['));
    Ok(if section { Format::Tuned } else { Format::Sysctl })
}
