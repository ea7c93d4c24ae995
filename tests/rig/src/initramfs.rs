//! The initramfs of a rig.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use images::cpio::{CpioError, Meta, Writer};

use crate::inside::{Module, SETUP, Setup};
use crate::modules::{ModuleError, ModuleIndex};
use crate::spec::RigSpec;

/// What every rig needs: the port that the agent serves.
const OWN_MODULES: [&str; 2] = ["virtio_pci", "virtio_console"];

/// Why the initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// a file to put in cannot be read
    #[error("cannot take {} into the rig: {error}", .path.display())]
    Take {
        /// which
        path: PathBuf,
        /// why
        error: io::Error,
    },
    /// the archive cannot be written
    #[error(
        "cannot write the rig's initramfs: {0}; is there room in the folder for temporary files?"
    )]
    Write(io::Error),
    /// a path that cannot stand in the archive
    #[error("`{}` cannot be a path in the rig: it must be UTF-8 and have no `..`", .0.display())]
    Name(PathBuf),
    /// the archive cannot hold it
    #[error(transparent)]
    Archive(#[from] CpioError),
    /// a module
    #[error(transparent)]
    Module(#[from] ModuleError),
}

/// Writes the archive to `to`; returns its size in bytes.
///
/// # Errors
///
/// Where a file of the spec cannot be read or `to` cannot be written.
pub fn write(spec: &RigSpec, to: &mut File) -> Result<u64, InitramfsError> {
    write_own(spec, to)?;
    for path in &spec.archives {
        append(path, to)?;
    }
    to.stream_position().map_err(InitramfsError::Write)
}

fn write_own(spec: &RigSpec, to: &mut File) -> Result<(), InitramfsError> {
    let mut archive = Archive {
        writer: Writer::new(BufWriter::with_capacity(1 << 20, to)),
        folders: BTreeSet::new(),
    };
    for folder in ["dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "usr/sbin"]
    {
        archive.folder(Path::new(folder))?;
    }
    archive.take(Path::new("init"), &spec.agent, Some(0o755))?;
    archive.take(Path::new("bin/busybox"), &spec.busybox, Some(0o755))?;
    archive.symlink(Path::new("bin/sh"), Path::new("busybox"))?;

    let modules = archive.modules(spec)?;
    let setup = Setup { hostname: spec.name.to_string(), modules };
    let setup = serde_json::to_vec(&setup).map_err(|error| InitramfsError::Write(error.into()))?;
    archive.bytes(&relative(Path::new(SETUP)), &setup)?;
    for file in &spec.files {
        archive.take(&relative(&file.guest), &file.host, file.mode)?;
    }
    let (mut buffer, _) = archive.writer.finish()?;
    buffer.flush().map_err(InitramfsError::Write)
}

/// Puts another archive behind what is there, at the alignment that the kernel expects.
fn append(path: &Path, to: &mut File) -> Result<(), InitramfsError> {
    let end = to.stream_position().map_err(InitramfsError::Write)?;
    let padding = end.next_multiple_of(4) - end;
    io::copy(&mut io::Read::take(io::repeat(0), padding), to).map_err(InitramfsError::Write)?;
    let mut archive =
        File::open(path).map_err(|error| InitramfsError::Take { path: path.to_owned(), error })?;
    io::copy(&mut archive, to).map_err(InitramfsError::Write)?;
    Ok(())
}

fn relative(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::RootDir)).collect()
}

/// The path as the archive has it.
fn name(path: &Path) -> Result<&str, InitramfsError> {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let name = path.to_str().filter(|name| plain && !name.is_empty());
    name.ok_or_else(|| InitramfsError::Name(path.to_owned()))
}

struct Archive<W: Write> {
    writer: Writer<W>,
    folders: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    fn folder(&mut self, path: &Path) -> Result<(), InitramfsError> {
        let mut ancestors: Vec<_> = path.ancestors().collect();
        ancestors.reverse();
        for folder in ancestors {
            if !folder.as_os_str().is_empty() && self.folders.insert(folder.to_owned()) {
                self.writer.directory(name(folder)?, Meta::root(0o755))?;
            }
        }
        Ok(())
    }

    fn parent(&mut self, path: &Path) -> Result<(), InitramfsError> {
        path.parent().map_or(Ok(()), |parent| self.folder(parent))
    }

    fn symlink(&mut self, path: &Path, target: &Path) -> Result<(), InitramfsError> {
        self.parent(path)?;
        let target = target.to_str().ok_or_else(|| InitramfsError::Name(target.to_owned()))?;
        Ok(self.writer.symlink(name(path)?, target, Meta::root(0o777))?)
    }

    fn bytes(&mut self, path: &Path, contents: &[u8]) -> Result<(), InitramfsError> {
        self.parent(path)?;
        Ok(self.writer.bytes(name(path)?, Meta::root(0o644), contents)?)
    }

    fn take(&mut self, guest: &Path, host: &Path, mode: Option<u32>) -> Result<(), InitramfsError> {
        let failed = |error| InitramfsError::Take { path: host.to_owned(), error };
        let metadata = fs::metadata(host).map_err(failed)?;
        if metadata.is_dir() {
            self.folder(guest)?;
            let mut entries: Vec<_> =
                fs::read_dir(host).and_then(Iterator::collect).map_err(failed)?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let inside = guest.join(entry.file_name());
                if entry.file_type().map_err(failed)?.is_symlink() {
                    let target = fs::read_link(entry.path()).map_err(failed)?;
                    self.symlink(&inside, &target)?;
                } else {
                    self.take(&inside, &entry.path(), None)?;
                }
            }
            return Ok(());
        }
        if !metadata.is_file() {
            return Err(failed(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is neither a regular file nor a folder",
            )));
        }
        let mode = mode.unwrap_or_else(|| metadata.permissions().mode()) & 0o7777;
        self.parent(guest)?;
        let mut file = File::open(host).map_err(failed)?;
        Ok(self.writer.file(&[name(guest)?], Meta::root(mode), metadata.len(), &mut file)?)
    }

    fn modules(&mut self, spec: &RigSpec) -> Result<Vec<Module>, InitramfsError> {
        let index = ModuleIndex::read(&spec.kernel.modules)?;
        let asked: Vec<(String, &str)> = spec
            .modules
            .iter()
            .map(|line| {
                let (name, parameters) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
                (name.replace('-', "_"), parameters)
            })
            .collect();
        let names: Vec<&str> =
            OWN_MODULES.into_iter().chain(asked.iter().map(|(name, _)| name.as_str())).collect();
        let mut modules = Vec::new();
        for module in index.resolve(&names)? {
            let path = PathBuf::from(format!("/lib/rig-modules/{}.ko", module.name));
            self.bytes(&relative(&path), &module.contents)?;
            let parameters = asked
                .iter()
                .find(|(name, _)| *name == module.name)
                .map_or(String::new(), |(_, parameters)| (*parameters).to_owned());
            modules.push(Module { path, parameters });
        }
        Ok(modules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_out_of_the_root_is_refused() {
        for bad in ["../etc", "a/../../b", "", "/a"] {
            assert!(name(Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(name(&relative(Path::new("/usr/bin/x"))).unwrap(), "usr/bin/x");
    }
}
