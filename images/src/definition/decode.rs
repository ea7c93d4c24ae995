//! From the text of a definition to its type. A definition reads the same in a file of its own and
//! under a cluster file's `images`.

use notation::decode::{body_fields, fields, list, plain, single, text, variant};
use notation::tree::{Body, Node};
use notation::{Diagnostic, Problems};

use super::workload::workloads;
use super::{Definition, KernelSource, RootfsSource};
use crate::modules::HOST_SET;

/// The fields of a definition.
pub const FIELDS: &[&str] = &["kernel", "rootfs", "cmdline", "profile", "workloads", "modules"];

/// The longest command line of an image or a partition, in bytes: x86 Linux takes 2,048
/// (`COMMAND_LINE_SIZE`, arch/x86/include/asm/setup.h), of which the back end needs some.
const MAX_CMDLINE: usize = 1_024;

/// Reads a definition; what is wrong with it goes to `problems`.
pub fn definition(node: &Node, problems: &mut Problems) -> Option<Definition> {
    let fields = fields(node, "an image", FIELDS, problems)?;
    let kernel = fields.required("kernel", problems).and_then(|node| kernel(node, problems));
    let rootfs = match fields.get("rootfs") {
        Some(node) => rootfs(node, problems),
        None => Some(RootfsSource::Minimal),
    };
    let cmdline = fields.get("cmdline").and_then(|node| cmdline(node, problems));
    let profile = fields.get("profile").and_then(|node| path(node, "a profile's path", problems));
    let workloads = fields.get("workloads").and_then(|node| workloads(node, problems));
    let modules = fields.get("modules").map(|node| modules(node, problems));
    Some(Definition {
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
            let form = Form { word, main: "path", more: "modules", example: "vmlinuz" };
            let (main, modules) = form.read(node, body, problems)?;
            let file = main.and_then(|node| path(node, "a kernel's path", problems));
            let modules = match modules {
                Some(node) => Some(path(node, "the directory of its modules", problems)?.into()),
                None => None,
            };
            Some(KernelSource::File { path: file?.into(), modules })
        }
        _ => {
            let form = Form { word, main: "package", more: "suite", example: "linux-image-amd64" };
            let (main, suite) = form.read(node, body, problems)?;
            let package = main.and_then(|node| package_name(node, problems));
            let suite = match suite {
                Some(node) => Some(package_name(node, problems)?),
                None => None,
            };
            Some(KernelSource::Debian { package: package?, suite })
        }
    }
}

/// `Word("main")`, or `Word(main: "…", more: "…")`.
struct Form<'a> {
    word: &'a str,
    main: &'static str,
    more: &'static str,
    example: &'static str,
}

impl Form<'_> {
    fn read<'t>(
        &self,
        node: &Node,
        body: &'t Body,
        problems: &mut Problems,
    ) -> Option<(Option<&'t Node>, Option<&'t Node>)> {
        let Self { word, main, more, example } = self;
        match body {
            Body::Fields(_) => {
                let what = if *word == "File" { "a kernel's file" } else { "a Debian kernel" };
                let fields = body_fields(body, &node.span, what, &[main, more], problems)?;
                Some((fields.required(main, problems), fields.get(more)))
            }
            Body::Tuple(elements) if elements.len() > 1 => {
                let message = format!("`{word}` with more than one value says their names");
                let label = format!("expected `{word}({main}: \"…\", {more}: \"…\")`");
                problems.push(Diagnostic::new(node.span.clone(), message, label));
                None
            }
            _ => {
                let example = format!("{word}(\"{example}\")");
                Some((Some(single(word, body, &node.span, &example, problems)?), None))
            }
        }
    }
}

fn rootfs(node: &Node, problems: &mut Problems) -> Option<RootfsSource> {
    let known = ["Minimal", "Directory", "Tar", "Oci"];
    let (word, body) = variant(node, "root file system", &known, problems)?;
    if word == "Minimal" {
        return plain(word, body, &node.span, problems).map(|()| RootfsSource::Minimal);
    }
    let example = format!("{word}(\"path\")");
    let inner = single(word, body, &node.span, &example, problems)?;
    let path = path(inner, "a path", problems)?;
    Some(match word {
        "Directory" => RootfsSource::Directory(path.into()),
        "Tar" => RootfsSource::Tar(path.into()),
        _ => RootfsSource::Oci(path.into()),
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
        if crate::modules::is_name(&name) || name == HOST_SET {
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

/// Reads words for a kernel's command line.
pub fn cmdline(node: &Node, problems: &mut Problems) -> Option<String> {
    let words = text(node, "words for the kernel's command line", problems)?;
    let bad = if words.len() > MAX_CMDLINE {
        Some("too long for a kernel's command line")
    } else if !words.chars().all(|char| char == ' ' || char.is_ascii_graphic()) {
        Some("a kernel's command line is one line of ASCII")
    } else {
        None
    };
    if let Some(message) = bad {
        let label = format!("expected at most {MAX_CMDLINE} printable ASCII characters");
        problems.push(Diagnostic::new(node.span.clone(), message, label));
        return None;
    }
    Some(words)
}
