//! Diagnostics as people read them: the lines concerned, with the culprit underlined.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, FileId, Label, Severity, Sources};

/// How many are shown; a damaged file could have a thousand.
const MAX_SHOWN: usize = 50;
/// Lines that are longer are not shown, in bytes: no terminal shows them well, and the renderer
/// would take seconds.
const MAX_LINE: usize = 2_000;
/// Places further apart, in bytes, are not shown as one excerpt.
const MAX_EXCERPT: usize = 200_000;

/// All of them with a line that counts them; `color` for a terminal. Nothing where there are none,
/// else it ends with a newline.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics.iter().take(MAX_SHOWN) {
        out += &one(&renderer, diagnostic, sources);
        out += "\n\n";
    }
    let hidden = diagnostics.len().saturating_sub(MAX_SHOWN);
    if hidden > 0 {
        out += &format!("and {hidden} more\n\n");
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let counts = [(errors, "error"), (diagnostics.len() - errors, "warning")];
    let counts = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" }));
    let counts: Vec<String> = counts.collect();
    if !counts.is_empty() {
        out += &format!("{}\n", counts.join(", "));
    }
    out
}

fn one(renderer: &Renderer, diagnostic: &Diagnostic, sources: &Sources) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let code = diagnostic.code.to_string();
    let message = harmless(&diagnostic.message);
    let mut group = Group::with_title(level.primary_title(message.as_str()).id(code.as_str()));
    let mut files: Vec<FileId> = vec![diagnostic.primary.span.file];
    for label in &diagnostic.related {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    for file in files {
        let labels = std::iter::once((AnnotationKind::Primary, &diagnostic.primary))
            .chain(diagnostic.related.iter().map(|label| (AnnotationKind::Context, label)))
            .filter(|(_, label)| label.span.file == file)
            .collect();
        group = excerpt(group, file, labels, sources);
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(harmless(&help.text)));
    }
    renderer.render(&[group])
}

/// The lines of one file, or, where they are too long to be shown, the places in words.
fn excerpt<'a>(
    mut group: Group<'a>,
    file: FileId,
    labels: Vec<(AnnotationKind, &'a Label)>,
    sources: &'a Sources,
) -> Group<'a> {
    let Some(source) = sources.get(file) else { return group };
    let start = labels.iter().map(|(_, label)| label.span.start).min().unwrap_or(0);
    let end = labels.iter().map(|(_, label)| label.span.end).max().unwrap_or(0);
    // Only the lines concerned: the renderer would index the whole file for every diagnostic.
    let (bytes, first_line) = source.lines_of(start as usize..end as usize);
    let long = |label: &Label| source.lines_of(label.span.range()).0.len() > MAX_LINE;
    let text = source.text().get(bytes.clone());
    let text = text.filter(|text| text.len() <= MAX_EXCERPT);
    let Some(text) = text.filter(|_| !labels.iter().any(|(_, label)| long(label))) else {
        for (_, label) in labels {
            let at = source.position(label.span.start);
            let text = harmless(&label.text);
            let place = format!("{}:{}:{}: {text}", source.name(), at.line, at.column);
            group = group.element(Level::NOTE.message(place));
        }
        return group;
    };
    let clip = |offset: u32| (offset as usize).saturating_sub(bytes.start).min(text.len());
    let mut snippet =
        Snippet::source(harmless(text)).path(harmless(source.name())).line_start(first_line);
    for (kind, label) in labels {
        let span = clip(label.span.start)..clip(label.span.end);
        let annotation = kind.span(span);
        snippet = snippet.annotation(match label.text.as_str() {
            "" => annotation,
            text => annotation.label(harmless(text)),
        });
    }
    group.element(snippet)
}

/// Puts a stand-in of the same length in UTF-8 where a character would move a terminal's cursor or
/// turn its text around. (The renderer draws the ASCII ones itself; the lengths keep spans valid.)
fn harmless(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\u{80}'..='\u{9f}' | '\u{ad}' => '\u{b7}',
            '\u{61c}' => '\u{b7}',
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => {
                '\u{fffd}'
            }
            '\u{feff}' => '\u{fffd}',
            char => char,
        })
        .collect()
}
