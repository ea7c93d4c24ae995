//! Where images are kept.
//!
//! ```text
//! blobs/DIGEST       contents, named by their BLAKE3 digest
//! manifests/DIGEST   manifests (JSON), named by the digest of their bytes: the image's own digest
//! names/NAME         the digest of the image that has this name
//! builds/DIGEST      the digest of the image that was built from inputs with this digest
//! lock               held shared while something is added, alone while something is removed
//! ```
//!
//! Files appear whole, by renaming, and never change. Any number of processes may use one store.

mod digest;
mod write;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::manifest::{Blob, Digest, Manifest};
pub use digest::hash;
pub use write::{BlobWriter, Writing};

/// The most bytes of a manifest.
pub const MAX_MANIFEST: u64 = 4 << 20;

/// Why the store cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A name that cannot be one.
    #[error(
        "{0:?} is no image's name: 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter or digit, and \
         not like a digest"
    )]
    Name(String),
    /// No such image.
    #[error("no image {0:?} here; `partitiond image ls` shows those there are")]
    Unknown(String),
    /// Several images begin so.
    #[error("{0:?} begins the digests of several images; give more of it")]
    Ambiguous(String),
    /// Content is missing.
    #[error("blob {0} is missing from the store; build the image again")]
    Missing(Digest),
    /// Content is not what it was.
    #[error(
        "blob {digest} in {path} is corrupted: it has digest {found}; remove the image and build it \
         again (`partitiond image rm`, `partitiond image build`)"
    )]
    Corrupted {
        /// What it should have.
        digest: Digest,
        /// What it has.
        found: Digest,
        /// The file.
        path: PathBuf,
    },
    /// A manifest is damaged.
    #[error("manifest {0} cannot be read: {1}; remove the image and build it again")]
    Manifest(PathBuf, String),
    /// The file system.
    #[error("cannot use {0}: {1}")]
    Io(PathBuf, io::Error),
    /// Nowhere to keep images.
    #[error("neither HOME nor XDG_CACHE_HOME is set; say where images are to be kept")]
    NoHome,
}

/// An image in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What names it.
    pub digest: Digest,
    /// The names that it has, sorted.
    pub names: Vec<String>,
    /// What it holds.
    pub manifest: Manifest,
}

impl Image {
    /// Every blob of it, each once.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        let kernel = &self.manifest.kernel;
        let mut seen = BTreeSet::new();
        std::iter::once(&kernel.vmlinux)
            .chain(std::iter::once(&kernel.modules))
            .chain(&self.manifest.initramfs)
            .filter(move |blob| seen.insert(blob.digest.clone()))
    }

    /// Bytes that it takes, those that it shares with other images counted in full.
    pub fn size(&self) -> u64 {
        self.blobs().map(|blob| blob.size).sum()
    }
}

