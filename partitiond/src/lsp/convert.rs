//! What is known of a script, as the protocol says it.

use std::path::Path;

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CompletionItem, CompletionItemKind,
    CompletionList, CompletionTextEdit, DiagnosticRelatedInformation, DiagnosticSeverity,
    Documentation, HoverContents, Location, MarkupContent, MarkupKind, NumberOrString, Range,
    TextEdit, Uri, WorkspaceEdit,
};
use profiles::diagnostic::{Diagnostic, Severity, Span};
use profiles::editor::{Completions, Hover, Meaning};
use profiles::scripts::Scripts;

use super::document::Document;
use super::position::Lines;
use super::uri;

/// What is wrong.
pub fn diagnostics(document: &Document, own: &Uri) -> Vec<lsp_types::Diagnostic> {
    let told = document.diagnostics().into_iter();
    told.map(|told| diagnostic(told, document, own)).collect()
}

fn diagnostic(told: &Diagnostic, document: &Document, own: &Uri) -> lsp_types::Diagnostic {
    let mut message = told.message.clone();
    let helps = told.help.iter().map(|help| &help.text);
    for text in std::iter::once(&told.primary.text).chain(helps).filter(|text| !text.is_empty()) {
        message.push('\n');
        message.push_str(text);
    }
    let related = told.related.iter().filter_map(|label| {
        let location = location(label.span, document, own)?;
        Some(DiagnosticRelatedInformation { location, message: label.text.clone() })
    });
    let related: Vec<_> = related.collect();
    lsp_types::Diagnostic {
        range: document.lines.range(told.primary.span.range()),
        severity: Some(match told.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(told.code.to_string())),
        source: Some("partitiond".to_owned()),
        message,
        related_information: (!related.is_empty()).then_some(related),
        ..lsp_types::Diagnostic::default()
    }
}

/// Where something is; none for scripts of the standard library, which lie nowhere.
pub fn location(span: Span, document: &Document, own: &Uri) -> Option<Location> {
    let scripts: &Scripts = &document.scripts;
    if scripts.is_own(span.file) {
        return Some(Location { uri: own.clone(), range: document.lines.range(span.range()) });
    }
    let source = scripts.sources.get(span.file)?;
    let path = Path::new(source.name());
    if !path.is_absolute() {
        return None;
    }
    let lines = Lines::of(source.text().to_owned());
    Some(Location { uri: uri::of(path).parse().ok()?, range: lines.range(span.range()) })
}

/// What can be written.
pub fn completions(completions: Completions, lines: &Lines) -> CompletionList {
    let range = lines.range(completions.replaced);
    let items = completions.items.into_iter().enumerate().map(|(at, it)| CompletionItem {
        kind: Some(match it.meaning {
            Meaning::Value => CompletionItemKind::ENUM_MEMBER,
            Meaning::Parameter => CompletionItemKind::VARIABLE,
            Meaning::Setting => CompletionItemKind::PROPERTY,
            Meaning::Profile => CompletionItemKind::CLASS,
            Meaning::Fact => CompletionItemKind::CONSTANT,
            Meaning::Function => CompletionItemKind::FUNCTION,
            Meaning::Keyword => CompletionItemKind::KEYWORD,
            Meaning::Type => CompletionItemKind::TYPE_PARAMETER,
        }),
        detail: (!it.detail.is_empty()).then_some(it.detail),
        documentation: (!it.doc.is_empty()).then_some(Documentation::String(it.doc)),
        // Editors would sort by name.
        sort_text: Some(format!("{at:04}")),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text: it.label.clone() })),
        label: it.label,
        ..CompletionItem::default()
    });
    CompletionList { is_incomplete: completions.more, items: items.collect() }
}

/// What is known of a name.
pub fn hover(hover: Hover, lines: &Lines) -> lsp_types::Hover {
    let range = Some(lines.range(hover.range));
    let contents = MarkupContent { kind: MarkupKind::Markdown, value: hover.text };
    lsp_types::Hover { contents: HoverContents::Markup(contents), range }
}

/// The edits that mend what is wrong in a range.
pub fn actions(document: &Document, own: &Uri, range: Range) -> Vec<CodeActionOrCommand> {
    let (start, end) = (document.lines.offset(range.start), document.lines.offset(range.end));
    let touched = document.diagnostics().into_iter().filter(|told| {
        let span = told.primary.span.range();
        span.start <= end && start <= span.end
    });
    let action = |help: &profiles::diagnostic::Help| {
        let edit = help.edit.as_ref().filter(|edit| document.scripts.is_own(edit.span.file))?;
        let edit = TextEdit {
            range: document.lines.range(edit.span.range()),
            new_text: edit.text.clone(),
        };
        #[expect(clippy::mutable_key_type, reason = "the protocol's own type")]
        let changes = std::collections::HashMap::from([(own.clone(), vec![edit])]);
        Some(CodeActionOrCommand::CodeAction(CodeAction {
            title: help.text.clone(),
            kind: Some(CodeActionKind::QUICKFIX),
            edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
            ..CodeAction::default()
        }))
    };
    touched.flat_map(|told| &told.help).filter_map(action).collect()
}
