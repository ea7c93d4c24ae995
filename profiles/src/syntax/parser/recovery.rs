//! Going on behind an error.

use std::ops::Range;

use super::Parser;
use crate::diagnostic::codes;
use crate::syntax::kind::SyntaxKind;

impl Parser<'_> {
    /// Whether the next token begins something that stands only at the top of a file, and does so at
    /// the very start of a line: then whatever is open was not closed.
    pub(super) fn at_top_of_file(&self) -> bool {
        let starts_line = || {
            let start = self.nth_range(0).start;
            start == 0 || self.text.as_bytes().get(start - 1) == Some(&b'\n')
        };
        let word = matches!(self.nth_text(0), "profile" | "policy" | "guard");
        word && matches!(self.nth(1), SyntaxKind::Identifier | SyntaxKind::OpenBrace)
            && starts_line()
    }

    /// Passes over the rest of a statement, with every bracket that it opens.
    pub(super) fn skip_statement(&mut self) {
        if !self.at_statement_end() {
            self.skip_whole_statement();
        }
    }

    /// Passes over a statement from its first token on.
    pub(super) fn skip_whole_statement(&mut self) {
        self.start(SyntaxKind::Error);
        let first = self.next;
        let mut open = 0u32;
        loop {
            let passed = self.next > first;
            match self.nth(0) {
                SyntaxKind::EndOfFile => break,
                _ if passed && self.at_top_of_file() => break,
                _ if passed && open == 0 && self.at_statement_end() => break,
                kind if kind.closer().is_some() => open += 1,
                kind if kind.is_closer() => open = open.saturating_sub(1),
                _ => {}
            }
            self.bump();
        }
        self.finish();
    }

    /// Passes over a bracket with all that it holds, or over the rest of the statement where the
    /// next token is none.
    pub(super) fn skip_nested(&mut self) {
        if self.nth(0).closer().is_none() {
            return self.skip_statement();
        }
        self.start(SyntaxKind::Error);
        let mut open = 0u32;
        while !self.at(SyntaxKind::EndOfFile) {
            if open > 0 && self.at_top_of_file() {
                break;
            }
            let kind = self.nth(0);
            self.bump();
            if kind.closer().is_some() {
                open += 1;
            } else if kind.is_closer() {
                open = open.saturating_sub(1);
            }
            if open == 0 {
                break;
            }
        }
        self.finish();
    }

    /// Whether a statement that ended here would be well-formed.
    pub(super) fn at_statement_end(&self) -> bool {
        let kind = self.nth(0);
        kind == SyntaxKind::Semicolon || kind == SyntaxKind::CloseBrace || self.first_on_line(0)
    }

    /// The end of a statement: of the line or of the block, or `;`.
    pub(super) fn statement_end(&mut self) {
        if !self.at_statement_end() {
            let found = match self.nth(0) {
                SyntaxKind::Unknown => "this means nothing",
                _ => "expected the end of the line, or `;`",
            };
            let range = self.nth_range(0);
            let error = self.error(codes::STATEMENT_END, range, "the statement does not end here");
            error.label(found);
            self.skip_statement();
        }
        self.eat(SyntaxKind::Semicolon);
    }

    /// A bracket was opened and is not closed.
    pub(super) fn unclosed(&mut self, opener: Range<usize>) {
        let what = self.text.get(opener.clone()).unwrap_or_default();
        let closer = match what {
            "{" => "}",
            "(" => ")",
            _ => "]",
        };
        let message = format!("`{what}` is not closed");
        let range = self.here();
        let error = self.error(codes::UNCLOSED, range, message);
        error.label(format!("expected `{closer}` before this")).related(opener, "opened here");
    }

    /// What stands between brackets, each with a comma behind it. The next token is the opening
    /// bracket. `element` returns whether it found one.
    pub(super) fn separated(
        &mut self,
        closer: SyntaxKind,
        mut element: impl FnMut(&mut Self) -> bool,
    ) {
        let opener = self.nth_range(0);
        self.bump();
        let outer = std::mem::replace(&mut self.commas_separate, true);
        loop {
            if self.eat(closer) {
                break;
            }
            if self.nth(0).is_closer() || self.at(SyntaxKind::EndOfFile) || self.at_top_of_file() {
                self.unclosed(opener);
                break;
            }
            let before = self.next;
            let found = element(self);
            if self.eat(SyntaxKind::Comma) || self.at(closer) {
                continue;
            }
            if self.nth(0).is_closer() || self.at_statement() {
                self.unclosed(opener);
                break;
            }
            if found {
                let error = self.unexpected(&format!("expected `,` or {}", closer.words()));
                error.related(opener.clone(), "opened here");
                if self.first_on_line(0) {
                    continue;
                }
            }
            self.skip_element(closer);
            if !self.eat(SyntaxKind::Comma) && self.next == before {
                break;
            }
        }
        self.commas_separate = outer;
    }

    /// Whether the next token begins a line that can be nothing but a statement.
    fn at_statement(&self) -> bool {
        let set = matches!(
            self.nth(1),
            SyntaxKind::Equals
                | SyntaxKind::PlusEquals
                | SyntaxKind::MinusEquals
                | SyntaxKind::OpenBrace
                | SyntaxKind::Text
        );
        let words = self.nth_is_name(1);
        self.first_on_line(0)
            && (self.at(SyntaxKind::EndOfFile)
                || (self.nth_is_name(0) && (set || words) && !self.first_on_line(1)))
    }

    /// Passes over the rest of an element that could not be understood.
    fn skip_element(&mut self, closer: SyntaxKind) {
        self.start(SyntaxKind::Error);
        while !(self.at(SyntaxKind::Comma) || self.at(closer) || self.at_statement_end()) {
            if self.nth(0).closer().is_some() {
                self.skip_nested();
            } else {
                self.bump();
            }
        }
        self.finish();
    }
}
