//! Network devices of a partition.

use boot::units::MacAddress;
use notation::decode::{fields, list, parsed, text};
use notation::tree::Node;
use notation::{Diagnostic, Problems};

use super::types::Tap;

const FIELDS: &[&str] = &["name", "mac"];

/// A virtual machine has 17 places for devices: these, disks, and those that it needs itself.
const MOST: usize = 4;

/// What the kernel takes for a name (include/uapi/linux/if.h, IFNAMSIZ, with its end).
const LONGEST_NAME: usize = 15;

/// Reads `taps`.
pub(super) fn taps(node: &Node, problems: &mut Problems) -> Vec<Tap> {
    let elements = list(node, "a list of taps", problems).unwrap_or(&[]);
    if let Some(first) = elements.get(MOST) {
        let message = format!("{} taps", elements.len());
        let label = "this one is too many: a partition has at most 4";
        problems.push(Diagnostic::new(first.span.clone(), message, label));
    }
    let mut taps: Vec<Tap> = Vec::new();
    for element in elements.iter().take(MOST) {
        let Some(tap) = tap(element, problems) else { continue };
        if taps.iter().any(|other| other.name == tap.name) {
            let message = format!("a second tap \"{}\"", tap.name);
            problems.push(Diagnostic::new(element.span.clone(), message, "give it another name"));
            continue;
        }
        taps.push(tap);
    }
    taps
}

fn tap(node: &Node, problems: &mut Problems) -> Option<Tap> {
    let fields = fields(node, "a tap", FIELDS, problems)?;
    let name = fields.required("name", problems).and_then(|node| name(node, problems));
    let expected = "an address, such as \"02:00:00:00:00:01\"";
    let mac = match fields.get("mac") {
        None => Some(None),
        Some(node) => parsed::<MacAddress>(node, expected, problems).map(Some),
    };
    Some(Tap { name: name?, mac: mac? })
}

fn name(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = text(node, "a network device's name", problems)?;
    let allowed =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with(['-', '.']);
    if !fits {
        let label = "expected 1 to 15 of letters, digits, -, _ and ., not starting with - or .";
        problems.push(Diagnostic::new(node.span.clone(), "not a name for a tap", label));
    }
    fits.then_some(name)
}
