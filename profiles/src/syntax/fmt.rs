//! The canonical form of a script.
//!
//! Lines stay where they were broken, as a person meant something by it. What is made canonical:
//! indentation by four spaces, one space between tokens, one statement a line, at most one empty line
//! in a row and one between the parts of a file, `else` on the line of the brace before it, a comma
//! behind the last element of a list that ends on its own line and behind no other. Braces that stood
//! on one line stay there if they fit; `=` and comments are not aligned, so that a change of one line
//! changes one line. Comments are kept as they are, but for spaces at their ends.

mod layout;
mod pieces;
mod spacing;

use std::collections::HashSet;

use super::Parse;

/// The longest line on which braces, lists and structured values are left on one line, in characters.
const MAX_WIDTH: usize = 100;

/// A script is not formatted while it has errors: what it means is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a script with errors is not formatted: mend them first")]
pub struct NotFormatted;

/// The canonical form of a script: the same tokens and comments in the same order, but for commas
/// and semicolons. Formatting it again changes nothing.
///
/// # Errors
/// [`NotFormatted`] where the script has errors.
pub fn format(parse: &Parse) -> Result<String, NotFormatted> {
    if !parse.is_ok() {
        return Err(NotFormatted);
    }
    let pieces = pieces::pieces(&parse.syntax());
    let mut broken = HashSet::new();
    // Each round breaks what is too long one level deeper, so there are no more rounds than levels.
    loop {
        let (text, too_long) = layout::layout(&pieces, &broken);
        let before = broken.len();
        broken.extend(too_long);
        if broken.len() == before {
            return Ok(text);
        }
    }
}

#[cfg(test)]
#[path = "fmt/tests.rs"]
mod tests;
