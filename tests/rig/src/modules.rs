//! Kernel modules of one kernel: which file holds one, and what it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use images::compress::CompressError;

/// The largest module we take, in bytes, decompressed. Debian's largest has about 10 MiB.
const MAX_MODULE: u64 = 64 << 20;

/// Why a module cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// a folder or file of the kernel package cannot be read
    #[error("cannot read {}: {error}", .path.display())]
    Read {
        /// which
        path: PathBuf,
        /// why
        error: io::Error,
    },
    /// neither a file nor built in
    #[error(
        "the kernel in {} has no module `{name}`, neither as a file nor built in: choose another kernel \
         flavour, or leave the module out",
        .folder.display()
    )]
    Missing {
        /// the module
        name: String,
        /// where it was looked for
        folder: PathBuf,
    },
    /// not a 64-bit ELF object with module information
    #[error("{} is not a kernel module: {reason}", .path.display())]
    Malformed {
        /// the file
        path: PathBuf,
        /// what is wrong
        reason: &'static str,
    },
    /// packed in a way that cannot be undone, or too large
    #[error("cannot unpack {}: {error}", .path.display())]
    Packed {
        /// the file
        path: PathBuf,
        /// why
        error: CompressError,
    },
    /// modules that need each other
    #[error("module `{0}` depends on itself")]
    Cycle(String),
}

/// A module, ready to load.
#[derive(Clone, PartialEq, Eq)]
pub struct LoadedModule {
    /// its name with underscores
    pub name: String,
    /// the ELF object, decompressed
    pub contents: Vec<u8>,
}

/// The modules of one kernel, by name.
#[derive(Debug)]
pub struct ModuleIndex {
    folder: PathBuf,
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

/// The name by which the kernel knows the module in this file: no endings, dashes as underscores.
fn module_name(file_name: &str) -> Option<String> {
    let stem = [".xz", ".zst", ".gz", ""]
        .iter()
        .find_map(|ending| file_name.strip_suffix(ending)?.strip_suffix(".ko"))?;
    Some(stem.replace('-', "_"))
}

impl ModuleIndex {
    /// Reads the folder `lib/modules/RELEASE` of a kernel package. `depmod` need not have run.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be read.
    pub fn read(folder: &Path) -> Result<Self, ModuleError> {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.join("kernel")];
        while let Some(path) = folders.pop() {
            let read_error = |error| ModuleError::Read { path: path.clone(), error };
            for entry in fs::read_dir(&path).map_err(read_error)? {
                let entry = entry.map_err(read_error)?;
                if entry.file_type().map_err(read_error)?.is_dir() {
                    folders.push(entry.path());
                } else if let Some(name) = entry.file_name().to_str().and_then(module_name) {
                    files.insert(name, entry.path());
                }
            }
        }
        let list = folder.join("modules.builtin");
        let built_in = fs::read_to_string(&list)
            .map_err(|error| ModuleError::Read { path: list, error })?
            .lines()
            .filter_map(|line| module_name(line.rsplit('/').next()?))
            .collect();
        Ok(Self { folder: folder.to_owned(), files, built_in })
    }

    /// The modules to load for these names, each behind what it depends on. What is built in needs no
    /// loading and is left out.
    ///
    /// # Errors
    ///
    /// Where one is missing or malformed.
    pub fn resolve(&self, names: &[&str]) -> Result<Vec<LoadedModule>, ModuleError> {
        let mut loaded = Vec::new();
        let mut on_the_way = Vec::new();
        for name in names {
            self.add(&name.replace('-', "_"), &mut loaded, &mut on_the_way)?;
        }
        Ok(loaded)
    }

    fn add(
        &self,
        name: &str,
        loaded: &mut Vec<LoadedModule>,
        on_the_way: &mut Vec<String>,
    ) -> Result<(), ModuleError> {
        if loaded.iter().any(|module| module.name == name) {
            return Ok(());
        }
        if on_the_way.iter().any(|other| other == name) {
            return Err(ModuleError::Cycle(name.to_owned()));
        }
        let Some(path) = self.files.get(name) else {
            if self.built_in.contains(name) {
                return Ok(());
            }
            return Err(ModuleError::Missing {
                name: name.to_owned(),
                folder: self.folder.clone(),
            });
        };
        let contents = read_module(path)?;
        let information = module_information(&contents)
            .map_err(|reason| ModuleError::Malformed { path: path.clone(), reason })?;
        on_the_way.push(name.to_owned());
        for dependency in dependencies(information) {
            self.add(&dependency, loaded, on_the_way)?;
        }
        on_the_way.pop();
        loaded.push(LoadedModule { name: name.to_owned(), contents });
        Ok(())
    }
}

fn read_module(path: &Path) -> Result<Vec<u8>, ModuleError> {
    let read_error = |error| ModuleError::Read { path: path.to_owned(), error };
    let file = fs::File::open(path).map_err(read_error)?;
    let mut contents = Vec::new();
    file.take(MAX_MODULE + 1).read_to_end(&mut contents).map_err(read_error)?;
    if contents.starts_with(b"\x7fELF") && contents.len() as u64 <= MAX_MODULE {
        return Ok(contents);
    }
    images::compress::decompress(&contents, MAX_MODULE)
        .map_err(|error| ModuleError::Packed { path: path.to_owned(), error })
}

fn dependencies(information: &[u8]) -> Vec<String> {
    information
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix("depends="))
        .flat_map(|list| list.split(','))
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<usize> {
    field(bytes, offset).map(|field| usize::from(u16::from_le_bytes(field)))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(field(bytes, offset)?)).ok()
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(field(bytes, offset)?)).ok()
}

/// The `.modinfo` section of an ELF64 object (System V ABI, chapter 4).
fn module_information(elf: &[u8]) -> Result<&[u8], &'static str> {
    if field(elf, 0) != Some(*b"\x7fELF\x02\x01") {
        return Err("no 64-bit little-endian ELF header");
    }
    let section = |index: usize| {
        let table = u64_at(elf, 0x28)?;
        let size = u16_at(elf, 0x3a)?;
        let start = index.checked_mul(size)?.checked_add(table)?;
        elf.get(start..start.checked_add(0x40)?)
    };
    let contents = |header: &[u8]| {
        let offset = u64_at(header, 0x18)?;
        elf.get(offset..offset.checked_add(u64_at(header, 0x20)?)?)
    };
    let names = u16_at(elf, 0x3e).and_then(section).and_then(contents).ok_or("no section names")?;
    let count = u16_at(elf, 0x3c).ok_or("a header that is cut short")?;
    for index in 0..count {
        let header = section(index).ok_or("a section table beyond the end of the file")?;
        let name = u32_at(header, 0).and_then(|start| names.get(start..)).unwrap_or_default();
        if name.starts_with(b".modinfo\0") {
            return contents(header).ok_or("a section beyond the end of the file");
        }
    }
    Err("no .modinfo section")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels_own() {
        assert_eq!(module_name("virtio-rng.ko.xz").as_deref(), Some("virtio_rng"));
        assert_eq!(module_name("msr.ko").as_deref(), Some("msr"));
        assert_eq!(module_name("modules.order"), None);
    }

    #[test]
    fn dependencies_come_from_the_information() {
        let information = b"license=GPL\0depends=virtio-ring,virtio\0name=x\0";
        assert_eq!(dependencies(information), ["virtio_ring", "virtio"]);
        assert!(dependencies(b"depends=\0").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(mut bytes: Vec<u8>, header: bool) {
            if header {
                bytes.splice(..0, *b"\x7fELF\x02\x01");
            }
            let _ = module_information(&bytes);
        }
    }
}
