//! An open script: its text, and what is known of it so far.

use std::ops::Range;
use std::sync::Arc;

use lsp_types::TextDocumentContentChangeEvent;
use profiles::catalogue::{self, Catalogue, Kernel};
use profiles::composition::Arguments;
use profiles::diagnostic::{Diagnostic, FileId, Label, Source, Span, codes};
use profiles::facts::Facts;
use profiles::findings::Found;
use profiles::resolution::{Present, Request, resolve};
use profiles::scripts::Scripts;
use profiles::syntax::{Parse, parse};

use super::position::Lines;

/// An open script.
#[derive(Debug)]
pub struct Document {
    /// What its editor calls this state of it.
    pub version: i32,
    /// Its text.
    pub lines: Lines,
    /// With what it extends.
    pub scripts: Arc<Scripts>,
    /// What is wrong whatever the kernel.
    plain: Vec<Diagnostic>,
    /// What kernels make of it; of an earlier text, moved along, until it is worked out for this one.
    resolved: Vec<Diagnostic>,
    /// Its tree.
    pub parse: Parse,
}

impl Document {
    /// Of a text: whatever can be told at once. `read` gives what it extends.
    pub fn new(version: i32, text: String, read: impl FnOnce(&str, &Parse) -> Scripts) -> Self {
        let mut document = Self {
            version,
            parse: parse(FileId::default(), &text),
            lines: Lines::of(text),
            scripts: Arc::default(),
            plain: Vec::new(),
            resolved: Vec::new(),
        };
        let scripts = read(document.lines.text(), &document.parse);
        document.understand(scripts);
        document
    }

    /// Takes in what the text means.
    fn understand(&mut self, scripts: Scripts) {
        self.plain = scripts.diagnostics.iter().filter_map(|told| here(told, &scripts)).collect();
        // Nothing is resolved then, which should not look as if all were well.
        if scripts.is_wrong()
            && !self.plain.iter().any(Diagnostic::is_error)
            && let Some(told) = scripts.diagnostics.iter().find(|told| told.is_error())
            && let Some(profile) = scripts.profiles().next()
        {
            self.plain.push(elsewhere(told.clone(), profile.name.span, &scripts));
        }
        self.scripts = Arc::new(scripts);
    }

    /// Another text, out of this one. What kernels made of parts that stay is kept, and moves with them.
    pub fn change(
        &mut self,
        version: i32,
        changes: Vec<TextDocumentContentChangeEvent>,
        read: impl FnOnce(&str, &Parse) -> Scripts,
    ) {
        self.version = version;
        for change in changes {
            let Some(range) = change.range else {
                self.resolved.clear();
                self.lines = Lines::of(change.text);
                continue;
            };
            let (start, end) = (self.lines.offset(range.start), self.lines.offset(range.end));
            let gone = start..end.max(start);
            self.resolved.retain_mut(|told| moved(told, &gone, change.text.len()));
            self.lines.replace(gone, &change.text);
        }
        self.parse = parse(FileId::default(), self.lines.text());
        self.understand(read(self.lines.text(), &self.parse));
    }

    /// Whether kernels have anything to say about it.
    pub fn can_be_resolved(&self) -> bool {
        !self.scripts.is_wrong()
    }

    /// Takes in what kernels make of this text.
    pub fn resolved(&mut self, diagnostics: Vec<Diagnostic>) {
        self.resolved = diagnostics;
    }

    /// Everything that is known to be wrong, in the order of the text.
    pub fn diagnostics(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<&Diagnostic> = self.plain.iter().chain(&self.resolved).collect();
        all.sort_by_key(|diagnostic| diagnostic.primary.span);
        all
    }
}

/// The name of a script in its own messages does not matter: the editor knows where they stand.
pub fn source(text: &str) -> Source {
    Source::new("", text)
}

/// What the kernels that the catalogue was made for say about the profiles of a script; none where that is no
/// longer asked for. (What a profile requires of a machine is that one's affair.)
pub fn on_every_kernel(scripts: &Scripts, wanted: &dyn Fn() -> bool) -> Option<Vec<Diagnostic>> {
    let catalogue = Catalogue::built_in().ok()?;
    let kernels = catalogue::kernels().ok()?;
    let mut found = Found::default();
    for kernel in kernels {
        for profile in scripts.profiles() {
            if !wanted() {
                return None;
            }
            let told = on_kernel(scripts, &profile.name.text, kernel, catalogue);
            let at_profile = |told: Diagnostic| {
                here(&told, scripts).unwrap_or_else(|| elsewhere(told, profile.name.span, scripts))
            };
            let told = told.into_iter().filter(|told| told.code != codes::REQUIREMENT);
            found.add(kernel, told.map(at_profile));
        }
    }
    Some(found.told(kernels.len()).collect())
}

fn on_kernel(
    scripts: &Scripts,
    profile: &str,
    kernel: &Kernel,
    catalogue: &Catalogue,
) -> Vec<Diagnostic> {
    let resolution = resolve(&Request {
        library: &scripts.library,
        profile,
        arguments: &Arguments::new(),
        facts: &Facts::of_kernel(kernel.clone()),
        present: &Present::default(),
        catalogue,
    });
    resolution.map_or_else(|told| vec![told], |resolution| resolution.diagnostics)
}

/// A diagnostic as it concerns the open script: where it stands there, or points there.
fn here(told: &Diagnostic, scripts: &Scripts) -> Option<Diagnostic> {
    let own = |label: &Label| scripts.is_own(label.span.file);
    if own(&told.primary) {
        return Some(told.clone());
    }
    let at = told.related.iter().position(own)?;
    let mut told = told.clone();
    let there = std::mem::replace(&mut told.primary, told.related.remove(at));
    told.related.insert(0, there);
    Some(told)
}

/// One about another script, told at the profile that inherits it.
fn elsewhere(mut told: Diagnostic, profile: Span, scripts: &Scripts) -> Diagnostic {
    let there = std::mem::replace(&mut told.primary, Label { span: profile, text: String::new() });
    if let Some(source) = scripts.sources.get(there.span.file) {
        let line = source.position(there.span.start).line;
        told.message = format!("{}:{line}: {}", source.name(), told.message);
    }
    told.related.insert(0, there);
    told.help.retain(|help| help.edit.is_none());
    told
}

/// Moves a diagnostic along with its text, unless its text is touched.
fn moved(told: &mut Diagnostic, gone: &Range<usize>, come: usize) -> bool {
    let own = told.primary.span.file;
    let along = |span: &mut Span| {
        let range = span.range();
        if range.end < gone.start {
            return true;
        }
        let by = |at: usize| u32::try_from(at - gone.len() + come).unwrap_or(u32::MAX);
        let behind = range.start > gone.end;
        if behind {
            (span.start, span.end) = (by(range.start), by(range.end));
        }
        behind
    };
    let labels = told.related.iter_mut().map(|label| &mut label.span);
    let edits = told.help.iter_mut().filter_map(|help| Some(&mut help.edit.as_mut()?.span));
    let mut spans = std::iter::once(&mut told.primary.span).chain(labels).chain(edits);
    spans.all(|span| span.file != own || along(span))
}
