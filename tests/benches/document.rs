//! The figures' place in the book.

use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- figures: `make bench` writes what is between these two lines -->\n";
const END: &str = "<!-- end of figures -->";

/// Puts the figures in place of the former ones.
pub fn write(figures: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let text = fs::read_to_string(&path).expect("docs/benchmarks.md");
    let (before, rest) = text.split_once(BEGIN).expect("the line that the figures begin with");
    let (_, after) = rest.split_once(END).expect("the line that the figures end with");
    let text = format!("{before}{BEGIN}\n{}\n\n{END}{after}", figures.trim());
    fs::write(&path, text).expect("docs/benchmarks.md is written");
    println!("written to docs/benchmarks.md");
}
