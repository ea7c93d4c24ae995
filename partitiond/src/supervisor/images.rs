//! Images as partitions boot them.

use std::fs;
use std::os::unix::fs::MetadataExt;
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
            self.verify(&store, &image)?;
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

    /// Looks at every byte of an image, unless that has been done since the host booted and no file
    /// of it has been touched.
    fn verify(&self, store: &Store, image: &Image) -> Result<(), Problem> {
        let stamp: String = image
            .blobs()
            .map(|blob| {
                let metadata = fs::metadata(store.blob_path(&blob.digest));
                metadata.map_or_else(
                    |error| format!("{}: {error}\n", blob.digest),
                    // Every write and every change of a file's inode moves its change time.
                    |m| {
                        format!("{} {} {}.{:09}\n", blob.digest, m.ino(), m.ctime(), m.ctime_nsec())
                    },
                )
            })
            .collect();
        let path = self.paths.verified().join(image.digest.as_str());
        if fs::read_to_string(&path).is_ok_and(|verified| verified == stamp) {
            return Ok(());
        }
        // The error says itself what to do.
        store
            .verify(&image.digest)
            .map_err(|error| problem(ProblemKind::Refused, error.to_string(), None))?;
        // Without a stamp it is merely done again.
        let _ = fs::create_dir_all(self.paths.verified()).and_then(|()| fs::write(&path, stamp));
        Ok(())
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
