//! Adding to a store and removing from it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use tempfile::NamedTempFile;

use super::{Store, StoreError, is_name};
use crate::manifest::{Blob, Digest, Manifest};

/// The right to add to a store. While anyone has it, nothing is removed: blobs may be added before
/// the manifest that refers to them.
#[derive(Debug)]
pub struct Writing<'a> {
    store: &'a Store,
    _lock: Flock<File>,
}

/// A blob as it is written; it counts once [`BlobWriter::finish`] has given its digest.
#[derive(Debug)]
pub struct BlobWriter<'a> {
    store: &'a Store,
    file: NamedTempFile,
    hasher: blake3::Hasher,
    size: u64,
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter<'_> {
    /// Puts the blob in its place.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn finish(self) -> Result<Blob, StoreError> {
        let digest = Digest::from_hash(self.hasher.finalize());
        let path = self.store.blob_path(&digest);
        // One that is there may have been corrupted since; the new one is right.
        persist(self.file, &path)?;
        Ok(Blob { digest, size: self.size })
    }
}

impl Store {
    /// Begins to add to the store; waits while something is being removed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn writing(&self) -> Result<Writing<'_>, StoreError> {
        Ok(Writing { store: self, _lock: self.lock(FlockArg::LockShared)? })
    }

    /// Takes a name away; the image stays until [`Store::collect`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] where nothing has the name.
    pub fn untag(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path("names", name);
        if !is_name(name) || !path.exists() {
            return Err(StoreError::Unknown(name.chars().take(100).collect()));
        }
        fs::remove_file(&path).map_err(|error| StoreError::Io(path, error))
    }

    /// Removes an image with all its names, and blobs that no other image has. Gives the bytes that
    /// became free.
    ///
    /// # Errors
    ///
    /// As [`Store::collect`].
    pub fn remove(&self, digest: &Digest) -> Result<u64, StoreError> {
        {
            let _lock = self.lock(FlockArg::LockExclusive)?;
            for (name, of) in self.names()? {
                if of == *digest {
                    self.untag(&name)?;
                }
            }
            let path = self.path("manifests", digest.as_str());
            fs::remove_file(&path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => StoreError::Unknown(digest.to_string()),
                _ => StoreError::Io(path, error),
            })?;
        }
        self.collect()
    }

    /// Removes blobs that no image refers to, and what interrupted writers left. Gives the bytes
    /// that became free. Images without a name stay.
    ///
    /// # Errors
    ///
    /// Where a manifest is damaged: what it refers to is not known. Remove it first.
    pub fn collect(&self) -> Result<u64, StoreError> {
        let _lock = self.lock(FlockArg::LockExclusive)?;
        let mut kept = BTreeSet::new();
        for image in self.list()? {
            kept.extend(image?.blobs().map(|blob| blob.digest.to_string()));
        }
        let mut freed = 0;
        for name in self.directory("blobs")? {
            if !kept.contains(&name) {
                let path = self.path("blobs", &name);
                let io = |error| StoreError::Io(path.clone(), error);
                freed += fs::metadata(&path).map_err(io)?.len();
                fs::remove_file(&path).map_err(io)?;
            }
        }
        for name in self.directory("builds")? {
            let built = self.read_digest("builds", &name)?;
            if built.is_none_or(|digest| !self.path("manifests", digest.as_str()).exists()) {
                let path = self.path("builds", &name);
                fs::remove_file(&path).map_err(|error| StoreError::Io(path, error))?;
            }
        }
        Ok(freed)
    }
}

impl<'a> Writing<'a> {
    /// Begins a blob.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn blob(&self) -> Result<BlobWriter<'a>, StoreError> {
        let directory = self.store.root.join("blobs");
        let file = NamedTempFile::with_prefix_in(".writing-", &directory)
            .map_err(|error| StoreError::Io(directory, error))?;
        Ok(BlobWriter { store: self.store, file, hasher: blake3::Hasher::new(), size: 0 })
    }

    /// Adds all that a reader gives as a blob.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn put_blob(&self, reader: &mut dyn Read) -> Result<Blob, StoreError> {
        let mut blob = self.blob()?;
        io::copy(reader, &mut blob)
            .map_err(|error| StoreError::Io(self.store.root.join("blobs"), error))?;
        blob.finish()
    }

    /// Adds an image whose blobs are there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] where one is not.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<Digest, StoreError> {
        let bytes = serde_json::to_vec_pretty(manifest)
            .map_err(|error| StoreError::Manifest(self.store.root.clone(), error.to_string()))?;
        let digest = Digest::of(&bytes);
        let kernel = [&manifest.kernel.vmlinux, &manifest.kernel.modules];
        for blob in kernel.into_iter().chain(&manifest.initramfs) {
            if !self.store.has_blob(&blob.digest) {
                return Err(StoreError::Missing(blob.digest.clone()));
            }
        }
        write_whole(&self.store.path("manifests", digest.as_str()), &bytes)?;
        Ok(digest)
    }

    /// Gives an image a name; whichever image had it loses it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Name`], [`StoreError::Unknown`].
    pub fn tag(&self, digest: &Digest, name: &str) -> Result<(), StoreError> {
        if !is_name(name) || Digest::parse(name).is_some() {
            return Err(StoreError::Name(name.chars().take(100).collect()));
        }
        if !self.store.path("manifests", digest.as_str()).exists() {
            return Err(StoreError::Unknown(digest.to_string()));
        }
        write_whole(&self.store.path("names", name), format!("{digest}\n").as_bytes())
    }

    /// Remembers what was built from inputs with this digest.
    pub(crate) fn remember(&self, inputs: &Digest, built: &Digest) -> Result<(), StoreError> {
        let path = self.store.path("builds", inputs.as_str());
        write_whole(&path, format!("{built}\n").as_bytes())
    }

    /// What was built from inputs with this digest, where all of it is still there.
    pub(crate) fn remembered(&self, inputs: &Digest) -> Result<Option<Digest>, StoreError> {
        let Some(digest) = self.store.read_digest("builds", inputs.as_str())? else {
            return Ok(None);
        };
        match self.store.image(&digest) {
            Ok(image) => {
                let whole = image.blobs().all(|blob| self.store.open_blob(blob).is_ok());
                Ok(whole.then_some(digest))
            }
            Err(StoreError::Unknown(_) | StoreError::Manifest(..)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Writes a file so that it is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(path);
    let io = |error| StoreError::Io(path.to_owned(), error);
    let mut file = NamedTempFile::with_prefix_in(".writing-", directory).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    persist(file, path)
}

fn persist(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    let io = |error| StoreError::Io(path.to_owned(), error);
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(io)?;
    file.as_file().sync_data().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}
