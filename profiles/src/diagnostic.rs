//! What an operator is told about a script: one type for every step, from lexer to plan.
//!
//! A [`Diagnostic`] is data: places are byte offsets into files of [`Sources`], so that it can be
//! rendered for a terminal ([`render`]), written as JSON ([`report`]) or SARIF ([`sarif`]), or turned into an edit.

mod code;
pub mod render;
pub mod report;
pub mod sarif;
mod source;

pub use code::{Code, codes};
pub use source::{FileId, MAX_SCRIPT, Position, ReadError, Source, Sources, Span};

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The script means nothing until this is mended.
    Error,
    /// The script works, but probably does not mean this.
    Warning,
}

/// A place with what is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is said there; may be empty.
    pub text: String,
}

/// Text that would mend the script if it stood in place of `span`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What goes; empty where something is only put in.
    pub span: Span,
    /// What comes.
    pub text: String,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// In words.
    pub text: String,
    /// As an edit, where one is certain enough to be offered.
    pub edit: Option<Edit>,
}

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault, the same in every version.
    pub code: Code,
    /// One line: what is wrong.
    pub message: String,
    /// The culprit.
    pub primary: Label,
    /// Other places that have to do with it, in other files too.
    pub related: Vec<Label>,
    /// What to do.
    pub help: Vec<Help>,
}

impl Diagnostic {
    /// An error about `span`; nothing stands under it yet.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            primary: Label { span, text: String::new() },
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning about `span`.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Says something under the culprit.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(Help { text: text.into(), edit: None });
        self
    }

    /// Says what to do, and which edit does it.
    #[must_use]
    pub fn fix(
        mut self,
        text: impl Into<String>,
        span: Span,
        replacement: impl Into<String>,
    ) -> Self {
        self.help
            .push(Help { text: text.into(), edit: Some(Edit { span, text: replacement.into() }) });
        self
    }

    /// Whether the script cannot be used because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A text out of a script, fit to stand in a message: at most 40 characters, nothing that moves a
/// terminal's cursor.
pub fn quoted(text: &str) -> String {
    notation::quoted(text)
}
