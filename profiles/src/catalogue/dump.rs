//! What was found in kernels that were booted: their options, and every file of `/proc/sys`.
//!
//! Not what kernels *should* have: the catalogue is held against these dumps.

use super::kernel::{Flavour, Kernel};
use super::version::{Version, VersionError};

/// A booted kernel.
#[derive(Debug, Clone)]
pub struct Dump {
    /// Version, flavour and options.
    pub kernel: Kernel,
    /// Its sysctls, sorted by name.
    pub keys: Vec<Key>,
}

/// A file of `/proc/sys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name with dots.
    pub name: String,
    /// Permission bits.
    pub mode: u16,
    /// What was read after boot, tabs as blanks.
    pub value: String,
}

impl Key {
    /// Whether root may write it.
    pub fn is_writable(&self) -> bool {
        self.mode & 0o200 != 0
    }

    /// Its path below `/proc/sys`.
    pub fn path(&self) -> String {
        self.name.replace('.', "/")
    }
}

/// What is wrong with a dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// a line of neither form
    #[error("line {line} of the dump of {kernel} is neither CONFIG_X=y nor `name mode value`")]
    Line {
        /// The dump.
        kernel: &'static str,
        /// Which line, from 1.
        line: usize,
    },
    /// the version is none
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// The dumps that are compiled in: version, flavour, text.
const FILES: &[(&str, Flavour, &str)] = &[
    ("6.1", Flavour::Cloud, include_str!("../../kernels/6.1-cloud.txt")),
    ("6.1", Flavour::Generic, include_str!("../../kernels/6.1-generic.txt")),
    ("6.1", Flavour::Rt, include_str!("../../kernels/6.1-rt.txt")),
    ("6.12", Flavour::Cloud, include_str!("../../kernels/6.12-cloud.txt")),
    ("6.12", Flavour::Generic, include_str!("../../kernels/6.12-generic.txt")),
    ("6.12", Flavour::Rt, include_str!("../../kernels/6.12-rt.txt")),
];

/// All kernels that were dumped.
///
/// # Errors
/// [`DumpError`] where a dump is malformed, which the tests rule out.
pub fn dumps() -> Result<Vec<Dump>, DumpError> {
    FILES.iter().map(|(version, flavour, text)| read(version, *flavour, text)).collect()
}

fn read(version: &'static str, flavour: Flavour, text: &str) -> Result<Dump, DumpError> {
    let mut kernel = Kernel::new(version.parse::<Version>()?, flavour);
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let malformed = || DumpError::Line { kernel: version, line: index + 1 };
        if let Some((option, state)) = line.split_once('=').filter(|_| line.starts_with("CONFIG_"))
        {
            kernel.config.insert(option.to_owned(), state != "n");
            continue;
        }
        let (name, rest) = line.split_once(' ').ok_or_else(malformed)?;
        let (mode, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let mode = u16::from_str_radix(mode, 8).map_err(|_| malformed())?;
        keys.push(Key { name: name.to_owned(), mode, value: value.to_owned() });
    }
    Ok(Dump { kernel, keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_dump() {
        let dumps = dumps().unwrap();
        assert_eq!(dumps.len(), FILES.len());
        for dump in &dumps {
            assert!(dump.keys.len() > 700, "{:?}", dump.kernel.version);
            let swappiness = dump.keys.iter().find(|key| key.name == "vm.swappiness").unwrap();
            assert_eq!((swappiness.mode, swappiness.value.as_str()), (0o644, "60"));
        }
    }

    #[test]
    fn names_the_line_it_cannot_read() {
        let error =
            read("6.1", Flavour::Rt, "# kernel\nCONFIG_PSI=y\nvm.swappiness\n").unwrap_err();
        assert!(matches!(error, DumpError::Line { line: 3, .. }));
        assert!(read("6.1", Flavour::Rt, "vm.swappiness rw 60").is_err());
    }
}
