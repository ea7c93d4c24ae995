//! `profile`, and the statements in it.

use rowan::Checkpoint;

use super::Parser;
use super::statement::Place;
use crate::diagnostic::codes;
use crate::syntax::kind::SyntaxKind;

/// Blocks that say in front of their braces to what they apply.
pub(super) const SELECTING: [&str; 5] = ["block", "net", "irq", "cpus", "cgroup"];

impl Parser<'_> {
    /// `profile NAME extends NAME, NAME { … }`
    pub(super) fn profile(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Profile);
        self.bump_keyword();
        self.name(SyntaxKind::Name, "expected the profile's name");
        if self.at_word("extends") {
            self.start(SyntaxKind::Extends);
            self.bump_keyword();
            self.name(SyntaxKind::NameRef, "expected the name of a profile");
            while self.eat(SyntaxKind::Comma) {
                self.name(SyntaxKind::NameRef, "expected the name of a profile");
            }
            self.finish();
        }
        if !self.at(SyntaxKind::OpenBrace) && !self.at_statement_end() {
            self.unexpected("expected `extends` or `{`");
            self.skip_head();
        }
        self.body(Place::Profile);
        self.finish();
    }

    /// Passes over what cannot be understood before a `{` of the same line.
    pub(super) fn skip_head(&mut self) {
        self.start(SyntaxKind::Error);
        while !self.at(SyntaxKind::OpenBrace) && !self.at_statement_end() {
            self.bump();
        }
        self.finish();
    }

    /// `param NAME: TYPE = DEFAULT in RANGE`
    pub(super) fn parameter(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Parameter);
        self.bump_keyword();
        self.name(SyntaxKind::Name, "expected the parameter's name");
        if self.eat(SyntaxKind::Colon) {
            self.start(SyntaxKind::TypeRef);
            if self.eat(SyntaxKind::OpenBracket) {
                self.expect(SyntaxKind::Identifier, "expected a type");
                self.expect(SyntaxKind::CloseBracket, "expected `]`");
            } else {
                self.expect(SyntaxKind::Identifier, "expected a type");
            }
            self.finish();
        }
        if self.eat(SyntaxKind::Equals) {
            self.bounded_expression();
        }
        if self.at_word("in") && !self.first_on_line(0) {
            self.bump_keyword();
            self.bounded_expression();
        }
        self.finish();
    }

    /// `require EXPRESSION` and `forbid EXPRESSION`
    pub(super) fn requirement(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Requirement);
        self.bump_keyword();
        self.expression();
        self.condition();
        self.finish();
    }

    /// `kernel flavour in [cloud, generic] version >= 5.10`
    pub(super) fn kernel_filter(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::KernelFilter);
        self.bump_keyword();
        loop {
            self.start(SyntaxKind::KernelClause);
            if self.nth_is_name(0) && !self.first_on_line(0) {
                self.comparison();
            } else {
                self.unexpected("expected `flavour`, `version` or another fact about the kernel");
            }
            self.finish();
            let comma = self.eat(SyntaxKind::Comma);
            if !comma && (self.first_on_line(0) || !self.nth_is_name(0)) {
                break;
            }
        }
        self.condition();
        self.finish();
    }

    /// `waive CLASS SETTING "reason"`
    pub(super) fn waiver(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Waiver);
        self.bump_keyword();
        let class = "expected the class that is waived, such as `security`";
        if self.name(SyntaxKind::NameRef, class) {
            if self.nth_is_name(0) && !self.first_on_line(0) {
                self.path();
            } else {
                self.unexpected("expected the setting that is waived for");
            }
            if self.at(SyntaxKind::Text) {
                self.literal();
            } else {
                let range = self.here();
                let error = self.error(codes::MISSING, range, "a waiver needs a reason");
                error.label("expected the reason, between quotes");
            }
        }
        self.finish();
    }

    /// A setting with `default`, `force` or `required` in front.
    pub(super) fn modified(&mut self) {
        let start = self.statement_checkpoint();
        while ["default", "force", "required"].iter().any(|word| self.at_word(word))
            && !matches!(self.nth(1), SyntaxKind::Dot | SyntaxKind::Equals)
        {
            self.bump_keyword();
        }
        if self.at_word("raise") || self.at_word("lower") {
            return self.bound_from(start);
        }
        if self.at_word("raw") && self.nth(1) == SyntaxKind::Text {
            return self.raw_from(start);
        }
        if self.nth_is_name(0) && !self.first_on_line(0) {
            return self.setting_from(start);
        }
        self.start_at(start, SyntaxKind::Setting);
        self.unexpected("expected a setting");
        self.finish();
    }

    /// `NAME = VALUE if CONDITION`, or a block of settings: `NAME { … }`, `block "nvme*" { … }`
    pub(super) fn setting_from(&mut self, start: Checkpoint) {
        let selecting = SELECTING.contains(&self.nth_text(0)) || self.nth(1) == SyntaxKind::Text;
        let word = self.nth_range(0);
        let selecting = selecting && self.nth(1) != SyntaxKind::Dot;
        self.path();
        if self.at_assignment() {
            self.start_at(start, SyntaxKind::Setting);
            self.bump();
            self.value();
            self.condition();
            return self.finish();
        }
        if self.at(SyntaxKind::OpenBrace) || (selecting && !self.first_on_line(0)) {
            self.start_at(start, SyntaxKind::Group);
            if !self.at(SyntaxKind::OpenBrace) {
                self.selector(word);
            }
            self.body(Place::Block);
            return self.finish();
        }
        self.start_at(start, SyntaxKind::Setting);
        let at_colon = self.at(SyntaxKind::Colon).then(|| self.nth_range(0));
        let error = self.unexpected("expected `=` or `{` behind the setting's name");
        if let Some(colon) = at_colon {
            error.fix("write `=`", colon, " =");
        }
        self.finish();
    }

    /// To what a block applies: names or patterns between quotes, or a set.
    fn selector(&mut self, word: std::ops::Range<usize>) {
        let name = self.text.get(word.clone()).unwrap_or_default();
        if !SELECTING.contains(&name) {
            let message = format!("there is no block `{name}` that applies to something by name");
            let meant = notation::closest(name, SELECTING);
            let error = self.problems.error(codes::UNKNOWN_BLOCK, word.clone(), message);
            match meant {
                Some(meant) => error.fix(format!("did you mean `{meant}`?"), word, meant),
                None => error.help("expected `block`, `net`, `irq`, `cpus` or `cgroup`"),
            };
        }
        if !self.at(SyntaxKind::Text) {
            self.expression();
            return;
        }
        self.literal();
        while self.eat(SyntaxKind::Comma) {
            if self.at(SyntaxKind::Text) {
                self.literal();
            } else {
                self.unexpected("expected another name or pattern, between quotes");
            }
        }
    }

    /// `raise NAME to VALUE` and `lower NAME to VALUE`
    pub(super) fn bound(&mut self) {
        let start = self.statement_checkpoint();
        self.bound_from(start);
    }

    fn bound_from(&mut self, start: Checkpoint) {
        self.start_at(start, SyntaxKind::Bound);
        self.bump_keyword();
        if self.nth_is_name(0) && !self.first_on_line(0) {
            self.path();
            if self.at(SyntaxKind::Equals) {
                let range = self.nth_range(0);
                let error = self.error(codes::UNEXPECTED, range.clone(), "expected `to`");
                error.fix("write `to`", range, "to");
                self.bump();
                self.value();
            } else if self.expect_word("to", "expected `to`") {
                self.value();
            }
            self.condition();
        } else {
            self.unexpected("expected a setting");
        }
        self.finish();
    }

    /// `raw "PATH" = VALUE`
    pub(super) fn raw_setting(&mut self) {
        let start = self.statement_checkpoint();
        self.raw_from(start);
    }

    fn raw_from(&mut self, start: Checkpoint) {
        self.start_at(start, SyntaxKind::RawSetting);
        self.bump_keyword();
        if self.at(SyntaxKind::Text) && !self.first_on_line(0) {
            self.literal();
            if self.expect(SyntaxKind::Equals, "expected `=`") {
                self.value();
            }
            self.condition();
        } else {
            self.unexpected("expected a path, between quotes");
        }
        self.finish();
    }

    /// `if EXPRESSION { … } else if EXPRESSION { … } else { … }`
    pub(super) fn conditional(&mut self) {
        let start = self.statement_checkpoint();
        self.start_at(start, SyntaxKind::Conditional);
        self.start(SyntaxKind::Branch);
        self.bump_keyword();
        self.expression();
        self.body(Place::Block);
        self.finish();
        while self.at_word("else") {
            self.start(SyntaxKind::Branch);
            self.bump_keyword();
            let last = !self.eat_word("if");
            if !last {
                self.expression();
            }
            self.body(Place::Block);
            self.finish();
            if last {
                break;
            }
        }
        self.finish();
    }

    /// `if EXPRESSION` behind a statement, on its line.
    pub(super) fn condition(&mut self) {
        if self.at_word("if") && !self.first_on_line(0) {
            self.start(SyntaxKind::Condition);
            self.bump_keyword();
            self.expression();
            self.finish();
        }
    }
}
