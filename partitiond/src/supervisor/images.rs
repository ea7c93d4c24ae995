//! Images as partitions boot them.

use std::path::PathBuf;

use images::manifest::Digest;
use images::store::{Image, Store};

use super::{Supervisor, failed, problem};
use crate::api::{Problem, ProblemKind, StoredImage, printable};

/// An image whose content is there.
pub struct Bootable {
    /// What names it.
    pub digest: String,
    /// `uname -r`.
    pub kernel: String,
    /// The kernel.
    pub vmlinux: PathBuf,
    /// The parts of the initramfs.
    pub initramfs: Vec<PathBuf>,
    /// Words for the command line.
    pub command_line: String,
}

impl Supervisor {
    /// The store.
    pub(super) fn store(&self) -> Result<Store, Problem> {
        Store::open(self.paths.images()).map_err(|error| failed(&error))
    }

    /// The image of this name or digest, after a look at every byte of it where `verify` says so.
    pub(super) fn image(&self, name: &str, verify: bool) -> Result<Bootable, Problem> {
        let store = self.store()?;
        let image = store.resolve(name).map_err(|error| {
            let message = format!("image `{}`: {error}", printable(name));
            let hint = "`partitiond image ls` lists what is there; define it under `images:`";
            problem(ProblemKind::NotFound, message, Some(hint.to_owned()))
        })?;
        if verify {
            store.verify(&image.digest).map_err(|error| {
                let hint = "build it again: partitiond image build".to_owned();
                problem(ProblemKind::Refused, error.to_string(), Some(hint))
            })?;
        }
        let path = |digest: &Digest| store.blob_path(digest);
        let manifest = &image.manifest;
        Ok(Bootable {
            digest: image.digest.as_str().to_owned(),
            kernel: manifest.kernel.release.clone(),
            vmlinux: path(&manifest.kernel.vmlinux.digest),
            initramfs: manifest.initramfs.iter().map(|blob| path(&blob.digest)).collect(),
            command_line: manifest.cmdline.clone(),
        })
    }

    /// Every image in the store; damaged ones are left out.
    pub(super) fn images(&self) -> Result<Vec<StoredImage>, Problem> {
        let listed = self.store()?.list().map_err(|error| failed(&error))?;
        Ok(listed.iter().flatten().map(stored).collect())
    }
}

/// As the API shows it.
pub fn stored(image: &Image) -> StoredImage {
    StoredImage {
        digest: image.digest.as_str().to_owned(),
        names: image.names.clone(),
        kernel: image.manifest.kernel.release.clone(),
        size: image.size(),
    }
}
