//! What an image is, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::modules::Selection;

/// The BLAKE3 digest of some content, 64 hexadecimal digits in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(blake3::hash(bytes))
    }

    pub(crate) fn from_hash(hash: blake3::Hash) -> Self {
        Self(hash.to_hex().to_string())
    }

    /// Reads a digest, `None` where the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a digest has 64 hexadecimal digits in lower case")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an image holds and how it configures the partition that boots it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The kernel.
    pub kernel: Kernel,
    /// The parts of the initramfs, each an uncompressed cpio archive (newc), in the order in which
    /// they are laid behind each other in memory.
    pub initramfs: Vec<Blob>,
    /// Words for the kernel's command line; what the cluster file adds comes behind them, and what
    /// the back end needs last.
    #[serde(default)]
    pub cmdline: String,
    /// The profile for a partition that names none.
    #[serde(default)]
    pub profile: Option<String>,
    /// Modules that guest-init loads first, in this order. (It reads them from the initramfs; here
    /// for `image show`.)
    #[serde(default)]
    pub modules: Vec<String>,
    /// What the partition runs. (guest-init reads them from the initramfs; here for `image show`.)
    #[serde(default)]
    pub workloads: Vec<protocol::Workload>,
}

/// A kernel, unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// `uname -r`, such as `6.12.117+deb12-rt-amd64`.
    pub release: String,
    /// The uncompressed ELF file (`vmlinux`).
    pub vmlinux: Blob,
    /// Every module of this kernel that the image builder was asked for, as a cpio archive; also one
    /// of the `initramfs` parts.
    pub modules: Blob,
    /// Where it came from, for people: `linux-image-6.1.0-56-cloud-amd64 6.1.192-2`.
    pub origin: String,
    /// What became of the modules that the builder was asked for.
    #[serde(default)]
    pub selection: Selection,
}

/// Some content in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// What names it.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}
