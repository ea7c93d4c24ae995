//! `policy`: which profile when.

use super::Parser;
use super::statement::Place;
use crate::syntax::kind::SyntaxKind;

impl Parser<'_> {
    /// `policy { … }`
    pub(super) fn policy(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Policy);
        self.bump_keyword();
        if self.at(SyntaxKind::Identifier) {
            self.name(SyntaxKind::Name, "expected the policy's name");
        }
        self.body(Place::Policy);
        self.finish();
    }

    /// `default TARGET`
    pub(super) fn policy_default(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::PolicyDefault);
        self.bump_keyword();
        self.target();
        self.finish();
    }

    /// `when EXPRESSION for TIME until EXPRESSION for TIME cooldown TIME dwell TIME -> TARGET`
    ///
    /// No statement begins with one of these words or with `->`, so each may stand on a line of
    /// its own.
    pub(super) fn rule(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Rule);
        self.bump_keyword();
        self.expression();
        loop {
            if self.at_word("for") || self.at_word("cooldown") || self.at_word("dwell") {
                self.duration();
            } else if self.at_word("until") {
                self.until();
            } else {
                break;
            }
        }
        let expected = "expected `for`, `until`, `cooldown`, `dwell` or `->`";
        if self.expect(SyntaxKind::Arrow, expected) {
            self.target();
        }
        self.finish();
    }

    /// `until EXPRESSION for TIME`, or without the left side of a comparison: then it is that of
    /// `when`.
    fn until(&mut self) {
        self.start(SyntaxKind::Until);
        self.bump_keyword();
        if self.nth(0).is_comparison() {
            self.start(SyntaxKind::Partial);
            self.bump();
            self.bounded_expression();
            self.finish();
        } else {
            self.expression();
        }
        if self.at_word("for") {
            self.duration();
        }
        self.finish();
    }

    /// A keyword with a time behind it. The next token is the keyword.
    pub(super) fn duration(&mut self) {
        self.start(SyntaxKind::Duration);
        self.bump_keyword();
        self.bounded_expression();
        self.finish();
    }

    /// `NAME`, or `kernel "IMAGE" profile NAME`
    fn target(&mut self) {
        self.start(SyntaxKind::Target);
        if self.at_word("kernel") && self.nth(1) == SyntaxKind::Text {
            self.bump_keyword();
            self.literal();
            if self.eat_word("profile") {
                self.name(SyntaxKind::NameRef, "expected the name of a profile");
            }
        } else {
            self.name(SyntaxKind::NameRef, "expected the name of a profile, or `kernel`");
        }
        self.finish();
    }
}
