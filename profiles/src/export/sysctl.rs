//! sysctl.d(5).
//!
//! A value is the rest of the line, and nothing is quoted; blanks around it go. A key is written with dots
//! unless one of its parts has a dot itself: then slashes leave no doubt.

use super::{Entry, Lines, Obstacle, commented, on_one_line};

pub(super) fn lines(name: &str, path: &str, entry: &Entry) -> Result<Lines, Obstacle> {
    if let Some(odd) = path.chars().find(|char| "*?[]= \t#;\\".contains(*char)) {
        return Err(match odd {
            '*' | '?' | '[' => {
                "a pattern means something else in sysctl.d: name the device".to_owned()
            }
            odd => format!("a key cannot have `{odd}` in it"),
        });
    }
    let value = on_one_line(&entry.value)?;
    if value.trim() != value {
        return Err("sysctl.d drops the blanks around a value".to_owned());
    }
    let key = if path.contains('.') { path.to_owned() } else { path.replace('/', ".") };
    // `-` in front would mean that failures do not matter.
    if key.starts_with('-') {
        return Err("a key cannot begin with `-`".to_owned());
    }
    let lines = commented(entry, &format!("{key} = {value}"));
    Ok(Lines { path: format!("/etc/sysctl.d/60-{name}.conf"), lines })
}
