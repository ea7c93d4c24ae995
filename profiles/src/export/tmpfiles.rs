//! tmpfiles.d(5): other files below `/sys`, once at boot.
//!
//! `w` writes where the file exists, and takes patterns. In the argument, `%` begins a specifier and is
//! doubled, and backslashes begin escapes as in C, so that anything can be written.

use super::{Entry, Lines, Obstacle, commented};

pub(super) fn lines(name: &str, path: &str, entry: &Entry) -> Result<Lines, Obstacle> {
    if let Some(odd) = path.chars().find(|char| char.is_whitespace() || "[]{}\"'\\".contains(*char))
    {
        return Err(format!("tmpfiles.d would take `{odd}` in a path for something else"));
    }
    if entry.value.is_empty() {
        return Err("the value is empty".to_owned());
    }
    let path = path.replace('%', "%%");
    let line = format!("w {path} - - - - {}", argument(&entry.value));
    Ok(Lines { path: format!("/etc/tmpfiles.d/60-{name}.conf"), lines: commented(entry, &line) })
}

/// The rest of a line. A lone `-` would mean nothing, and blanks at the ends would go.
fn argument(value: &str) -> String {
    let mut out = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (at, char) in value.chars().enumerate() {
        match char {
            '\\' => out.push_str("\\\\"),
            '%' => out.push_str("%%"),
            '-' if value == "-" => out.push_str("\\x2d"),
            ' ' if at == 0 || at == last => out.push_str("\\x20"),
            char if char.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(char))),
            char if char.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out
}
