//! udev(7): attributes of block and network devices, whenever such a device appears.
//!
//! In values, `$` and `%` begin substitutions and are doubled. Where a value has a quote or a backslash, it
//! stands in an `e"…"` string (since systemd 247), in which both are escaped.

use super::{Entry, Lines, Obstacle, commented, on_one_line};

pub(super) fn lines(
    name: &str,
    subsystem: &str,
    (device, attribute): (&str, &str),
    entry: &Entry,
) -> Result<Lines, Obstacle> {
    if let Some(odd) = device.chars().find(|char| "|[]\"\\$%".contains(*char)) {
        return Err(format!("the name of a device cannot have `{odd}` in it"));
    }
    if let Some(odd) = attribute.chars().find(|char| "{}[]\"\\$%*?".contains(*char)) {
        return Err(format!("udev has no way to write `{odd}` in an attribute's name"));
    }
    let value = on_one_line(&entry.value)?;
    if value.trim_end() != value {
        return Err("udev drops the blanks behind a value".to_owned());
    }
    let value = value.replace('$', "$$").replace('%', "%%");
    let value = match value.contains(['"', '\\']) {
        true => format!("e\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        false => format!("\"{value}\""),
    };
    // Block devices change when a disk in them does, network devices move between namespaces.
    let action = if subsystem == "block" { "add|change" } else { "add|move" };
    let line = format!(
        "ACTION==\"{action}\", SUBSYSTEM==\"{subsystem}\", KERNEL==\"{device}\", ATTR{{{attribute}}}={value}"
    );
    Ok(Lines { path: format!("/etc/udev/rules.d/60-{name}.rules"), lines: commented(entry, &line) })
}
