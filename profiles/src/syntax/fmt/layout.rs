//! Tokens to lines.

use std::collections::HashSet;

use super::MAX_WIDTH;
use super::pieces::{Note, Piece};
use super::spacing::space_between;
use crate::syntax::kind::SyntaxKind;

/// Spaces a level.
const INDENT: usize = 4;

/// A bracket that is open.
struct Level {
    /// How deep the line of its closing bracket is indented.
    base: usize,
    /// Whether all it holds stays on its line.
    inline: bool,
    /// Whether each of its elements gets a line, as they would be too long.
    broken: bool,
    /// Where the line begins on which it was opened.
    line: usize,
}

struct Layout<'p> {
    pieces: &'p [Piece],
    broken: &'p HashSet<usize>,
    out: String,
    /// Where the line begins in `out`.
    line: usize,
    /// How deep it is indented.
    indent: usize,
    levels: Vec<Level>,
    /// The outermost bracket that was opened and closed on this line, and how deep it stands.
    candidate: Option<(usize, usize)>,
    too_long: Vec<usize>,
}

/// The text, with what is in `broken` broken into lines; and what should be, too.
pub(super) fn layout(pieces: &[Piece], broken: &HashSet<usize>) -> (String, Vec<usize>) {
    let mut layout = Layout {
        pieces,
        broken,
        out: String::new(),
        line: 0,
        indent: 0,
        levels: Vec::new(),
        candidate: None,
        too_long: Vec::new(),
    };
    let mut previous: Option<&Piece> = None;
    for (index, piece) in pieces.iter().enumerate() {
        layout.piece(index, piece, previous);
        previous = Some(piece);
    }
    layout.end_line();
    let kept = layout.out.trim_end().len();
    layout.out.truncate(kept);
    if kept > 0 {
        layout.out.push('\n');
    }
    (layout.out, layout.too_long)
}

