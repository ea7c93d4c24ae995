//! KernelScript profiles: which settings a partition's kernel runs with, and when they change.
//!
//! - [`syntax`]: text to a lossless tree, with everything that is wrong in one run; formatting.
//! - [`diagnostic`]: what every later step says to the operator as well, and how it is shown.
//! - [`editor`]: what can stand at a place of a script, and what is known of what stands there.
//! - [`explanation`]: entries of the catalogue in words.
//! - [`matrix`]: what is wrong on which of all known kernels.
//! - [`catalogue`]: what is known of every setting that a profile can name.
//! - [`expression`]: values, types, and what is computed from facts.
//! - [`resolution`]: what a profile means for one kernel on one machine.
//! - [`standard`]: profiles that come with the product.
//! - [`typing`]: what can be said of expressions without a kernel.
//! - [`export`]: settings as files of other tools.
//! - [`import`]: scripts out of sysctl.d files and TuneD profiles.
//! - [`policy`]: when to switch.
//! - [`script`]: what a script says, without how it is written.
//! - [`composition`]: profiles with all that they inherit.
//! - [`facts`]: what can be known about a machine.
//! - [`locate`]: where a profile lies.
//!
//! What a profile means is not worked out yet.

#![forbid(unsafe_code)]

pub mod catalogue;
pub mod composition;
pub mod diagnostic;
pub mod editor;
pub mod explanation;
pub mod export;
pub mod expression;
pub mod facts;
pub mod findings;
pub mod guarding;
pub mod import;
pub mod planning;
pub mod policy;
pub mod resolution;
pub mod script;
pub mod scripts;
pub mod standard;
pub mod syntax;
pub mod typing;

use std::io;
use std::path::{Path, PathBuf};

/// Why a reference leads to no profile.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// another ending than `.ks`
    #[error("profile `{0}` is not a KernelScript file: expected a name that ends in .ks")]
    Ending(PathBuf),
    /// nothing readable there
    #[error("cannot read profile {path}: {cause}")]
    Unreadable {
        /// The path that was tried.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// not a regular file
    #[error("profile {0} is not a file")]
    NotAFile(PathBuf),
}

/// The file that a profile's reference names: a path, relative to `directory` unless it is absolute.
///
/// # Errors
/// [`LocateError`] where the reference does not end in `.ks`, or no readable file is there.
pub fn locate(directory: &Path, reference: &str) -> Result<PathBuf, LocateError> {
    let path = directory.join(reference);
    if path.extension().is_none_or(|ending| ending != "ks") {
        return Err(LocateError::Ending(path));
    }
    let unreadable = |cause| LocateError::Unreadable { path: path.clone(), cause };
    // Asked before opening: opening a FIFO would wait for a writer.
    if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
        return Err(LocateError::NotAFile(path));
    }
    std::fs::File::open(&path).map_err(unreadable)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_profile_beside_the_cluster_file() {
        let directory = std::env::temp_dir().join(format!("profiles-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("dir.ks")).unwrap();
        std::fs::write(directory.join("oltp.ks"), "").unwrap();
        let found = |reference: &str| locate(&directory, reference);
        assert_eq!(found("oltp.ks").unwrap(), directory.join("oltp.ks"));
        assert!(matches!(found("oltp"), Err(LocateError::Ending(_))));
        assert!(matches!(found("absent.ks"), Err(LocateError::Unreadable { .. })));
        assert!(matches!(found("dir.ks"), Err(LocateError::NotAFile(_))));
        assert!(matches!(found("../no-such-directory/x.ks"), Err(LocateError::Unreadable { .. })));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
