//! Small files of procfs and sysfs, below a root of one's choice.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use boot::units::CpuSet;

use super::ReadError;

/// The largest file read: `/proc/cpuinfo` has about 1.5 KiB for each of at most 8,192 CPUs.
const MAX_FILE: u64 = 32 << 20;

/// The files below a root.
pub struct Files<'a> {
    /// Where `proc` and `sys` are.
    pub root: &'a Path,
}

impl Files<'_> {
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub fn required(&self, name: &str) -> Result<String, ReadError> {
        let path = self.path(name);
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
        match read {
            Ok(_) => Ok(String::from_utf8_lossy(&text).trim_end().to_owned()),
            Err(cause) => Err(ReadError::File { path, cause }),
        }
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.required(name).ok()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    }

    pub fn set(&self, name: &str) -> Option<CpuSet> {
        self.text(name)?.parse().ok()
    }

    pub fn required_set(&self, name: &str) -> Result<CpuSet, ReadError> {
        let text = self.required(name)?;
        text.parse().map_err(|_| ReadError::Content {
            path: self.path(name),
            text: text.chars().take(40).collect(),
            expected: "a list of numbers",
        })
    }

    /// The names in a directory, in order.
    pub fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The last part of what a link points at.
    pub fn link(&self, name: &str) -> Option<String> {
        let target = fs::read_link(self.path(name)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }
}
