//! `guard`: when a profile is undone.

use super::Parser;
use super::statement::Place;
use crate::syntax::kind::SyntaxKind;

impl Parser<'_> {
    /// `guard PROFILE { … }`
    pub(super) fn guard(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Guard);
        self.bump_keyword();
        self.name(SyntaxKind::NameRef, "expected the name of the profile that is guarded");
        self.body(Place::Guard);
        self.finish();
    }

    /// `confirm within TIME`
    pub(super) fn confirm(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Confirm);
        self.bump_keyword();
        if self.at_word("within") {
            self.duration();
        } else {
            self.unexpected("expected `within`");
        }
        self.finish();
    }

    /// `rollback if EXPRESSION for TIME`, `rollback if unreachable for TIME`
    pub(super) fn rollback(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Rollback);
        self.bump_keyword();
        if self.expect_word("if", "expected `if`") {
            if self.at_word("unreachable") && self.nth(1) != SyntaxKind::Dot {
                self.bump_keyword();
            } else {
                self.expression();
            }
            if self.at_word("for") {
                self.duration();
            }
        }
        self.finish();
    }
}
