//! `KEY=VALUE`, as the loads take them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Failure;

/// What was given.
#[derive(Debug)]
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Reads words of the form `KEY=VALUE`.
    ///
    /// # Errors
    /// A word without `=`.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let pairs = words.map(|word| match word.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(Failure::from(format!("`{word}` is not KEY=VALUE"))),
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// A text.
    ///
    /// # Errors
    /// It was not given.
    pub fn text(&self, key: &str) -> Result<&str, Failure> {
        let value = self.0.get(key).map(String::as_str);
        value.ok_or_else(|| format!("`{key}=` is missing").into())
    }

    /// A number.
    ///
    /// # Errors
    /// It was not given, or is none.
    pub fn number(&self, key: &str) -> Result<usize, Failure> {
        let text = self.text(key)?;
        text.parse().map_err(|_| format!("`{key}={text}` is no number").into())
    }

    /// A number of MiB, in bytes.
    ///
    /// # Errors
    /// It was not given, or is none.
    pub fn mebibytes(&self, key: &str) -> Result<usize, Failure> {
        let bytes = self.number(key)?.checked_mul(1 << 20);
        bytes.ok_or_else(|| format!("`{key}=` is too large").into())
    }

    /// A number of milliseconds.
    ///
    /// # Errors
    /// It was not given, or is none.
    pub fn milliseconds(&self, key: &str) -> Result<Duration, Failure> {
        Ok(Duration::from_millis(self.number(key)? as u64))
    }
}
