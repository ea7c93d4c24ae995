//! Errors that show their place in the file.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::source::Source;
use super::tree::Span;

/// How many errors are kept; a hostile file could hold a million.
const MAX_KEPT: usize = 1_000;
/// How many errors are shown.
const MAX_SHOWN: usize = 50;
/// Lines that are longer are not shown, in bytes: no terminal shows them well, and the renderer would
/// take seconds.
const MAX_LINE: usize = 2_000;
/// Places further apart, in bytes, are not shown as one excerpt.
const MAX_EXCERPT: usize = 200_000;
/// How much of a long text an error quotes, in characters.
const MAX_QUOTED: usize = 40;

/// One error in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, one line.
    pub message: String,
    /// The culprit's place.
    pub span: Span,
    /// What is said under the culprit: what was expected there.
    pub label: String,
    /// Other places that have to do with it.
    pub related: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error about `span`.
    pub fn new(span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), span, label: label.into(), related: Vec::new(), help: None }
    }

    /// Points at another place that has to do with it.
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Says what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Errors under collection.
#[derive(Default, Debug)]
pub struct Problems {
    kept: Vec<Diagnostic>,
    dropped: usize,
}

impl Problems {
    /// Adds an error.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.push_with(|| diagnostic);
    }

    /// Adds an error that is put into words only if it is kept: of those that a hostile file holds by
    /// the hundred thousand, that is what takes the time.
    pub fn push_with(&mut self, diagnostic: impl FnOnce() -> Diagnostic) {
        if self.kept.len() < MAX_KEPT {
            self.kept.push(diagnostic());
        } else {
            self.dropped += 1;
        }
    }

    /// Whether there was none so far.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The source again where there were none.
    ///
    /// # Errors
    /// All of them, in the order of the file.
    pub fn finish(self, source: Source) -> Result<Source, Diagnostics> {
        if self.kept.is_empty() { Ok(source) } else { Err(self.into_diagnostics(source)) }
    }

    /// All of them, in the order of the file.
    pub fn into_diagnostics(mut self, source: Source) -> Diagnostics {
        self.kept.sort_by_key(|diagnostic| diagnostic.span.start);
        Diagnostics { source, list: self.kept, dropped: self.dropped }
    }
}

/// Every error of a file, with the file.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    source: Source,
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Diagnostics {
    /// The errors, in the order of the file.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// How many errors there are, with those too many to keep.
    pub fn count(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// Line and column (in characters), both from 1, at which an error begins.
    pub fn position(&self, diagnostic: &Diagnostic) -> (usize, usize) {
        self.source.position(diagnostic.span.start)
    }

    /// The errors as people read them, each with its lines of the file; `color` for a terminal.
    /// Ends with a newline.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for diagnostic in self.list.iter().take(MAX_SHOWN) {
            out += &self.render_one(&renderer, diagnostic);
            out += "\n\n";
        }
        let hidden = self.count().saturating_sub(MAX_SHOWN);
        if hidden > 0 {
            out += &format!("and {hidden} more errors\n\n");
        }
        let noun = if self.count() == 1 { "error" } else { "errors" };
        out += &format!("{}: {} {noun}\n", self.source.name(), self.count());
        out
    }

    fn render_one(&self, renderer: &Renderer, diagnostic: &Diagnostic) -> String {
        let spans =
            || diagnostic.related.iter().map(|(span, _)| span).chain([&diagnostic.span]).cloned();
        let start = spans().map(|span| span.start).min().unwrap_or(0);
        let end = spans().map(|span| span.end).max().unwrap_or(0);
        // Only the lines concerned: the renderer would index the whole file for every error.
        let excerpt = self.source.lines(start..end);
        let message = harmless(&diagnostic.message);
        let title = Level::ERROR.primary_title(message.as_str());
        let too_long = excerpt.text.len() > MAX_EXCERPT
            || spans().any(|span| self.source.lines(span).text.len() > MAX_LINE);
        let mut group = if too_long {
            let place = |span: &Span, label: &str| {
                let (line, column) = self.source.position(span.start);
                format!("{}:{line}:{column}: {}", self.source.name(), harmless(label))
            };
            let mut group =
                title.element(Level::NOTE.message(place(&diagnostic.span, &diagnostic.label)));
            for (span, label) in &diagnostic.related {
                group = group.element(Level::NOTE.message(place(span, label)));
            }
            group
        } else {
            let annotate = |kind: AnnotationKind, span: &Span, label: &str| {
                kind.span(excerpt.clip(span.start)..excerpt.clip(span.end)).label(harmless(label))
            };
            let mut snippet = Snippet::source(harmless(excerpt.text))
                .path(self.source.name())
                .line_start(excerpt.first_line)
                .annotation(annotate(AnnotationKind::Primary, &diagnostic.span, &diagnostic.label));
            for (span, label) in &diagnostic.related {
                snippet = snippet.annotation(annotate(AnnotationKind::Context, span, label));
            }
            title.element(snippet)
        };
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(harmless(help)));
        }
        renderer.render(&[group])
    }
}

/// Puts a stand-in of the same length in UTF-8 where a character would move a terminal's cursor or
/// turn its text around. (The renderer draws the ASCII ones itself; the lengths keep spans valid.)
fn harmless(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\u{80}'..='\u{9f}' => '\u{b7}',
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => {
                '\u{fffd}'
            }
            '\u{feff}' => '\u{fffd}',
            char => char,
        })
        .collect()
}

/// A text out of the file, fit to stand in a message: at most 40 characters, nothing that moves a
/// terminal's cursor.
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars().take(MAX_QUOTED) {
        match char {
            '"' | '\'' => out.push(char),
            _ => out.extend(char.escape_debug()),
        }
    }
    if text.chars().nth(MAX_QUOTED).is_some() {
        out.push('…');
    }
    out
}
