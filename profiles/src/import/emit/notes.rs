//! Remarks as comments at the end of a script.

use std::fmt::Write as _;

use super::put;
use crate::import::name;
use crate::import::remark::Remark;

/// The widest line, in characters; words that are longer stand alone.
const WIDTH: usize = 100;

/// Writes remarks that are sorted by their fate.
pub(super) fn write(remarks: &[Remark], out: &mut String) {
    let mut heading = None;
    for remark in remarks {
        if heading != Some(remark.fate) {
            heading = Some(remark.fate);
            put!(out, "\n// {}:", remark.fate.heading());
        }
        let place = name::comment(&remark.at.to_string());
        wrapped(&format!("{place}: {}", remark.what), "//   ", out);
        wrapped(&remark.why, "//       ", out);
    }
}

fn wrapped(text: &str, indent: &str, out: &mut String) {
    let mut line = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && indent.len() + width + 1 + length > WIDTH {
            put!(out, "{indent}{line}");
            line.clear();
            width = 0;
        }
        if width > 0 {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += length;
    }
    if width > 0 {
        put!(out, "{indent}{line}");
    }
}
