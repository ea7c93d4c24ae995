//! Diagnostics as data for other programs.

use serde::Serialize;

use super::{Code, Diagnostic, Position, Severity, Sources, Span};

/// A diagnostic with every place spelled out, for JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `error` or `warning`.
    pub severity: Severity,
    /// `KS` and four digits.
    pub code: Code,
    /// One line: what is wrong.
    pub message: String,
    /// The culprit.
    pub at: Place,
    /// Other places that have to do with it.
    pub related: Vec<Place>,
    /// What to do about it.
    pub help: Vec<Advice>,
}

/// A range of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's path, as it was given.
    pub file: String,
    /// The first character.
    pub start: Position,
    /// Behind the last character.
    pub end: Position,
    /// The same in bytes, from 0.
    pub bytes: (u32, u32),
    /// What is said there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// In words.
    pub message: String,
    /// What to write instead, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
}

/// An edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replacement {
    /// What goes.
    pub at: Place,
    /// What comes.
    pub text: String,
}

impl Report {
    /// Spells out a diagnostic's places. A file that `sources` does not hold has no name.
    pub fn new(diagnostic: &Diagnostic, sources: &Sources) -> Self {
        let place = |span: Span, label: &str| {
            let source = sources.get(span.file);
            let none = Position { line: 1, column: 1 };
            let at = |offset| source.map_or(none, |source| source.position(offset));
            Place {
                file: source.map_or_else(String::new, |source| source.name().to_owned()),
                start: at(span.start),
                end: at(span.end),
                bytes: (span.start, span.end),
                label: label.to_owned(),
            }
        };
        let help = diagnostic.help.iter().map(|help| Advice {
            message: help.text.clone(),
            replacement: help
                .edit
                .as_ref()
                .map(|edit| Replacement { at: place(edit.span, ""), text: edit.text.clone() }),
        });
        Self {
            severity: diagnostic.severity,
            code: diagnostic.code,
            message: diagnostic.message.clone(),
            at: place(diagnostic.primary.span, &diagnostic.primary.text),
            related: diagnostic.related.iter().map(|at| place(at.span, &at.text)).collect(),
            help: help.collect(),
        }
    }
}
