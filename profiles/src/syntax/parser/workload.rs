//! `workload`: which programs, how they are started, and how they run.

use super::Parser;
use super::statement::Place;
use crate::syntax::kind::SyntaxKind;

impl Parser<'_> {
    /// `workload NAME { … }`
    pub(super) fn workload(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Workload);
        self.bump_keyword();
        self.name(SyntaxKind::Name, "expected the workload's name");
        self.body(Place::Workload);
        self.finish();
    }

    /// `match exec "postgres", "postmaster"`
    pub(super) fn workload_match(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Match);
        self.bump_keyword();
        let kinds =
            "expected what programs are known by: `exec`, `cgroup`, `unit`, `image` or `user`";
        if self.name(SyntaxKind::NameRef, kinds) {
            loop {
                if self.at(SyntaxKind::Text) && !self.first_on_line(0) {
                    self.literal();
                } else {
                    self.unexpected("expected a name or pattern, between quotes");
                }
                if !self.eat(SyntaxKind::Comma) {
                    break;
                }
            }
        }
        self.finish();
    }

    /// `start ["postgres", "-D", "/data"]`
    pub(super) fn workload_start(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Start);
        self.bump_keyword();
        if self.at(SyntaxKind::OpenBracket) && !self.first_on_line(0) {
            self.expression();
        } else {
            self.unexpected("expected a command as a list: [\"program\", \"argument\"]");
        }
        self.finish();
    }
}
