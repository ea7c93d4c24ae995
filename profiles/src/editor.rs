//! What an editor asks about the place where somebody writes: what can stand there, what is known of what
//! stands there, and where that is defined.
//!
//! Pure, and about bytes of a text: which protocol an editor speaks, and how it counts, is not known here.
//!
//! ```
//! use profiles::diagnostic::{FileId, Source};
//! use profiles::editor::Cursor;
//! use profiles::{scripts::Scripts, syntax};
//!
//! let text = "profile p { vm.swapp }";
//! let parse = syntax::parse(FileId::default(), text);
//! let scripts = Scripts::of([Source::new("p.ks", text)]);
//! let cursor = Cursor::new(text, &parse, &scripts, 20);
//! assert_eq!(cursor.completions().items[0].label, "vm.swappiness");
//! ```

mod around;
mod complete;
mod describe;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::diagnostic::Span;
use crate::scripts::Scripts;
use crate::syntax::{Parse, SyntaxKind};
use around::{Around, Region};

/// What a completion stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// A value that the setting takes.
    Value,
    /// A parameter of the profile.
    Parameter,
    /// A setting of the catalogue.
    Setting,
    /// A profile.
    Profile,
    /// A fact or signal.
    Fact,
    /// A function.
    Function,
    /// A word of the language.
    Keyword,
    /// A type of parameters.
    Type,
}

/// Something that can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What to write in place of [`Completions::replaced`].
    pub label: String,
    /// What it stands for.
    pub meaning: Meaning,
    /// A few words beside it.
    pub detail: String,
    /// A sentence about it.
    pub doc: String,
}

/// What can be written at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// The bytes that it takes the place of.
    pub replaced: Range<usize>,
    /// The nearest first.
    pub items: Vec<Completion>,
    /// Whether these are only the first of more.
    pub more: bool,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// The bytes of the name.
    pub range: Range<usize>,
    /// Markdown.
    pub text: String,
}

/// A place in a script.
#[derive(Debug)]
pub struct Cursor<'s> {
    text: &'s str,
    scripts: &'s Scripts,
    around: Around,
    /// The dotted name at the place.
    name: Range<usize>,
    /// The place.
    offset: usize,
}

impl<'s> Cursor<'s> {
    /// At this byte of a text, or behind its end. `scripts` may be those of an earlier text: of them only
    /// names and parameters of profiles are used.
    pub fn new(text: &'s str, parse: &'s Parse, scripts: &'s Scripts, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let name = name_at(text, offset);
        Self { text, scripts, around: Around::of(parse, offset), name, offset }
    }

    /// What stands before the name on its line, from the statement's first word on.
    fn before(&self) -> &'s str {
        let before = self.text.get(..self.name.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let mut quoted = false;
        let mut start = 0;
        for (at, char) in line.char_indices() {
            match char {
                '"' => quoted = !quoted,
                ';' | '{' | '}' if !quoted => start = at + 1,
                _ => {}
            }
        }
        line.get(start..).unwrap_or_default().trim_start()
    }

    fn name(&self) -> &'s str {
        self.text.get(self.name.clone()).unwrap_or_default()
    }

    /// Whether nothing has a meaning here: in a comment, or in a text.
    fn is_prose(&self) -> bool {
        self.around.token.is_some_and(|kind| {
            kind.is_trivia() && !matches!(kind, SyntaxKind::Whitespace | SyntaxKind::Newline)
                || kind == SyntaxKind::Text
        })
    }

    /// Whether facts that change by themselves can stand here.
    fn is_watching(&self) -> bool {
        matches!(self.around.region, Region::Policy | Region::Guard)
    }

    /// Where the name is defined: a profile's, or a parameter's.
    pub fn definition(&self) -> Option<Span> {
        if self.is_prose() {
            return None;
        }
        let library = &self.scripts.library;
        let parameter = || {
            let family = library.family(self.around.profile.as_ref()?).ok()?;
            let mut parameters = family.members.iter().flat_map(|profile| &profile.parameters);
            let found = parameters.find(|it| it.name.text == self.name() && it.of.is_some())?;
            Some(found.name.span)
        };
        let profile = || Some(library.profile(self.name())?.name.span);
        if self.names_a_profile() { profile() } else { parameter() }
    }

    /// Whether names of profiles stand here.
    fn names_a_profile(&self) -> bool {
        let before = self.before();
        match self.around.region {
            Region::Top => true,
            Region::Policy => before.contains("->") || before.starts_with("default "),
            Region::Profile | Region::Workload | Region::Guard => false,
        }
    }
}

/// The bytes of the dotted name around an offset.
fn name_at(text: &str, offset: usize) -> Range<usize> {
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '.' | '-');
    let (before, behind) = text.split_at_checked(offset).unwrap_or((text, ""));
    let start = offset
        - before.chars().rev().take_while(|it| is_part(*it)).map(char::len_utf8).sum::<usize>();
    let end =
        offset + behind.chars().take_while(|it| is_part(*it)).map(char::len_utf8).sum::<usize>();
    start..end
}
