//! A RON document as a tree in which every part knows its place in the file.

use std::ops::Range;

/// A place in the file, in bytes from its start.
pub type Span = Range<usize>;

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What the reader can read: RON without floats, characters and byte strings, which these files
/// have no use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `"text"` or `r#"text"#`
    Text(String),
    /// A whole number, from `i64::MIN` to `u64::MAX`.
    Integer(i128),
    /// `true` or `false`
    Bool(bool),
    /// `Name`, `Name(…)` or `(…)`
    Term {
        /// The name before the parenthesis.
        name: Option<Word>,
        /// What stands in the parentheses.
        body: Body,
    },
    /// `[…]`
    List(Vec<Node>),
    /// `{"key": value, …}`
    Map(Vec<Field>),
    /// Something that was reported as an error; nothing more is to be said about it.
    Unreadable,
}

/// What stands between the parentheses of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// No parentheses.
    None,
    /// `(a, b)`; also `()`.
    Tuple(Vec<Node>),
    /// `(name: a, other: b)`
    Fields(Vec<Field>),
}

/// A piece of text and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it stands.
    pub span: Span,
    /// What it says.
    pub text: String,
}

/// A named field of a struct, or an entry of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Word,
    /// Its value.
    pub value: Node,
}

impl Value {
    /// What it is, for "expected a size, found …".
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Term { name: Some(_), body: Body::None } => "a word",
            Self::Term { name: Some(_), .. } => "a word with parentheses",
            Self::Term { body: Body::Fields(_), .. } => "a group of fields `(…)`",
            Self::Term { .. } => "a tuple `(…)`",
            Self::List(_) => "a list `[…]`",
            Self::Map(_) => "a map `{…}`",
            Self::Unreadable => "something unreadable",
        }
    }
}
