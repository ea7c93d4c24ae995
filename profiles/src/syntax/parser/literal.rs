//! Literals, and whether they are worth anything.

use std::ops::Range;

use super::Parser;
use crate::diagnostic::{codes, quoted};
use crate::syntax::kind::SyntaxKind;
use crate::syntax::literal::{self, LiteralError};
use crate::syntax::problems::Problems;

impl Parser<'_> {
    /// A literal. The next token is one.
    pub(super) fn literal(&mut self) {
        if self.at(SyntaxKind::CpuRange) {
            self.start(SyntaxKind::CpuList);
            self.bump_cpus();
        } else {
            self.start(SyntaxKind::Literal);
            self.bump_literal();
        }
        self.finish();
    }

    /// A token that has to be worth something.
    pub(super) fn bump_literal(&mut self) {
        if let Err(error) = literal::value_of(self.nth(0), self.nth_text(0)) {
            literal_error(self.nth_text(0), self.nth_range(0), error, &mut self.problems);
        }
        self.bump();
    }

    /// A part of a list of CPUs.
    pub(super) fn bump_cpus(&mut self) {
        if let Err(error) = literal::cpus(self.nth_text(0)) {
            let message = format!("`{}` are no CPUs", quoted(self.nth_text(0)));
            let label = match error {
                LiteralError::Malformed(why) => why,
                _ => "CPUs have numbers up to 65535",
            };
            let range = self.nth_range(0);
            self.error(codes::CPU_LIST, range, message).label(label);
        }
        self.bump();
    }
}

fn literal_error(text: &str, all: Range<usize>, error: LiteralError, problems: &mut Problems) {
    let text = quoted(text);
    match error {
        LiteralError::Malformed(why) => {
            let message = format!("`{text}` is not a number");
            problems.error(codes::MALFORMED_NUMBER, all, message).label(why);
        }
        LiteralError::TooLarge => {
            let message = format!("`{text}` is too large");
            let error = problems.error(codes::NUMBER_TOO_LARGE, all, message);
            error.label("numbers have at most 64 bits, in base units too");
        }
        LiteralError::NotWhole(dimension) => {
            let message = format!("`{text}` is not a whole number of {}", dimension.base());
            problems.error(codes::MALFORMED_NUMBER, all, message);
        }
        LiteralError::UnknownUnit(unit, meant) => {
            let start = all.end - unit.len();
            let message = format!("there is no unit `{}`", quoted(&unit));
            let error = problems.error(codes::UNKNOWN_UNIT, start..all.end, message);
            match meant {
                Some(meant) => error.fix(format!("did you mean `{meant}`?"), start..all.end, meant),
                None => error.help("sizes: B KiB MiB GiB TiB; times: ns us ms s min h d; %"),
            };
        }
        LiteralError::BadEscape(at) => {
            let at = all.start + at.start..all.start + at.end;
            let error = problems.error(codes::BAD_ESCAPE, at, "there is no such escape");
            error.help("a text has two: `\\\"` and `\\\\`; it is one line");
        }
    }
}