/// A store of images.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store in a directory, made where missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        for name in ["blobs", "manifests", "names", "builds"] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(|error| StoreError::Io(path, error))?;
        }
        Ok(Self { root })
    }

    /// `partitiond` under the user's cache directory: where the cache is when nobody says otherwise.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoHome`].
    pub fn default_cache() -> Result<PathBuf, StoreError> {
        let absolute = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
        };
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|cache| cache.join("partitiond"))
            .ok_or(StoreError::NoHome)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join(kind).join(name)
    }

    /// Where a blob's file is (or would be).
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs", digest.as_str())
    }

    /// Whether a blob is there.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).exists()
    }

    /// Opens a blob as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] where it is not there, [`StoreError::Corrupted`] where it has another
    /// size.
    pub fn open_blob(&self, blob: &Blob) -> Result<File, StoreError> {
        let path = self.blob_path(&blob.digest);
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(blob.digest.clone()),
            _ => StoreError::Io(path.clone(), error),
        };
        let file = File::open(&path).map_err(io)?;
        match file.metadata().map_err(io)?.len() == blob.size {
            true => Ok(file),
            false => Err(self.corrupted(&blob.digest, file)?),
        }
    }

    /// Opens a blob and checks every byte of it first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupted`], and as [`Store::open_blob`].
    pub fn open_blob_verified(&self, blob: &Blob) -> Result<File, StoreError> {
        let mut file = self.open_blob(blob)?;
        let path = self.blob_path(&blob.digest);
        let io = |error| StoreError::Io(path.clone(), error);
        let found = hash(&mut file).map_err(io)?;
        if found != blob.digest {
            return Err(StoreError::Corrupted { digest: blob.digest.clone(), found, path });
        }
        file.rewind().map_err(io)?;
        Ok(file)
    }

    fn corrupted(&self, digest: &Digest, mut file: File) -> Result<StoreError, StoreError> {
        let path = self.blob_path(digest);
        let found = hash(&mut file).map_err(|error| StoreError::Io(path.clone(), error))?;
        Ok(StoreError::Corrupted { digest: digest.clone(), found, path })
    }

    /// Checks every byte of an image.
    ///
    /// # Errors
    ///
    /// As [`Store::open_blob_verified`] and [`Store::image`].
    pub fn verify(&self, digest: &Digest) -> Result<(), StoreError> {
        for blob in self.image(digest)?.blobs() {
            self.open_blob_verified(blob)?;
        }
        Ok(())
    }

    /// The image with this digest.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] and [`StoreError::Manifest`].
    pub fn image(&self, digest: &Digest) -> Result<Image, StoreError> {
        let path = self.path("manifests", digest.as_str());
        let damaged = |reason: String| StoreError::Manifest(path.clone(), reason);
        let bytes = match File::open(&path) {
            Ok(file) => read_bounded(file).map_err(|error| StoreError::Io(path.clone(), error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Unknown(digest.to_string()));
            }
            Err(error) => return Err(StoreError::Io(path, error)),
        };
        if Digest::of(&bytes) != *digest {
            return Err(damaged("it is corrupted".to_owned()));
        }
        let manifest =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let names = self.names()?;
        let names = names.into_iter().filter(|(_, of)| of == digest).map(|(name, _)| name);
        Ok(Image { digest: digest.clone(), names: names.collect(), manifest })
    }

    /// The image with this name, or whose digest begins so (at least 4 digits).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`], [`StoreError::Ambiguous`], and as [`Store::image`].
    pub fn resolve(&self, name: &str) -> Result<Image, StoreError> {
        if is_name(name)
            && let Some(digest) = self.read_digest("names", name)?
        {
            return self.image(&digest);
        }
        let prefix = name.strip_prefix("blake3:").unwrap_or(name);
        if prefix.len() >= 4 {
            let digests = self.digests()?;
            let mut matching = digests.iter().filter(|one| one.as_str().starts_with(prefix));
            match (matching.next(), matching.next()) {
                (Some(digest), None) => return self.image(digest),
                (Some(_), Some(_)) => return Err(StoreError::Ambiguous(name.to_owned())),
                (None, _) => {}
            }
        }
        Err(StoreError::Unknown(name.chars().take(100).collect()))
    }

    /// Every image, sorted by names and digests. Damaged manifests are errors of their own, so that
    /// one of them hides no other image.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub fn list(&self) -> Result<Vec<Result<Image, StoreError>>, StoreError> {
        let mut images: Vec<_> = self.digests()?.iter().map(|digest| self.image(digest)).collect();
        images.sort_by_key(|image| match image {
            Ok(image) => (false, image.names.clone(), image.digest.to_string()),
            Err(error) => (true, Vec::new(), error.to_string()),
        });
        Ok(images)
    }

    /// Bytes that all blobs take.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub fn size(&self) -> Result<u64, StoreError> {
        let directory = self.root.join("blobs");
        let io = |error| StoreError::Io(directory.clone(), error);
        let mut size = 0;
        for entry in fs::read_dir(&directory).map_err(io)? {
            size += entry.and_then(|entry| entry.metadata()).map_err(io)?.len();
        }
        Ok(size)
    }

    fn digests(&self) -> Result<Vec<Digest>, StoreError> {
        let names = self.directory("manifests")?;
        Ok(names.iter().filter_map(|name| Digest::parse(name)).collect())
    }

    /// Names and what they stand for.
    fn names(&self) -> Result<Vec<(String, Digest)>, StoreError> {
        let mut names = Vec::new();
        for name in self.directory("names")? {
            if let Some(digest) = self.read_digest("names", &name)?.filter(|_| is_name(&name)) {
                names.push((name, digest));
            }
        }
        Ok(names)
    }

    fn directory(&self, kind: &str) -> Result<Vec<String>, StoreError> {
        let directory = self.root.join(kind);
        let io = |error| StoreError::Io(directory.clone(), error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(io)? {
            names.extend(entry.map_err(io)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn read_digest(&self, kind: &str, name: &str) -> Result<Option<Digest>, StoreError> {
        let path = self.path(kind, name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Digest::parse(text.trim())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Io(path, error)),
        }
    }

    fn lock(&self, how: FlockArg) -> Result<Flock<File>, StoreError> {
        let path = self.root.join("lock");
        let io = |error| StoreError::Io(path.clone(), error);
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        Flock::lock(file, how).map_err(|(_, error)| io(error.into()))
    }
}

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    if file.take(MAX_MANIFEST + 1).read_to_end(&mut bytes)? as u64 > MAX_MANIFEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too large for a manifest"));
    }
    Ok(bytes)
}

/// Whether an image may have this name.
pub fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests;
