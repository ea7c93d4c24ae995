//! modprobe.d(5): options of modules.
//!
//! The rest of the line goes to the kernel as it stands, which takes blanks between double quotes for a
//! part of the value, and has no way to write such a quote itself.

use super::{Entry, Lines, Obstacle, commented, on_one_line};

pub(super) fn lines(name: &str, option: &str, entry: &Entry) -> Result<Lines, Obstacle> {
    let is_name = |text: &str| {
        !text.is_empty()
            && text.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char))
    };
    let Some((module, option)) = option.split_once('.').filter(|(a, b)| is_name(a) && is_name(b))
    else {
        return Err("this is no option of a module".to_owned());
    };
    let value = on_one_line(&entry.value)?;
    if value.contains('"') {
        return Err("an option of a module cannot have a quote in it".to_owned());
    }
    // A backslash at the end would continue the line.
    let quoted = value.contains(char::is_whitespace) || value.ends_with('\\');
    let value = if quoted { format!("\"{value}\"") } else { value.to_owned() };
    let lines = commented(entry, &format!("options {module} {option}={value}"));
    Ok(Lines { path: format!("/etc/modprobe.d/60-{name}.conf"), lines })
}
