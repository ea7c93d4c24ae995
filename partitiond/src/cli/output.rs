//! Standard output: data, and nothing else.

use std::io::{self, Write};

use serde::Serialize;

use super::exit::{BROKEN_PIPE, Failure};

/// A failure to write what was asked for. That nobody reads it any more needs no words.
pub fn write_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(BROKEN_PIPE),
        _ => Failure::failed(format_args!("cannot write to standard output: {error}")),
    }
}

/// Writes text that ends with a newline.
pub fn text(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Writes bytes.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| write_failure(&error))
}

/// Writes one object in a form that people can read, too.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let mut encoded = serde_json::to_string_pretty(value).map_err(|error| Failure::of(&error))?;
    encoded.push('\n');
    text(&encoded)
}

/// Writes one object of a stream as one line.
pub fn json_line<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let mut encoded = serde_json::to_string(value).map_err(|error| Failure::of(&error))?;
    encoded.push('\n');
    text(&encoded)
}
