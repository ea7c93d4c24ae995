//! OCI images, laid out on disk (image-spec v1: `image-layout.md`, `layer.md`, `config.md`).

mod layout;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::archive::{self, ArchiveError, Whiteouts};
use crate::compress::{self, CompressError};
use crate::progress::Progress;
use crate::tree::{Tree, TreeError};
pub use layout::{
    Configuration, Descriptor, ImageManifest, Index, parse_configuration, parse_index,
    parse_manifest,
};

/// The most bytes of an index, a manifest or a configuration.
pub const MAX_JSON: u64 = 16 << 20;

/// The most layers; what container engines can stack is less.
pub const MAX_LAYERS: usize = 512;

/// How many indexes may stand in each other.
const MAX_DEPTH: usize = 4;

/// Why an OCI image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A part cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// It is no image layout of a known version.
    #[error("not an OCI image layout: {0}; `skopeo copy` makes one with `oci:DIRECTORY`")]
    NotALayout(String),
    /// A document is not what it should be.
    #[error("{0} cannot be read: {1}")]
    Json(String, String),
    /// A digest that names no blob.
    #[error("{0:?} is no digest: sha256 with 64 hexadecimal digits is supported")]
    Digest(String),
    /// A blob is not what its digest says.
    #[error(
        "blob {0} is corrupted: its contents have another digest or size; copy the image again"
    )]
    Corrupted(String),
    /// No image for this processor.
    #[error("the layout has no image for linux/amd64; it has {0}")]
    OtherPlatform(String),
    /// Several images.
    #[error("the layout has several images for linux/amd64; keep one, or give each its own layout")]
    Ambiguous,
    /// Too many layers.
    #[error("the image has {0} layers: at most {MAX_LAYERS} are read")]
    Layers(usize),
    /// A kind of layer that is not supported.
    #[error("a layer of type {0:?} is not supported: tar, tar+gzip and tar+zstd are")]
    LayerType(String),
    /// A layer is damaged.
    #[error("layer {0}: {1}")]
    Layer(String, ArchiveError),
    /// A layer cannot be unpacked.
    #[error("layer {0}: {1}")]
    Packing(String, CompressError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What an image would run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// ENTRYPOINT and CMD.
    pub argv: Vec<String>,
    /// ENV.
    pub env: Vec<(String, String)>,
    /// WORKDIR.
    pub cwd: String,
    /// USER.
    pub user: String,
}

impl Runs {
    /// As a workload, `None` where the image runs nothing. It is a service, as in container engines:
    /// started again when it fails.
    pub fn workload(&self, name: &str) -> Option<protocol::Workload> {
        (!self.argv.is_empty()).then(|| protocol::Workload {
            name: name.to_owned(),
            argv: self.argv.clone(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            user: self.user.clone(),
            restart: protocol::Restart::OnFailure { max: 5 },
        })
    }
}

/// Puts an image's layers into `tree`, and tells what the image would run.
///
/// # Errors
///
/// Every variant of [`OciError`].
pub fn add(layout: &Path, tree: &mut Tree, progress: &dyn Progress) -> Result<Runs, OciError> {
    check_layout(layout)?;
    let found = find_manifest(layout)?;
    let manifest = parse_manifest(&read_blob(layout, &found)?)?;
    if manifest.layers.len() > MAX_LAYERS {
        return Err(OciError::Layers(manifest.layers.len()));
    }
    let configuration = parse_configuration(&read_blob(layout, &manifest.config)?)?;
    configuration.check_platform()?;
    let total = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    let mut done = 0_u64;
    for layer in &manifest.layers {
        progress.advance(done, total);
        add_layer(layout, layer, tree)?;
        done = done.saturating_add(layer.size);
    }
    progress.advance(done, total);
    Ok(configuration.runs())
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], name: &str) -> Result<T, OciError> {
    serde_json::from_slice(bytes)
        .map_err(|error| OciError::Json(name.to_owned(), error.to_string()))
}

fn check_layout(layout: &Path) -> Result<(), OciError> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    let bytes = match read_file(&layout.join("oci-layout")) {
        Err(OciError::Read(path, error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OciError::NotALayout(format!("{} is missing", path.display())));
        }
        other => other?,
    };
    let Version { version } = parse(&bytes, "oci-layout")?;
    match version.starts_with("1.") {
        true => Ok(()),
        false => Err(OciError::NotALayout(format!("it has version {version:?}"))),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, OciError> {
    let read = |error| OciError::Read(path.to_owned(), error);
    let mut bytes = Vec::new();
    File::open(path).map_err(read)?.take(MAX_JSON + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > MAX_JSON {
        return Err(OciError::Json(path.display().to_string(), "too large".to_owned()));
    }
    Ok(bytes)
}

/// The one image for this processor. The same image under several tags is one.
fn find_manifest(layout: &Path) -> Result<Descriptor, OciError> {
    let mut index = parse_index(&read_file(&layout.join("index.json"))?)?;
    for _ in 0..MAX_DEPTH {
        let mut fitting = index.manifests.iter().filter(|one| one.fits());
        let Some(first) = fitting.next() else {
            return Err(OciError::OtherPlatform(index.platforms()));
        };
        if fitting.any(|other| other.digest != first.digest) {
            return Err(OciError::Ambiguous);
        }
        if !first.is_index() {
            return Ok(first.clone());
        }
        index = parse_index(&read_blob(layout, first)?)?;
    }
    Err(OciError::NotALayout("indexes stand in each other too deeply".to_owned()))
}

/// The file of a blob.
fn blob_path(layout: &Path, digest: &str) -> Result<PathBuf, OciError> {
    let digits = digest.strip_prefix("sha256:").filter(|digits| {
        digits.len() == 64
            && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    });
    let digits = digits.ok_or_else(|| OciError::Digest(digest.chars().take(200).collect()))?;
    Ok(layout.join("blobs/sha256").join(digits))
}

fn read_blob(layout: &Path, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
    let bytes = read_file(&blob_path(layout, &descriptor.digest)?)?;
    let mut hasher = Sha256::new();
    hasher.update(&bytes);
    check_digest(hasher, bytes.len() as u64, descriptor)?;
    Ok(bytes)
}

fn check_digest(hasher: Sha256, size: u64, descriptor: &Descriptor) -> Result<(), OciError> {
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if size != descriptor.size || descriptor.digest.strip_prefix("sha256:") != Some(&*found) {
        return Err(OciError::Corrupted(descriptor.digest.clone()));
    }
    Ok(())
}

fn add_layer(layout: &Path, layer: &Descriptor, tree: &mut Tree) -> Result<(), OciError> {
    if !layer.is_tar() {
        return Err(OciError::LayerType(layer.media_type.chars().take(200).collect()));
    }
    let path = blob_path(layout, &layer.digest)?;
    let read = |error| OciError::Read(path.clone(), error);
    // Checked as a whole before a byte of it is parsed.
    let mut file = File::open(&path).map_err(read)?;
    let mut hasher = Sha256::new();
    let size = io::copy(&mut file, &mut hasher).map_err(read)?;
    check_digest(hasher, size, layer)?;
    io::Seek::rewind(&mut file).map_err(read)?;
    let (_, reader) = compress::detecting_reader(file)
        .map_err(|error| OciError::Packing(layer.digest.clone(), error))?;
    archive::read(reader, tree, Whiteouts::Layer, &|_| true)
        .map_err(|error| OciError::Layer(layer.digest.clone(), error))
}

#[cfg(test)]
mod tests;
