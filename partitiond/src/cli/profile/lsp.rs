//! `profile lsp`

use super::WRONG;
use crate::cli::exit::Failure;
use crate::lsp::{self, Ending};

/// `profile lsp`
pub fn run() -> Result<(), Failure> {
    match lsp::on_stdio() {
        Ok(Ending::Orderly) => Ok(()),
        // The protocol has this end with 1, and there is nobody to be told.
        Ok(Ending::Abrupt) => Err(Failure::silent(WRONG)),
        Err(error) => Err(Failure::of(&error)),
    }
}
