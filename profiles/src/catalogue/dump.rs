//! What was found in kernels that were booted: their options, and the files that settings are in.
//!
//! Not what kernels *should* have: the catalogue is held against these dumps
//! ([`Catalogue::unexplained`](super::Catalogue::unexplained)). A dump is a text, a fact a line:
//!
//! ```text
//! # comment
//! release 6.12.117+deb12-cloud-amd64
//! CONFIG_PSI=y
//! option nvme.poll_queues
//! [as booted]
//! vm.swappiness 644 60<tab>-1! 0 1 2147483647!
//! /sys/kernel/mm/ksm/run 644 0
//! [with modules bfq tcp_bbr]
//! net.bridge.bridge-nf-call-iptables 644 1
//! [with scheduler bfq]
//! /sys/block/vda/queue/iosched/slice_idle 644 8
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::kernel::{Kernel, KernelError};

/// A booted kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Version, flavour and options.
    pub kernel: Kernel,
    /// What `uname -r` says.
    pub release: String,
    /// How the options that matter to settings are set: `y`, `m`, a number; `n` is off.
    pub config: BTreeMap<String, String>,
    /// The options of modules that there are, of those in the catalogue: `nvme.poll_queues`.
    pub module_options: BTreeSet<String>,
    /// The modules that were loaded or are built in, named with underscores.
    pub modules: BTreeSet<String>,
    /// The files, sorted within each stage.
    pub keys: Vec<Key>,
}

/// When a file was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// After the boot, with the drivers of a disk and a network device.
    Booted,
    /// Not before the modules of the catalogue were loaded.
    Modules,
    /// With this I/O scheduler.
    Scheduler(String),
}

/// A file that a kernel shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The name of a sysctl with dots, or the whole path of another file.
    pub name: String,
    /// Permission bits.
    pub mode: u16,
    /// The first line, tabs as blanks; empty where a file that nobody may write only tells how
    /// things are.
    pub value: String,
    /// When it was found.
    pub stage: Stage,
    /// What came of writing numbers to it.
    pub tried: Vec<Tried>,
}

/// What came of writing a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The number.
    pub value: i64,
    /// What was read afterwards; nothing where the kernel refused to take it.
    pub reads: Option<String>,
}

impl Tried {
    /// Reads `1`, taken as it is; `3=4`, taken and read back as something else; `-1!`, refused.
    fn read(text: &str) -> Option<Self> {
        if let Some(refused) = text.strip_suffix('!') {
            return Some(Self { value: refused.parse().ok()?, reads: None });
        }
        let (value, reads) = text.split_once('=').unwrap_or((text, text));
        Some(Self { value: value.parse().ok()?, reads: Some(reads.to_owned()) })
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reads {
            None => write!(f, "{}!", self.value),
            Some(reads) if *reads == self.value.to_string() => f.write_str(reads),
            Some(reads) => write!(f, "{}={reads}", self.value),
        }
    }
}

impl Key {
    /// Whether root may write it.
    pub fn is_writable(&self) -> bool {
        self.mode & 0o200 != 0
    }

    /// Whether root may read it.
    pub fn is_readable(&self) -> bool {
        self.mode & 0o400 != 0
    }

    /// Its path.
    pub fn path(&self) -> String {
        if self.name.starts_with('/') {
            return self.name.clone();
        }
        format!("/proc/sys/{}", self.name.replace('.', "/"))
    }
}

/// What is wrong with a dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// a line of no form
    #[error(
        "line {line} of the dump of {kernel} is none of: release, CONFIG_X=y, option, [stage], \
         `name mode value`; `make kernels` remakes it"
    )]
    Line {
        /// The dump.
        kernel: String,
        /// Which line, from 1.
        line: usize,
    },
    /// no release
    #[error("the dump of {0} does not say which release it is of; `make kernels` remakes it")]
    NoRelease(String),
    /// the name is no kernel's
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// The dumps that are compiled in: name and text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/dumps.rs"));

/// All kernels that were dumped.
///
/// # Errors
/// [`DumpError`] where a dump is malformed, which the tests rule out.
pub fn dumps() -> Result<Vec<Dump>, DumpError> {
    FILES.iter().map(|(name, text)| Dump::read(name, text)).collect()
}

/// The dump of one kernel, by version and flavour.
///
/// # Errors
/// [`DumpError`] where the dump is malformed, which the tests rule out.
pub fn dump(kernel: &Kernel) -> Result<Option<Dump>, DumpError> {
    let wanted = kernel.to_string();
    let file = FILES.iter().find(|(name, _)| *name == wanted);
    file.map(|(name, text)| Dump::read(name, text)).transpose()
}

impl Dump {
    /// An empty dump.
    pub fn new(kernel: Kernel, release: String) -> Self {
        let (config, module_options, modules) = Default::default();
        Self { kernel, release, config, module_options, modules, keys: Vec::new() }
    }

