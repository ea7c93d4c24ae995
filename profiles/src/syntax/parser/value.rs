//! What stands behind `=`: an expression, a structured value, or a value in words.

use super::Parser;
use crate::syntax::kind::SyntaxKind;

impl Parser<'_> {
    pub(super) fn value(&mut self) {
        if self.first_on_line(0) {
            self.unexpected("expected a value");
        } else if self.at(SyntaxKind::OpenBrace)
            || (self.nth_is_name(0) && self.nth(1) == SyntaxKind::OpenBrace)
        {
            self.record();
        } else if self.nth_is_name(0) && !self.first_on_line(1) && self.starts_word(1) {
            self.words();
        } else {
            self.expression();
        }
    }

    /// `bytes { limit: dirty, background: dirty / 8 }`
    fn record(&mut self) {
        self.nested(|parser| {
            parser.start(SyntaxKind::Record);
            if parser.at(SyntaxKind::Identifier) {
                parser.start(SyntaxKind::NameRef);
                parser.bump();
                parser.finish();
            }
            parser.separated(SyntaxKind::CloseBrace, |parser| {
                parser.start(SyntaxKind::Field);
                let named = parser.at(SyntaxKind::Identifier);
                if named {
                    parser.start(SyntaxKind::Name);
                    parser.bump();
                    parser.finish();
                }
                let mut whole = false;
                if !named {
                    parser.unexpected("expected the name of a field");
                } else if parser.at(SyntaxKind::Equals) {
                    let range = parser.nth_range(0);
                    let code = crate::diagnostic::codes::UNEXPECTED;
                    let error = parser.error(code, range.clone(), "expected `:`");
                    error.label("fields are written `name: value`").fix("write `:`", range, ":");
                    parser.bump();
                    parser.value();
                } else if parser.expect(SyntaxKind::Colon, "expected `:`") {
                    parser.value();
                    whole = true;
                }
                parser.finish();
                whole
            });
            parser.finish();
        });
    }

    /// Whether a token behind a name makes the two a value in words.
    fn starts_word(&self, n: usize) -> bool {
        match self.nth(n) {
            SyntaxKind::Identifier => self.nth_is_name(n),
            kind => Self::is_literal(kind),
        }
    }

    /// `batch nice 0`: names and literals on one line.
    fn words(&mut self) {
        self.start(SyntaxKind::Words);
        while !self.first_on_line(0) {
            if self.nth_is_name(0) {
                self.path();
            } else if Self::is_literal(self.nth(0)) {
                self.literal();
            } else if self.at(SyntaxKind::Minus) && Self::is_literal(self.nth(1)) {
                self.start(SyntaxKind::Unary);
                self.bump();
                self.literal();
                self.finish();
            } else if self.at(SyntaxKind::OpenParen) {
                self.primary();
            } else {
                break;
            }
        }
        self.finish();
    }
}
