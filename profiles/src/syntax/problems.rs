//! What is wrong with one script, under collection.

use std::ops::Range;

use crate::diagnostic::{Code, Diagnostic, Edit, FileId, Help, Label, Severity, Span};

/// How many are kept: a damaged file could have a million.
const MAX_KEPT: usize = 500;

/// Diagnostics about one file.
#[derive(Debug)]
pub struct Problems {
    file: FileId,
    kept: Vec<Diagnostic>,
    dropped: usize,
}

/// The diagnostic that was just added, to say more about it; none where it was one too many.
pub struct Added<'a> {
    file: FileId,
    last: Option<&'a mut Diagnostic>,
}

impl Problems {
    /// None so far.
    pub fn new(file: FileId) -> Self {
        Self { file, kept: Vec::new(), dropped: 0 }
    }

    /// Adds an error about some bytes.
    pub fn error(
        &mut self,
        code: Code,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(Severity::Error, code, range, message.into())
    }

    /// Adds a warning about some bytes.
    pub fn warning(
        &mut self,
        code: Code,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(Severity::Warning, code, range, message.into())
    }

    fn add(
        &mut self,
        severity: Severity,
        code: Code,
        range: Range<usize>,
        message: String,
    ) -> Added<'_> {
        if self.kept.len() >= MAX_KEPT {
            self.dropped += 1;
            return Added { file: self.file, last: None };
        }
        let diagnostic = Diagnostic::error(code, span(self.file, range), message);
        self.kept.push(Diagnostic { severity, ..diagnostic });
        Added { file: self.file, last: self.kept.last_mut() }
    }

    /// The diagnostics in the order of the file, and how many more there were.
    ///
    /// Of several errors that begin at the same byte only the first is told: the others follow
    /// from it.
    pub fn finish(mut self) -> (Vec<Diagnostic>, usize) {
        self.kept.sort_by_key(|diagnostic| diagnostic.primary.span.start);
        self.kept.dedup_by_key(|diagnostic| (diagnostic.severity, diagnostic.primary.span.start));
        (self.kept, self.dropped)
    }
}

fn span(file: FileId, range: Range<usize>) -> Span {
    let at = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
    Span { file, start: at(range.start), end: at(range.end) }
}

impl Added<'_> {
    /// Says something under the culprit.
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some(last) = &mut self.last {
            last.primary.text = text.into();
        }
        self
    }

    /// Points at another place.
    pub fn related(mut self, range: Range<usize>, text: impl Into<String>) -> Self {
        if let Some(last) = &mut self.last {
            last.related.push(Label { span: span(self.file, range), text: text.into() });
        }
        self
    }

    /// Says what to do.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        if let Some(last) = &mut self.last {
            last.help.push(Help { text: text.into(), edit: None });
        }
        self
    }

    /// Says what to do, and which edit does it.
    pub fn fix(
        mut self,
        text: impl Into<String>,
        range: Range<usize>,
        replacement: impl Into<String>,
    ) -> Self {
        let edit = Edit { span: span(self.file, range), text: replacement.into() };
        if let Some(last) = &mut self.last {
            last.help.push(Help { text: text.into(), edit: Some(edit) });
        }
        self
    }
}