    /// Reads a dump; `name` is that of its kernel, `6.12-rt`.
    ///
    /// # Errors
    /// [`DumpError`], with the line.
    pub fn read(name: &str, text: &str) -> Result<Self, DumpError> {
        let mut dump = Self::new(Kernel::named(name)?, String::new());
        let mut stage = Stage::Booted;
        for (index, line) in text.lines().enumerate() {
            let malformed = || DumpError::Line { kernel: name.to_owned(), line: index + 1 };
            if line.starts_with('#') {
                continue;
            }
            if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                stage = dump.enter(title).ok_or_else(malformed)?;
                continue;
            }
            if let Some((option, state)) = line.split_once('=')
                && line.starts_with("CONFIG_")
            {
                dump.set_option(option, state);
                continue;
            }
            let (first, rest) = line.split_once(' ').ok_or_else(malformed)?;
            match first {
                "release" => rest.clone_into(&mut dump.release),
                "option" => drop(dump.module_options.insert(rest.to_owned())),
                _ => {
                    let (rest, tried) = rest.split_once('\t').unwrap_or((rest, ""));
                    let (mode, value) = rest.split_once(' ').unwrap_or((rest, ""));
                    let mode = u16::from_str_radix(mode, 8).map_err(|_| malformed())?;
                    let (name, value) = (first.to_owned(), value.to_owned());
                    let tried: Option<Vec<Tried>> =
                        tried.split(' ').filter(|it| !it.is_empty()).map(Tried::read).collect();
                    let tried = tried.ok_or_else(malformed)?;
                    dump.keys.push(Key { name, mode, value, stage: stage.clone(), tried });
                }
            }
        }
        if dump.release.is_empty() {
            return Err(DumpError::NoRelease(name.to_owned()));
        }
        Ok(dump)
    }

    /// Learns how an option of the kernel is set.
    pub fn set_option(&mut self, option: &str, state: &str) {
        self.kernel.config.insert(option.to_owned(), state != "n");
        self.config.insert(option.to_owned(), state.to_owned());
    }

    fn enter(&mut self, title: &str) -> Option<Stage> {
        if title == "as booted" {
            return Some(Stage::Booted);
        }
        if let Some(modules) = title.strip_prefix("with modules") {
            self.modules.extend(modules.split_whitespace().map(str::to_owned));
            return Some(Stage::Modules);
        }
        Some(Stage::Scheduler(title.strip_prefix("with scheduler ")?.to_owned()))
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "release {}", self.release)?;
        for (option, state) in &self.config {
            writeln!(f, "{option}={state}")?;
        }
        for option in &self.module_options {
            writeln!(f, "option {option}")?;
        }
        let mut stage = None;
        for key in &self.keys {
            if stage != Some(&key.stage) {
                self.write_stage(&key.stage, f)?;
                stage = Some(&key.stage);
            }
            let line = format!("{} {:o} {}", key.name, key.mode, key.value);
            f.write_str(line.trim_end())?;
            for (index, tried) in key.tried.iter().enumerate() {
                write!(f, "{}{tried}", if index == 0 { '\t' } else { ' ' })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Dump {
    fn write_stage(&self, stage: &Stage, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match stage {
            Stage::Booted => writeln!(f, "[as booted]"),
            Stage::Modules => {
                let modules: Vec<&str> = self.modules.iter().map(String::as_str).collect();
                writeln!(f, "[with modules {}]", modules.join(" "))
            }
            Stage::Scheduler(name) => writeln!(f, "[with scheduler {name}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_dump() {
        for (name, text) in FILES {
            let dump = Dump::read(name, text).unwrap();
            assert!(dump.keys.len() > 700, "{name}");
            let swappiness = dump.keys.iter().find(|key| key.name == "vm.swappiness").unwrap();
            assert_eq!((swappiness.mode, swappiness.value.as_str()), (0o644, "60"));
            let facts: String = text.lines().filter(|line| !line.starts_with('#')).fold(
                String::new(),
                |mut all, line| {
                    all.extend([line, "\n"]);
                    all
                },
            );
            assert!(dump.to_string() == facts, "{name} is not as it would be written");
        }
    }

    #[test]
    fn names_the_line_it_cannot_read() {
        let error = Dump::read("6.1-rt", "# kernel\nCONFIG_PSI=y\nvm.swappiness\n").unwrap_err();
        assert!(matches!(error, DumpError::Line { line: 3, .. }));
        for bad in [
            "vm.swappiness rw 60",
            "[with pleasure]",
            "",
            "[",
            "x 9 1",
            "x 777777777 1",
            "x 644 1\t2?",
        ] {
            assert!(Dump::read("6.1-rt", bad).is_err(), "{bad}");
        }
        assert!(matches!(Dump::read("6.1-rt", "# nothing"), Err(DumpError::NoRelease(_))));
        assert!(matches!(Dump::read("6.1-hot", ""), Err(DumpError::Kernel(_))));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = Dump::read("6.1-rt", &text);
        }
    }
}
