//! The kernel's command line, as a drop-in for GRUB's configuration.
//!
//! It is read by a shell, and what comes of it by GRUB's own script language, and then by the kernel. Words
//! that mean nothing special to any of them go through all three as they are; others are refused.

use super::{Lines, Obstacle};

/// Letters and digits besides, which are no signs to a shell, to GRUB or to the kernel.
const PLAIN: &str = "_.,:=+/@%-~^";

/// A word; none where the value is that of a switch that is off.
pub(super) fn word(word: &str, value: &str) -> Result<Option<String>, Obstacle> {
    let whole = match word.strip_suffix('=') {
        Some(_) if value.is_empty() => return Err("the value is empty".to_owned()),
        Some(_) => format!("{word}{value}"),
        None if value.is_empty() => return Ok(None),
        None => word.to_owned(),
    };
    match whole.chars().find(|char| !char.is_ascii_alphanumeric() && !PLAIN.contains(*char)) {
        Some(odd) => {
            let odd = odd.escape_default();
            Err(format!(
                "`{odd}` cannot be handed through a shell and GRUB to the kernel: put it there by hand"
            ))
        }
        None => Ok(Some(whole)),
    }
}

/// The drop-in, with one line for each word and its comment.
pub(super) fn lines(name: &str, words: &[(String, String)]) -> Option<Lines> {
    if words.is_empty() {
        return None;
    }
    let line = |(word, comment): &(String, String)| {
        let comment = if comment.is_empty() { String::new() } else { format!("# {comment}\n") };
        format!("\n{comment}GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {word}\"\n")
    };
    let lines = words.iter().map(line).collect();
    Some(Lines { path: format!("/etc/default/grub.d/60-{name}.cfg"), lines })
}
