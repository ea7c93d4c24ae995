//! The definition of an image inside a cluster file.

use serde::{Deserialize, Serialize};

use super::decode::{body_fields, fields, list, plain, single, text, variant};
use super::diagnostic::{Diagnostic, Problems};
use super::partition::{cmdline, workloads};
use super::tree::Node;

/// How to build an image. Paths are as written: relative to the cluster file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDefinition {
    /// Where its kernel comes from.
    pub kernel: KernelSource,
    /// Where its root file system comes from.
    #[serde(default)]
    pub rootfs: RootSource,
    /// Words for the kernel's command line.
    #[serde(default)]
    pub cmdline: String,
    /// The profile for partitions that name none.
    #[serde(default)]
    pub profile: Option<String>,
    /// What its partitions run.
    #[serde(default)]
    pub workloads: Vec<protocol::Workload>,
    /// Kernel modules to load, in order.
    #[serde(default)]
    pub modules: Vec<String>,
}

/// Where a kernel comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KernelSource {
    /// The kernel that this machine runs, from its `/boot`.
    Host,
    /// A bzImage or ELF file.
    File(String),
    /// A Debian package, through the system's own apt configuration.
    Debian {
        /// Its name: `linux-image-6.12-rt-amd64`.
        package: String,
        /// The suite to take it from; the system's own where absent.
        suite: Option<String>,
    },
}

/// Where a root file system comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootSource {
    /// guest-init and busybox.
    #[default]
    Minimal,
    /// A directory.
    Directory(String),
    /// A tar archive.
    Tar(String),
    /// An OCI image layout on disk.
    Oci(String),
}

pub(super) const FIELDS: &[&str] =
    &["kernel", "rootfs", "cmdline", "profile", "workloads", "modules"];

/// Reads one entry of `images`.
pub fn image(node: &Node, problems: &mut Problems) -> Option<ImageDefinition> {
    let fields = fields(node, "an image", FIELDS, problems)?;
    let kernel = fields.required("kernel", problems).and_then(|node| kernel(node, problems));
    let rootfs = match fields.get("rootfs") {
        Some(node) => rootfs(node, problems),
        None => Some(RootSource::Minimal),
    };
    let cmdline = fields.get("cmdline").and_then(|node| cmdline(node, problems));
    let profile = fields.get("profile").and_then(|node| path(node, "a profile's path", problems));
    let workloads = fields.get("workloads").and_then(|node| workloads(node, problems));
    let modules = fields.get("modules").map(|node| modules(node, problems));
    Some(ImageDefinition {
        kernel: kernel?,
        rootfs: rootfs?,
        cmdline: cmdline.unwrap_or_default(),
        profile,
        workloads: workloads.unwrap_or_default(),
        modules: modules.unwrap_or_default(),
    })
}

fn kernel(node: &Node, problems: &mut Problems) -> Option<KernelSource> {
    let (word, body) = variant(node, "kernel source", &["Host", "File", "Debian"], problems)?;
    match word {
        "Host" => plain(word, body, &node.span, problems).map(|()| KernelSource::Host),
        "File" => {
            let inner = single(word, body, &node.span, "File(\"vmlinuz\")", problems)?;
            path(inner, "a kernel's path", problems).map(KernelSource::File)
        }
        _ => {
            use super::tree::Body;
            if let Body::Fields(_) = body {
                let fields = body_fields(
                    body,
                    &node.span,
                    "a Debian kernel",
                    &["package", "suite"],
                    problems,
                )?;
                let package = fields.required("package", problems);
                let package = package.and_then(|node| package_name(node, problems));
                let suite = fields.get("suite").map(|node| package_name(node, problems));
                let suite = match suite {
                    Some(None) => return None,
                    suite => suite.flatten(),
                };
                Some(KernelSource::Debian { package: package?, suite })
            } else {
                let example = "Debian(\"linux-image-amd64\")";
                let inner = single(word, body, &node.span, example, problems)?;
                let package = package_name(inner, problems)?;
                Some(KernelSource::Debian { package, suite: None })
            }
        }
    }
}

fn rootfs(node: &Node, problems: &mut Problems) -> Option<RootSource> {
    let known = ["Minimal", "Directory", "Tar", "Oci"];
    let (word, body) = variant(node, "root file system", &known, problems)?;
    if word == "Minimal" {
        return plain(word, body, &node.span, problems).map(|()| RootSource::Minimal);
    }
    let example = format!("{word}(\"path\")");
    let inner = single(word, body, &node.span, &example, problems)?;
    let path = path(inner, "a path", problems)?;
    Some(match word {
        "Directory" => RootSource::Directory(path),
        "Tar" => RootSource::Tar(path),
        _ => RootSource::Oci(path),
    })
}

/// A path: any text that is not empty.
pub fn path(node: &Node, expected: &str, problems: &mut Problems) -> Option<String> {
    let path = text(node, expected, problems)?;
    if path.is_empty() {
        let label = format!("expected {expected}");
        problems.push(Diagnostic::new(node.span.clone(), "an empty path", label));
        return None;
    }
    Some(path)
}

/// A Debian package or suite. It becomes an argument of apt, so it must not look like an option.
fn package_name(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = text(node, "a package's name", problems)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._~/:".contains(&byte);
    let starts = name.starts_with(|char: char| char.is_ascii_alphanumeric());
    if starts && name.len() <= 200 && name.bytes().all(allowed) {
        return Some(name);
    }
    problems.push(Diagnostic::new(
        node.span.clone(),
        "not the name of a Debian package or suite",
        "expected letters, digits and + - . only",
    ));
    None
}

fn modules(node: &Node, problems: &mut Problems) -> Vec<String> {
    let elements = list(node, "a list of kernel modules", problems).unwrap_or(&[]);
    let mut modules = Vec::new();
    for element in elements {
        let Some(name) = text(element, "a kernel module's name", problems) else { continue };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if (1..=63).contains(&name.len()) && name.bytes().all(allowed) {
            modules.push(name);
        } else {
            problems.push(Diagnostic::new(
                element.span.clone(),
                "not the name of a kernel module",
                "expected letters, digits, _ and -, such as \"virtio_net\"",
            ));
        }
    }
    modules
}
