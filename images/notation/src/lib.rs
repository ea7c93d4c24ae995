//! RON as people write it in cluster files and image definitions.
//!
//! A small reader makes a tree in which every part knows its place ([`tree`]), and goes on behind an
//! error; whoever turns the tree into types ([`decode`]) does likewise. So a person sees everything
//! that is wrong with a file in one run, each with its place. (The `ron` crate with serde stops at
//! the first error; a property test holds this reader to read exactly what `ron` reads.)
//!
//! ```
//! use notation::{Problems, Source, decode};
//!
//! let source = Source::new("point.ron", "(x: 1, z: 2)");
//! let mut problems = Problems::default();
//! let node = notation::read(&source, &mut problems);
//! if let Some(fields) = decode::fields(&node, "a point", &["x", "y"], &mut problems) {
//!     fields.required("y", &mut problems);
//! }
//! let errors = problems.finish(source).unwrap_err();
//! assert_eq!(errors.count(), 2); // `z` is not known, `y` is missing
//! ```
#![forbid(unsafe_code)]

pub mod decode;
mod diagnostic;
mod lexer;
mod reader;
mod source;
mod suggest;
pub mod tree;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod agreement;

pub use diagnostic::{Diagnostic, Diagnostics, Problems, quoted};
pub use source::{MAX_FILE, Source, SourceError};
pub use suggest::{closest, did_you_mean};

/// Reads a text as one tree. What cannot be read, and names that stand twice in one struct or map,
/// go to `problems`.
pub fn read(source: &Source, problems: &mut Problems) -> tree::Node {
    let node = reader::read(source.text(), problems);
    reader::check_duplicates(&node, problems);
    node
}
