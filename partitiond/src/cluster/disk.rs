//! Disks of a partition.

use images::definition::decode::path;
use notation::decode::{fields, list, mismatch, text};
use notation::tree::{Node, Value};
use notation::{Diagnostic, Problems};

use super::types::Disk;

/// What a disk is.
const FILE: &str = "the path of a file or a block device";

const FIELDS: &[&str] = &["name", "path", "read_only", "direct"];

/// A virtual machine has 17 places for devices: these, taps, and those that it needs itself.
const MOST: usize = 10;

/// What a virtual disk can say of itself (virtio 1.2, section 5.2.6).
const LONGEST_NAME: usize = 20;

/// Reads `disks`.
pub(super) fn disks(node: &Node, problems: &mut Problems) -> Vec<Disk> {
    let elements = list(node, "a list of disks", problems).unwrap_or(&[]);
    let mut refuse = |node: &Node, message: String, label: &str| {
        problems.push(Diagnostic::new(node.span.clone(), message, label));
    };
    if let Some(first) = elements.get(MOST) {
        let message = format!("{} disks", elements.len());
        refuse(first, message, "this one is too many: a partition has at most 10");
    }
    let mut disks: Vec<Disk> = Vec::new();
    for element in elements.iter().take(MOST) {
        let Some(disk) = disk(element, problems) else { continue };
        if disks.iter().any(|other| other.name == disk.name) {
            let message = format!("a second disk \"{}\"", disk.name);
            problems.push(Diagnostic::new(element.span.clone(), message, "give it another name"));
            continue;
        }
        disks.push(disk);
    }
    disks
}

fn disk(node: &Node, problems: &mut Problems) -> Option<Disk> {
    let fields = fields(node, "a disk", FIELDS, problems)?;
    let name = fields.required("name", problems).and_then(|node| name(node, problems));
    let path = fields.required("path", problems).and_then(|node| absolute(node, FILE, problems));
    let mut flag = |field| match fields.get(field).map(|node| (node, &node.value)) {
        None => false,
        Some((_, Value::Bool(value))) => *value,
        Some((node, _)) => {
            mismatch(node, "true or false", problems);
            false
        }
    };
    let (read_only, direct) = (flag("read_only"), flag("direct"));
    Some(Disk { name: name?, path: path?, read_only, direct })
}

fn name(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = text(node, "a disk's name", problems)?;
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-');
    if !fits {
        let label = "expected 1 to 20 of a-z, 0-9 and -, not starting with -";
        problems.push(Diagnostic::new(node.span.clone(), "not a name for a disk", label));
    }
    fits.then_some(name)
}

/// Reads the path of something on the host that is not beside the cluster file.
pub(super) fn absolute(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    let path = path(node, what, problems)?;
    let fits = path.starts_with('/') && !path.contains('\0');
    if !fits {
        let message = "a path that depends on where the supervisor runs";
        problems.push(Diagnostic::new(
            node.span.clone(),
            message,
            "expected one that begins with /",
        ));
    }
    fits.then_some(path)
}