impl Layout<'_> {
    fn piece(&mut self, index: usize, piece: &Piece, previous: Option<&Piece>) {
        self.notes(piece, previous);
        if let Some(previous) = previous {
            if self.breaks(piece, previous) {
                let empty_line = self.empty_line(piece, previous);
                self.new_line(self.indent_of(piece, Some(previous)), empty_line);
            } else {
                self.space(piece, previous);
            }
        } else if !piece.notes.is_empty() {
            self.new_line(0, piece.lines > 1);
        }
        if piece.kind.is_closer() {
            self.close(piece);
        }
        self.out.push_str(&piece.text);
        if piece.is_opener() {
            self.open(index, piece);
        }
        if self.wants_comma(index, piece) {
            self.out.push(',');
        }
    }

    fn close(&mut self, piece: &Piece) {
        let Some(level) = self.levels.pop() else { return };
        let depth = self.levels.len();
        let outer = self.candidate.is_none_or(|(candidate, _)| depth < candidate);
        let can_break = piece.of_body() || piece.of_list();
        if let (true, true, Some(opener)) =
            (outer && can_break, level.line == self.line, piece.partner)
        {
            self.candidate = Some((depth, opener));
        }
    }

    fn open(&mut self, index: usize, piece: &Piece) {
        let broken = self.broken.contains(&index);
        let end = piece.partner.unwrap_or(index);
        let within = self.pieces.get(index + 1..=end).unwrap_or_default();
        let inline = piece.of_body() && !broken && !within.iter().any(Piece::on_own_line);
        // Statements are indented below the statement that holds them, however many lines it began on.
        let base = if piece.of_body() { self.inside() } else { self.indent };
        self.levels.push(Level { base, inline, broken, line: self.line });
    }

    /// How deep a statement or element is indented here.
    fn inside(&self) -> usize {
        self.levels.last().map_or(0, |level| level.base + 1)
    }

    /// Whether a comma stands behind a piece: behind the last element of a list that ends on its own
    /// line.
    fn wants_comma(&self, index: usize, piece: &Piece) -> bool {
        let next = self.pieces.get(index + 1);
        let Some(closer) = next.filter(|next| next.kind.is_closer() && next.of_list()) else {
            return false;
        };
        let broken = closer.partner.is_some_and(|opener| self.broken.contains(&opener));
        let empty = piece.is_opener() && closer.partner == Some(index);
        !empty && (broken || closer.on_own_line())
    }

    /// Whether a piece begins a line.
    fn breaks(&self, piece: &Piece, previous: &Piece) -> bool {
        let level = self.levels.last();
        let empty = piece.kind.is_closer() && previous.is_opener();
        if !piece.notes.is_empty() || piece.kind == SyntaxKind::EndOfFile {
            return true;
        }
        if piece.statement || (piece.kind == SyntaxKind::CloseBrace && piece.of_body()) {
            return !empty && !level.is_some_and(|level| level.inline);
        }
        if joins_statement(piece) {
            return false;
        }
        let element = piece.kind.is_closer() || previous.is_opener() || is_separator(previous);
        let broken = element && level.is_some_and(|level| level.broken);
        !empty && (piece.lines > 0 || broken)
    }

    /// Whether an empty line stands before a piece that begins a line.
    fn empty_line(&self, piece: &Piece, previous: &Piece) -> bool {
        let own_line_comments = piece.notes.iter().any(|note| note.lines > 0);
        let between_parts = self.levels.is_empty() && !own_line_comments;
        let after_opener = previous.is_opener() && piece.notes.is_empty();
        piece.statement && !after_opener && (piece.lines > 1 || between_parts)
    }

    fn indent_of(&self, piece: &Piece, previous: Option<&Piece>) -> usize {
        if piece.kind.is_closer() {
            return self.levels.last().map_or(0, |level| level.base);
        }
        let begins = piece.statement
            || piece.kind == SyntaxKind::EndOfFile
            || joins_statement(piece)
            || previous.is_none_or(|previous| previous.is_opener() || is_separator(previous));
        self.inside() + usize::from(!begins)
    }

    /// Writes the comments before a piece.
    fn notes(&mut self, piece: &Piece, previous: Option<&Piece>) {
        let empty_lines = piece.lines > 1 || piece.notes.iter().any(|note| note.lines > 1);
        // Between the parts of a file stands an empty line, if need be before the first comment.
        let mut wants_empty_line = self.levels.is_empty() && piece.statement && !empty_lines;
        let mut after_opener = previous.is_some_and(Piece::is_opener);
        for Note { text, lines } in &piece.notes {
            if *lines == 0 && previous.is_some() {
                self.out.push_str("  ");
            } else if !self.out.is_empty() {
                let empty_line = (*lines > 1 && !after_opener)
                    || (previous.is_some() && std::mem::take(&mut wants_empty_line));
                let indent = match piece.kind.is_closer() {
                    true => self.inside(),
                    false => self.indent_of(piece, previous),
                };
                self.new_line(indent, empty_line);
            }
            after_opener = false;
            self.out.push_str(text);
        }
    }

    /// What stands between two pieces on one line.
    fn space(&mut self, piece: &Piece, previous: &Piece) {
        if piece.statement && !previous.is_opener() {
            // Only between braces on one line.
            self.out.push(';');
        }
        if space_between(previous, piece) {
            self.out.push(' ');
        }
    }

    fn new_line(&mut self, indent: usize, empty_line: bool) {
        self.end_line();
        if empty_line {
            self.out.push('\n');
        }
        self.out.push('\n');
        self.line = self.out.len();
        self.indent = indent;
        self.out.extend(std::iter::repeat_n(' ', indent * INDENT));
    }

    /// Remembers what to break where the line is too long.
    fn end_line(&mut self) {
        let line = self.out.get(self.line..).unwrap_or_default();
        let candidate = self.candidate.take();
        if line.chars().count() > MAX_WIDTH {
            self.too_long.extend(candidate.map(|(_, opener)| opener));
        }
    }
}

/// Whether a comma separates elements in brackets.
fn is_separator(piece: &Piece) -> bool {
    piece.kind == SyntaxKind::Comma && piece.of_list()
}

/// Whether a piece goes on the line of what is before it, wherever it stood: `{` and `else`.
fn joins_statement(piece: &Piece) -> bool {
    let brace = piece.kind == SyntaxKind::OpenBrace && piece.of_body();
    brace || (piece.kind == SyntaxKind::Keyword && piece.text == "else")
}
