//! Settings for machines without us: sysctl.d, udev, modprobe.d, the kernel's command line, tmpfiles.d and
//! systemd's drop-ins.
//!
//! What goes in is concrete: places with the text that is written there, as a resolved profile has them.
//! Each format has its own quoting, and things that it cannot hold; those come back as [`Remark`]s.
//!
//! ```
//! use profiles::export::{Entry, export};
//! use profiles::resolution::Where;
//!
//! let entry = |path: &str, value: &str| Entry {
//!     at: Where::File(path.to_owned()),
//!     value: value.to_owned(),
//!     comment: "oltp.ks:3, profile oltp".to_owned(),
//! };
//! let exported = export("oltp", &[
//!     entry("/proc/sys/vm/swappiness", "3"),
//!     entry("/sys/block/nvme*/queue/scheduler", "none"),
//! ]);
//! let paths: Vec<&str> = exported.files.iter().map(|file| file.path.as_str()).collect();
//! assert_eq!(paths, ["/etc/sysctl.d/60-oltp.conf", "/etc/udev/rules.d/60-oltp.rules"]);
//! assert!(exported.files[0].text.contains("\nvm.swappiness = 3\n"));
//! assert!(exported.remarks.is_empty());
//! ```

mod grub;
mod modprobe;
mod sysctl;
mod systemd;
#[cfg(test)]
mod tests;
mod tmpfiles;
mod udev;

use std::collections::BTreeMap;

use crate::resolution::Where;

/// Something that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where: a file below `/proc/sys` or `/sys`, a word of the command line, an option of a module, a file
    /// of a control group. Names of devices may be patterns with `*` and `?`.
    pub at: Where,
    /// What is written there. A switch of the command line that is off has no text.
    pub value: String,
    /// Who wants it, for a comment.
    pub comment: String,
}

/// A file to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it belongs.
    pub path: String,
    /// What stands in it; ends with a newline.
    pub text: String,
}

/// Something that none of the formats can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What: its place.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The files, sorted by their paths.
    pub files: Vec<File>,
    /// What is in none of them, in the order in which it came.
    pub remarks: Vec<Remark>,
}

/// Lines for a file.
struct Lines {
    path: String,
    lines: String,
}

/// Why a format cannot hold something.
type Obstacle = String;

/// Writes files for settings, in their order. The name becomes part of the files' names; of other
/// characters than letters, digits, `-` and `_` it keeps none.
pub fn export(name: &str, entries: &[Entry]) -> Exported {
    let plain = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    let name: String = name.chars().filter(plain).take(64).collect();
    let name = if name.is_empty() { "exported".to_owned() } else { name };
    let mut exported = Exported::default();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut words = Vec::new();
    for entry in entries {
        let lines = match &entry.at {
            Where::File(path) => file(&name, path, entry),
            Where::CommandLine(word) => match grub::word(word, &entry.value) {
                Ok(word) => {
                    words.extend(word.map(|word| (word, comment(&entry.comment))));
                    continue;
                }
                Err(why) => Err(why),
            },
            Where::ModuleOption(option) => modprobe::lines(&name, option, entry),
            Where::Cgroup(group, file) => systemd::lines(&name, group, file, entry),
            Where::Ethtool(..) | Where::Link(..) => {
                Err("for network devices, write a systemd.link(5) file".to_owned())
            }
            Where::Task(_) => {
                Err("it is set for each task; say it in the service's unit".to_owned())
            }
            Where::Held(_) => Err("it holds while a program keeps the file open".to_owned()),
        };
        match lines {
            Ok(Lines { path, lines }) => files.entry(path).or_default().push_str(&lines),
            Err(why) => exported.remarks.push(Remark { what: entry.at.to_string(), why }),
        }
    }
    if let Some(Lines { path, lines }) = grub::lines(&name, &words) {
        files.insert(path, lines);
    }
    let head = format!("# Exported from the profile {name}; the profile is what to change.\n");
    let file = |(path, lines): (String, String)| File { path, text: format!("{head}{lines}") };
    exported.files = files.into_iter().map(file).collect();
    exported
}

/// A file of the kernel, by what it is a file of.
fn file(name: &str, path: &str, entry: &Entry) -> Result<Lines, Obstacle> {
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if !path.starts_with('/')
        || path.split('/').skip(1).any(odd)
        || path.chars().any(char::is_control)
    {
        return Err("this is not a plain path".to_owned());
    }
    if let Some(key) = path.strip_prefix("/proc/sys/") {
        return sysctl::lines(name, key, entry);
    }
    for (root, subsystem) in [("/sys/block/", "block"), ("/sys/class/net/", "net")] {
        if let Some((device, attribute)) = path.strip_prefix(root).and_then(|it| it.split_once('/'))
        {
            return udev::lines(name, subsystem, (device, attribute), entry);
        }
    }
    match ["/sys/", "/proc/irq/"].iter().any(|root| path.starts_with(root)) {
        true => tmpfiles::lines(name, path, entry),
        false => Err("only files below /proc/sys, /proc/irq and /sys are exported".to_owned()),
    }
}

/// A comment on one line, which no format takes for anything else.
fn comment(text: &str) -> String {
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    let text: String = text.chars().map(plain).collect();
    // A backslash at the end would continue the line.
    text.trim().trim_end_matches('\\').to_owned()
}

/// A line below its comment.
fn commented(entry: &Entry, line: &str) -> String {
    match comment(&entry.comment) {
        comment if comment.is_empty() => format!("\n{line}\n"),
        comment => format!("\n# {comment}\n{line}\n"),
    }
}

/// Refuses what no format with one line for each value can hold.
fn on_one_line(value: &str) -> Result<&str, Obstacle> {
    if value.is_empty() {
        return Err("the value is empty".to_owned());
    }
    match value.chars().any(|char| char.is_control() && char != '\t') {
        true => Err("the value has a line break, or another control character".to_owned()),
        false => Ok(value),
    }
}
