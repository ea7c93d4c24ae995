//! Images as partitions boot them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use images::manifest::Digest;
use images::store::{Image, Store};
use tokio::task::JoinSet;

use super::kept::Kept;
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

    /// The image of this name or digest.
    pub(super) fn image(&self, name: &str) -> Result<Bootable, Problem> {
        let store = self.store()?;
        let image = resolve(&store, name)?;
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

    /// Looks at every byte of these images, side by side.
    pub(super) async fn verify_all(
        self: &Arc<Self>,
        digests: BTreeSet<String>,
    ) -> Result<(), Problem> {
        let mut checks = JoinSet::new();
        for digest in digests {
            let supervisor = self.clone();
            checks.spawn_blocking(move || supervisor.verify(&digest));
        }
        while let Some(check) = checks.join_next().await {
            check.map_err(|error| failed(&error))??;
        }
        Ok(())
    }

    /// Looks at every byte of an image, but for files that were looked at since the host booted and
    /// have not been touched.
    fn verify(&self, digest: &str) -> Result<(), Problem> {
        let store = self.store()?;
        for blob in resolve(&store, digest)?.blobs() {
            // What is noted is the file as it was before: a change while it is read is seen then.
            let stamp = stamp(&store.blob_path(&blob.digest));
            if stamp.is_some() && stamp == self.verified_as(&blob.digest) {
                continue;
            }
            // The error says itself what to do.
            store
                .open_blob_verified(blob)
                .map_err(|error| problem(ProblemKind::Refused, error.to_string(), None))?;
            self.note_verified(&blob.digest, stamp);
        }
        Ok(())
    }

    /// Notes that every byte of a file that was just stored is known to be right.
    pub(super) fn note_stored(&self, store: &Store, digest: &Digest) {
        self.note_verified(digest, stamp(&store.blob_path(digest)));
    }

    /// The file as it was when every byte of it had been looked at.
    fn verified_as(&self, digest: &Digest) -> Option<String> {
        fs::read_to_string(self.paths.verified().join(digest.as_str())).ok()
    }

    /// Without the note it is merely looked at again.
    fn note_verified(&self, digest: &Digest, stamp: Option<String>) {
        let Some(stamp) = stamp else { return };
        let path = self.paths.verified().join(digest.as_str());
        let _ = fs::create_dir_all(self.paths.verified()).and_then(|()| fs::write(path, stamp));
    }

    /// Removes an image with all its names. Refused while there is a partition of it, which may have to
    /// be started again.
    pub(super) async fn remove_image(&self, name: &str) -> Result<(), Problem> {
        let store = self.store()?;
        let digest = resolve(&store, name)?.digest;
        let needs = |kept: &&Kept| {
            kept.is_alive() && kept.entry.wanted.image.digest.as_deref() == Some(digest.as_str())
        };
        let user = self.kept().values().find(needs).map(|kept| kept.entry.spec.name.clone());
        if let Some(user) = user {
            let message = format!("image `{}` is what {user} runs", printable(name));
            let hint = Some(format!("partitiond down {user}"));
            return Err(problem(ProblemKind::Refused, message, hint));
        }
        // It waits for whoever adds something just now: us, it may be.
        let removed = tokio::task::spawn_blocking(move || store.remove(&digest)).await;
        removed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Every image in the store; damaged ones are left out.
    pub(super) fn images(&self) -> Result<Vec<StoredImage>, Problem> {
        let listed = self.store()?.list().map_err(|error| failed(&error))?;
        Ok(listed.iter().flatten().map(stored).collect())
    }
}

/// What changes when a file does: every write and every change of its inode moves its change time.
fn stamp(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    Some(format!("{} {} {}.{:09}", file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
}

fn resolve(store: &Store, name: &str) -> Result<Image, Problem> {
    store.resolve(name).map_err(|error| {
        let message = format!("image `{}`: {error}", printable(name));
        let hint = "`partitiond image ls` lists what is there; define it under `images:`";
        problem(ProblemKind::NotFound, message, Some(hint.to_owned()))
    })
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
