//! Errors as people read them.

use std::error::Error;

/// An error and all its causes in one line, each said once: `loading failed: the kernel cannot be
/// read: No such file or directory`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn every_cause_is_said_once() {
        let inner = io::Error::other("inner");
        assert_eq!(super::chain(&Outer(inner)), "outer: inner");
    }
}
