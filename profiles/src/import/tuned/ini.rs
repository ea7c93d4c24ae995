//! The INI files of TuneD, as Python's `configparser` reads them for it.
//!
//! `=` is the only delimiter. A comment begins with `#` or `;` at the start of a line, or with `#` behind a
//! blank. Lines that are indented further than their option continue its value. A section, or an
//! option of one, that comes again adds to, or replaces, what was there.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::quoted;
use crate::import::error::{ImportError, Problem};
use crate::import::remark::Place;

/// `name = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// Lines that continue it are behind line breaks.
    pub value: String,
    pub at: Place,
}

/// `[name]` and what stands below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub name: String,
    pub at: Place,
    pub entries: Vec<Entry>,
}

/// What is being read.
struct Reader<'a> {
    file: &'a Arc<Path>,
    sections: Vec<Section>,
    /// Sections by name.
    names: HashMap<String, usize>,
    /// Entries by section and name.
    entries: HashMap<(usize, String), usize>,
    current: Option<usize>,
    /// The entry that lines may continue.
    open: Option<usize>,
    indent: usize,
}

/// Reads a text. Without a header, its first lines belong to a section without a name.
pub fn read(file: &Arc<Path>, text: &str, header: bool, errors: &mut ImportError) -> Vec<Section> {
    let mut reader = Reader {
        file,
        sections: Vec::new(),
        names: HashMap::new(),
        entries: HashMap::new(),
        current: None,
        open: None,
        indent: 0,
    };
    if !header {
        reader.section("", 1);
    }
    for (number, line) in (1..).zip(text.lines()) {
        if let Err(wanted) = reader.line(line, number) {
            let at = Place::new(file, number);
            errors.push(Problem::Line { at, line: quoted(line.trim()), wanted });
        }
    }
    for entry in reader.sections.iter_mut().flat_map(|section| &mut section.entries) {
        let kept = entry.value.trim_end().len();
        entry.value.truncate(kept);
    }
    reader.sections
}

/// A line without its comment.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let mut before = ' ';
    for (at, char) in line.char_indices() {
        if char == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or_default();
        }
        before = char;
    }
    line
}

impl Reader<'_> {
    fn line(&mut self, line: &str, number: u32) -> Result<(), &'static str> {
        let plain = without_comment(line);
        let text = plain.trim();
        if text.is_empty() {
            if plain.len() == line.len() {
                self.continued("");
            }
            return Ok(());
        }
        let indent = plain.chars().take_while(|char| char.is_whitespace()).count();
        if self.open.is_some() && indent > self.indent {
            self.continued(text);
            return Ok(());
        }
        self.indent = indent;
        if let Some(rest) = text.strip_prefix('[')
            && let Some((name, _)) = rest.rsplit_once(']')
        {
            return match name {
                "" => Err("no section: a name stands between `[` and `]`"),
                "DEFAULT" => {
                    Err("a section that means others: write its options where they belong")
                }
                name => {
                    self.section(name, number);
                    Ok(())
                }
            };
        }
        let Some(section) = self.current else {
            return Err("in no section: one such as `[main]` stands above");
        };
        let Some((name, value)) = text.split_once('=') else {
            return Err("no option: write `name=value`, or `#` in front of a comment");
        };
        let name = name.trim_end();
        if name.is_empty() {
            return Err("no option: a name stands before `=`");
        }
        self.entry(section, name, value.trim(), number);
        Ok(())
    }

    fn section(&mut self, name: &str, number: u32) {
        self.open = None;
        if let Some(known) = self.names.get(name) {
            self.current = Some(*known);
            return;
        }
        let at = Place::new(self.file, number);
        self.names.insert(name.to_owned(), self.sections.len());
        self.current = Some(self.sections.len());
        self.sections.push(Section { name: name.to_owned(), at, entries: Vec::new() });
    }

    fn entry(&mut self, section: usize, name: &str, value: &str, number: u32) {
        let Some(entries) = self.sections.get_mut(section).map(|section| &mut section.entries)
        else {
            return;
        };
        let at = Place::new(self.file, number);
        let entry = Entry { name: name.to_owned(), value: value.to_owned(), at };
        let key = (section, name.to_owned());
        let index = *self.entries.entry(key).or_insert(entries.len());
        match entries.get_mut(index) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
        self.open = Some(index);
    }

    fn continued(&mut self, text: &str) {
        let section = self.current.and_then(|current| self.sections.get_mut(current));
        let entry =
            section.zip(self.open).and_then(|(section, open)| section.entries.get_mut(open));
        if let Some(entry) = entry {
            entry.value.push('\n');
            entry.value.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(String, String)>;

    fn sections(text: &str) -> (Vec<(String, Pairs)>, usize) {
        let mut errors = ImportError::default();
        let file: Arc<Path> = Path::new("tuned.conf").into();
        let sections = read(&file, text, true, &mut errors);
        let entry = |entry: Entry| (entry.name, entry.value);
        let section =
            |section: Section| (section.name, section.entries.into_iter().map(entry).collect());
        (sections.into_iter().map(section).collect(), errors.problems.len())
    }

    fn one(text: &str) -> Pairs {
        let (sections, errors) = sections(&format!("[a]\n{text}"));
        assert_eq!(errors, 0, "{text}");
        sections.into_iter().flat_map(|(_, entries)| entries).collect()
    }

    #[test]
    fn comments_stand_behind_blanks() {
        let entry = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(one("a = b # c"), entry("a", "b"));
        assert_eq!(one("a = b#c"), entry("a", "b#c"));
        assert_eq!(one("a = b ; c"), entry("a", "b ; c"));
        assert_eq!(one("; a = b"), []);
        assert_eq!(one("a = b = c"), entry("a", "b = c"));
        assert_eq!(one("a.b[c] ="), entry("a.b[c]", ""));
    }

    #[test]
    fn indented_lines_continue() {
        assert_eq!(one("a = b\n  c\n\n  d\n"), [("a".to_owned(), "b\nc\n\nd".to_owned())]);
        assert_eq!(one("a = b\n\nc = d").len(), 2);
        assert_eq!(one("  a = b\n  c = d").len(), 2);
    }

    #[test]
    fn what_comes_again_replaces_in_place() {
        let (found, _) = sections("[a]\nx=1\ny=2\n[b]\n[a]\nx=3\n");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found.first().unwrap().1, [pair("x", "3"), pair("y", "2")]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn everything_wrong_is_told() {
        let (_, errors) = sections("x = 1\n[a]\nnonsense\n[]\n= 5\n[DEFAULT]\n");
        assert_eq!(errors, 5);
    }
}
