//! Digests of contents.

use std::io::{self, Read};

use crate::manifest::Digest;

/// The digest of all that a reader gives.
///
/// # Errors
///
/// The reader's.
pub fn hash(reader: &mut dyn Read) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_hash(hasher.finalize())),
            Ok(read) => hasher.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
    }
}
