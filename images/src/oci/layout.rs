//! The documents of an OCI image, as far as they are used.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{OciError, Runs, parse};

/// A reference to a blob.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Descriptor {
    /// Whether it may be an image for this processor. One that names no platform may be.
    pub(super) fn fits(&self) -> bool {
        // Builders put statements about an image beside it.
        let statement = self.annotations.as_ref().is_some_and(|annotations| {
            annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind.contains("attest"))
        });
        let platform = self.platform.as_ref();
        !statement && platform.is_none_or(|one| one.os == "linux" && one.architecture == "amd64")
    }

    pub(super) fn is_index(&self) -> bool {
        self.media_type.contains("image.index") || self.media_type.contains("manifest.list")
    }

    pub(super) fn is_tar(&self) -> bool {
        [".tar", ".tar+gzip", ".tar+zstd", ".tar.gzip", ".tar.zstd"]
            .iter()
            .any(|ending| self.media_type.ends_with(ending))
    }
}

/// A list of images.
#[derive(Debug, Deserialize)]
pub struct Index {
    pub(super) manifests: Vec<Descriptor>,
}

impl Index {
    /// The platforms that it has images for, for people.
    pub(super) fn platforms(&self) -> String {
        let platforms = self.manifests.iter().filter_map(|one| one.platform.as_ref());
        let names: Vec<String> =
            platforms.take(20).map(|one| format!("{}/{}", one.os, one.architecture)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// An image's parts.
#[derive(Debug, Deserialize)]
pub struct ImageManifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// An image's configuration.
#[derive(Debug, Deserialize)]
pub struct Configuration {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    config: Option<Execution>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Execution {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
    #[serde(default)]
    cmd: Option<Vec<String>>,
    #[serde(default)]
    working_dir: Option<String>,
}

impl Configuration {
    pub(super) fn check_platform(&self) -> Result<(), OciError> {
        if self.architecture == "amd64" && self.os == "linux" {
            return Ok(());
        }
        Err(OciError::OtherPlatform(format!("{}/{}", self.os, self.architecture)))
    }

    /// What the image would run.
    pub fn runs(self) -> Runs {
        let execution = self.config.unwrap_or_default();
        let mut argv = execution.entrypoint.unwrap_or_default();
        argv.extend(execution.cmd.unwrap_or_default());
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        Runs {
            argv,
            env: execution.env.unwrap_or_default().into_iter().map(pair).collect(),
            cwd: execution.working_dir.unwrap_or_default(),
            user: execution.user.unwrap_or_default(),
        }
    }
}

/// Reads an index.
///
/// # Errors
///
/// [`OciError::Json`].
pub fn parse_index(bytes: &[u8]) -> Result<Index, OciError> {
    parse(bytes, "the index")
}

/// Reads an image's manifest.
///
/// # Errors
///
/// [`OciError::Json`].
pub fn parse_manifest(bytes: &[u8]) -> Result<ImageManifest, OciError> {
    parse(bytes, "the image's manifest")
}

/// Reads an image's configuration.
///
/// # Errors
///
/// [`OciError::Json`].
pub fn parse_configuration(bytes: &[u8]) -> Result<Configuration, OciError> {
    parse(bytes, "the image's configuration")
}
