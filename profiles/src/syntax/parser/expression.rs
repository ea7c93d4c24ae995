//! Expressions, by precedence.

use super::{MAX_OPERATIONS, Parser};
use crate::diagnostic::{codes, quoted};
use crate::syntax::kind::SyntaxKind;

/// How strongly operators bind; the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Comparison,
    Range,
    Sum,
    Product,
    Sign,
}

impl Binding {
    /// The next stronger one: what stands on the right of an operator that groups to the left.
    fn stronger(self) -> Self {
        match self {
            Self::Or => Self::And,
            Self::And => Self::Not,
            Self::Not => Self::Comparison,
            Self::Comparison => Self::Range,
            Self::Range => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product | Self::Sign => Self::Sign,
        }
    }
}

impl Parser<'_> {
    /// Any expression that belongs to a statement.
    pub(super) fn expression(&mut self) {
        self.whole(Binding::Or);
    }

    /// One comparison, without `and` and `or`.
    pub(super) fn comparison(&mut self) {
        self.whole(Binding::Comparison);
    }

    /// An expression behind which `in`, a comparison or a clause may follow.
    pub(super) fn bounded_expression(&mut self) {
        self.whole(Binding::Range);
    }

    /// An expression that has to begin on this line: else it is missing, and what follows is the
    /// next statement.
    fn whole(&mut self, weakest: Binding) {
        if self.first_on_line(0) && self.next > 0 {
            self.unexpected("expected a value");
        } else {
            self.operations(weakest);
        }
    }

    /// Operations that bind at least as strongly as `weakest`. Returns how many levels of the tree
    /// they make, which is bounded: the tree is walked by recursion.
    fn operations(&mut self, weakest: Binding) -> u32 {
        let start = self.checkpoint();
        let mut height = self.prefix(weakest);
        let mut compared = false;
        let mut ranged = false;
        while let Some(binding) = self.operator() {
            if binding < weakest {
                break;
            }
            if height >= MAX_OPERATIONS {
                let range = self.nth_range(0);
                let message = "this expression is too long";
                let error = self.error(codes::TOO_DEEP, range, message);
                error.label(format!("more than {MAX_OPERATIONS} operations"));
                self.skip_statement();
                break;
            }
            if binding == Binding::Comparison && std::mem::replace(&mut compared, true) {
                let range = self.nth_range(0);
                let message = "a comparison cannot be compared";
                let error = self.error(codes::CHAINED_COMPARISON, range, message);
                error.help("join two comparisons with `and`");
            }
            if binding == Binding::Range && std::mem::replace(&mut ranged, true) {
                self.unexpected("expected the end of the range").label("it has two ends already");
            }
            let kind = match binding {
                Binding::Range => SyntaxKind::Range,
                _ => SyntaxKind::Binary,
            };
            self.start_at(start, kind);
            self.bump_operator();
            // A range may be open at its end, but a line that follows does not close it.
            if kind == SyntaxKind::Binary || self.starts_operand() {
                height = height.max(self.operations(binding.stronger()));
            }
            self.finish();
            height += 1;
        }
        height
    }

    /// What the next token does between two values, if it does anything there.
    fn operator(&self) -> Option<Binding> {
        Some(match self.nth(0) {
            SyntaxKind::Identifier => match self.nth_text(0) {
                "or" => Binding::Or,
                "and" => Binding::And,
                "in" => Binding::Comparison,
                "not" if self.nth_is_word(1, "in") => Binding::Comparison,
                _ => return None,
            },
            SyntaxKind::ForeignOr => Binding::Or,
            SyntaxKind::ForeignAnd => Binding::And,
            SyntaxKind::Equals => Binding::Comparison,
            kind if kind.is_comparison() => Binding::Comparison,
            SyntaxKind::DotDot => Binding::Range,
            SyntaxKind::Plus | SyntaxKind::Minus => Binding::Sum,
            SyntaxKind::Star | SyntaxKind::Slash | SyntaxKind::Ampersand => Binding::Product,
            _ => return None,
        })
    }

    fn bump_operator(&mut self) {
        match self.nth(0) {
            SyntaxKind::Identifier => {
                if self.at_word("not") {
                    self.bump_keyword();
                }
                return self.bump_keyword();
            }
            SyntaxKind::ForeignOr => self.foreign_operator("or"),
            SyntaxKind::ForeignAnd => self.foreign_operator("and"),
            SyntaxKind::Equals => self.foreign_operator("=="),
            _ => {}
        }
        self.bump();
    }

    fn foreign_operator(&mut self, ours: &str) {
        let range = self.nth_range(0);
        let message = format!("`{}` is written `{ours}` here", self.nth_text(0));
        let error = self.error(codes::FOREIGN_OPERATOR, range.clone(), message);
        error.fix(format!("write `{ours}`"), range, ours);
    }

    /// A sign or negation with its operand, a range without a start, or an operand.
    fn prefix(&mut self, weakest: Binding) -> u32 {
        let (kind, operand) = match self.nth(0) {
            SyntaxKind::Minus => (SyntaxKind::Unary, Binding::Sign),
            SyntaxKind::ForeignNot => {
                self.foreign_operator("not");
                (SyntaxKind::Unary, Binding::Comparison)
            }
            SyntaxKind::DotDot => (SyntaxKind::Range, Binding::Sum),
            SyntaxKind::Identifier if self.at_word("not") => (SyntaxKind::Unary, Binding::Not),
            _ => return self.primary(),
        };
        let loose = match kind {
            SyntaxKind::Range => weakest > Binding::Range,
            _ => operand == Binding::Not && weakest > Binding::Not,
        };
        if loose {
            let range = self.nth_range(0);
            let message = format!("`{}` needs parentheses here", self.nth_text(0));
            self.error(codes::UNEXPECTED, range, message).label("put `(` before this");
            self.skip_statement();
            return 1;
        }
        let height = self.nested(|parser| {
            parser.start(kind);
            if parser.at(SyntaxKind::Identifier) {
                parser.bump_keyword();
            } else {
                parser.bump();
            }
            let height = parser.operations(operand);
            parser.finish();
            height
        });
        height.unwrap_or(0) + 1
    }

    /// Whether a value begins here, on this line.
    fn starts_operand(&self) -> bool {
        let kind = self.nth(0);
        let starts = Self::is_literal(kind) || self.nth_is_name(0);
        let starts = starts || matches!(kind, SyntaxKind::OpenParen | SyntaxKind::OpenBracket);
        (starts || kind == SyntaxKind::Minus) && !self.first_on_line(0)
    }

    /// Whether a token is a value by itself.
    pub(super) fn is_literal(kind: SyntaxKind) -> bool {
        (SyntaxKind::Integer..=SyntaxKind::Text).contains(&kind)
    }

    /// A literal, name, call, list, or expression in parentheses.
    pub(super) fn primary(&mut self) -> u32 {
        match self.nth(0) {
            SyntaxKind::Integer | SyntaxKind::CpuRange => self.number_or_cpus(),
            kind if Self::is_literal(kind) => self.literal(),
            SyntaxKind::Identifier if self.nth_is_name(0) => {
                let is_call = self.nth(1) == SyntaxKind::OpenParen && !self.first_on_line(1);
                if is_call {
                    return self.nested(Self::call).unwrap_or(0) + 2;
                }
                self.path();
            }
            SyntaxKind::OpenParen => {
                return self.nested(Self::parenthesised).unwrap_or(0) + 1;
            }
            SyntaxKind::OpenBracket => {
                return self.nested(Self::list).unwrap_or(0) + 1;
            }
            SyntaxKind::Identifier => {
                let word = self.nth_text(0);
                self.unexpected("expected a value")
                    .label(format!("`{}` is a word of the language", quoted(word)));
            }
            _ => {
                self.unexpected("expected a value");
            }
        }
        1
    }

    /// `4`, or a list of CPUs: `2-3`, `2-3,6`. Where commas have another meaning, a list of more
    /// than one part stands in parentheses.
    fn number_or_cpus(&mut self) {
        let goes_on = |parser: &Self, n: usize| {
            !parser.commas_separate
                && parser.nth(n) == SyntaxKind::Comma
                && matches!(parser.nth(n + 1), SyntaxKind::Integer | SyntaxKind::CpuRange)
        };
        let start = self.checkpoint();
        if self.at(SyntaxKind::Integer) && !goes_on(self, 1) {
            return self.literal();
        }
        self.start_at(start, SyntaxKind::CpuList);
        self.bump_cpus();
        while goes_on(self, 0) {
            self.bump();
            self.bump_cpus();
        }
        self.finish();
    }

    /// `memory.total`, `net.ipv4.conf."eth0.100".rp_filter`, `numa.0.cpus`
    pub(super) fn path(&mut self) {
        self.start(SyntaxKind::Path);
        self.bump();
        // Without spaces: with them, `a. 0 .5` would be another name than `a.0.5`.
        while self.at(SyntaxKind::Dot) && self.adjacent(0) {
            self.bump();
            let part = matches!(
                self.nth(0),
                SyntaxKind::Identifier
                    | SyntaxKind::Text
                    | SyntaxKind::Integer
                    | SyntaxKind::Quantity
            );
            if !part || !self.adjacent(0) {
                self.unexpected("expected a name behind the dot");
                break;
            }
            match self.nth(0) {
                SyntaxKind::Text => self.bump_literal(),
                _ => self.bump(),
            }
        }
        self.finish();
    }

    fn parenthesised(&mut self) -> u32 {
        self.start(SyntaxKind::Parenthesised);
        let opener = self.nth_range(0);
        self.bump();
        let commas_separate = std::mem::replace(&mut self.commas_separate, false);
        let height = self.operations(Binding::Or);
        self.commas_separate = commas_separate;
        if !self.eat(SyntaxKind::CloseParen) {
            if self.at_statement_end() {
                self.unclosed(opener);
            } else {
                self.unexpected("expected `)`");
            }
        }
        self.finish();
        height
    }

    fn list(&mut self) -> u32 {
        self.start(SyntaxKind::List);
        let height = self.elements(SyntaxKind::CloseBracket);
        self.finish();
        height
    }

    /// `min(memory.total / 8, 4GiB)`
    fn call(&mut self) -> u32 {
        self.start(SyntaxKind::Call);
        self.start(SyntaxKind::NameRef);
        self.bump();
        self.finish();
        self.start(SyntaxKind::Arguments);
        let height = self.elements(SyntaxKind::CloseParen);
        self.finish();
        self.finish();
        height
    }

    fn elements(&mut self, closer: SyntaxKind) -> u32 {
        let mut height = 0;
        self.separated(closer, |parser| {
            let before = parser.next;
            height = height.max(parser.operations(Binding::Or));
            parser.next > before
        });
        height
    }
}
