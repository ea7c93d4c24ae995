//! Which statement it is.

use super::Parser;
use super::profile::SELECTING;
use crate::diagnostic::{codes, quoted};
use crate::syntax::kind::SyntaxKind;

/// What statements stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File,
    Profile,
    /// A block of settings.
    Block,
    /// A block of settings within a workload, or under a condition in one.
    Workload,
    Policy,
    Guard,
}

impl Place {
    fn takes_settings(self) -> bool {
        matches!(self, Self::Profile | Self::Block | Self::Workload)
    }

    fn words(self) -> &'static str {
        match self {
            Self::File => "at the top of a file",
            Self::Profile => "in a profile",
            Self::Block => "in a block of settings",
            Self::Workload => "in a workload",
            Self::Policy => "in a policy",
            Self::Guard => "in a guard",
        }
    }
}

/// A statement that begins with a word of its own.
struct Statement {
    word: &'static str,
    /// Where it may stand; the first is where it belongs.
    places: &'static [Place],
    parse: fn(&mut Parser<'_>),
}

const SETTINGS: &[Place] = &[Place::Profile, Place::Block, Place::Workload];

/// All of them. `default` is two: which one is told by its place.
const STATEMENTS: &[Statement] = &[
    Statement { word: "profile", places: &[Place::File], parse: |parser| parser.profile() },
    Statement { word: "policy", places: &[Place::File], parse: |parser| parser.policy() },
    Statement { word: "guard", places: &[Place::File], parse: |parser| parser.guard() },
    Statement {
        word: "default",
        places: &[Place::Policy],
        parse: |parser| parser.policy_default(),
    },
    Statement { word: "when", places: &[Place::Policy], parse: |parser| parser.rule() },
    Statement { word: "confirm", places: &[Place::Guard], parse: |parser| parser.confirm() },
    Statement { word: "rollback", places: &[Place::Guard], parse: |parser| parser.rollback() },
    Statement { word: "param", places: &[Place::Profile], parse: |parser| parser.parameter() },
    Statement { word: "require", places: &[Place::Profile], parse: |parser| parser.requirement() },
    Statement { word: "forbid", places: &[Place::Profile], parse: |parser| parser.requirement() },
    Statement { word: "kernel", places: &[Place::Profile], parse: |parser| parser.kernel_filter() },
    Statement { word: "waive", places: &[Place::Profile], parse: |parser| parser.waiver() },
    Statement { word: "workload", places: &[Place::Profile], parse: |parser| parser.workload() },
    Statement {
        word: "match",
        places: &[Place::Workload],
        parse: |parser| parser.workload_match(),
    },
    Statement {
        word: "start",
        places: &[Place::Workload],
        parse: |parser| parser.workload_start(),
    },
    Statement { word: "default", places: SETTINGS, parse: |parser| parser.modified() },
    Statement { word: "force", places: SETTINGS, parse: |parser| parser.modified() },
    Statement { word: "required", places: SETTINGS, parse: |parser| parser.modified() },
    Statement { word: "raise", places: SETTINGS, parse: |parser| parser.bound() },
    Statement { word: "lower", places: SETTINGS, parse: |parser| parser.bound() },
    Statement { word: "raw", places: SETTINGS, parse: |parser| parser.raw_setting() },
    Statement { word: "if", places: SETTINGS, parse: |parser| parser.conditional() },
];

/// Words after which braces hold statements of their own kind. Any other word before `{` is the
/// first part of the names in a block of settings.
const WITH_BODY: [&str; 5] = ["profile", "policy", "guard", "workload", "if"];

fn is_assignment(kind: SyntaxKind) -> bool {
    matches!(kind, SyntaxKind::Equals | SyntaxKind::PlusEquals | SyntaxKind::MinusEquals)
}

/// The statements of a file.
pub(super) fn script(parser: &mut Parser<'_>) {
    while !parser.at(SyntaxKind::EndOfFile) {
        if parser.at(SyntaxKind::CloseBrace) {
            let range = parser.nth_range(0);
            let error = parser.error(codes::UNOPENED, range, "`}` closes nothing");
            error.help("is there one too many above?");
            parser.start(SyntaxKind::Error);
            parser.bump();
            parser.finish();
        } else {
            parser.statement(Place::File);
        }
    }
}

impl Parser<'_> {
    /// Statements between braces.
    pub(super) fn body(&mut self, place: Place) {
        if !self.at(SyntaxKind::OpenBrace) {
            self.unexpected("expected `{`");
            return;
        }
        let opener = self.nth_range(0);
        self.nested(|parser| {
            parser.start(SyntaxKind::Body);
            parser.bump();
            let commas_separate = std::mem::replace(&mut parser.commas_separate, false);
            loop {
                if parser.eat(SyntaxKind::CloseBrace) {
                    break;
                }
                if parser.at(SyntaxKind::EndOfFile) || parser.at_top_of_file() {
                    parser.unclosed(opener);
                    break;
                }
                parser.statement(place);
            }
            parser.commas_separate = commas_separate;
            parser.finish();
        });
    }

    fn statement(&mut self, place: Place) {
        let before = self.next;
        if self.at(SyntaxKind::Identifier) {
            match self.keyword_statement(place) {
                Some((statement, fits)) => {
                    if !fits {
                        self.misplaced(statement, place);
                    }
                    (statement.parse)(self);
                }
                None => self.setting_or_block(place),
            }
        } else if !self.at(SyntaxKind::Semicolon) {
            let expected = match place {
                Place::File => "expected `profile`, `policy` or `guard`",
                _ => "expected a statement",
            };
            self.unexpected_start(expected);
            self.skip_whole_statement();
        }
        if place == Place::File {
            // Behind a closing brace the next may follow.
            self.eat(SyntaxKind::Semicolon);
        } else {
            self.statement_end();
        }
        if self.next == before {
            // Nothing was understood at all.
            self.start(SyntaxKind::Error);
            self.bump();
            self.finish();
        }
    }

    /// The statement that the next word begins, and whether it may stand here. Behind a dot or
    /// before `=` or `{`, it is the name of a setting.
    fn keyword_statement(&self, place: Place) -> Option<(&'static Statement, bool)> {
        let word = self.nth_text(0);
        let same_line = !self.first_on_line(1);
        match self.nth(1) {
            SyntaxKind::Dot | SyntaxKind::Equals if same_line => return None,
            SyntaxKind::PlusEquals | SyntaxKind::MinusEquals if same_line => return None,
            SyntaxKind::OpenBrace if !WITH_BODY.contains(&word) => return None,
            _ => {}
        }
        let mut named = STATEMENTS.iter().filter(|statement| statement.word == word);
        let first = named.clone().next()?;
        match named.find(|statement| statement.places.contains(&place)) {
            Some(statement) => Some((statement, true)),
            None => Some((first, false)),
        }
    }

    fn misplaced(&mut self, statement: &Statement, place: Place) {
        let belongs = statement.places.first().map_or("", |place| place.words());
        let word = statement.word;
        let message = format!("`{word}` does not stand {}", place.words());
        let range = self.nth_range(0);
        self.error(codes::MISPLACED, range, message).label(format!("it stands {belongs}"));
    }

    /// The statement begins with something that begins none.
    fn unexpected_start(&mut self, expected: &str) {
        let label = match self.nth(0) {
            SyntaxKind::Unknown => "this means nothing".to_owned(),
            _ => format!("this is `{}`", quoted(self.nth_text(0))),
        };
        let range = self.nth_range(0);
        self.error(codes::UNEXPECTED, range, expected).label(label);
    }

    /// A statement that begins with the name of a setting, or with a word that is none.
    fn setting_or_block(&mut self, place: Place) {
        let looks_like_setting = match self.nth(1) {
            SyntaxKind::Dot | SyntaxKind::Equals | SyntaxKind::PlusEquals => true,
            SyntaxKind::MinusEquals | SyntaxKind::OpenBrace => true,
            _ if place == Place::File => false,
            _ if SELECTING.contains(&self.nth_text(0)) => true,
            SyntaxKind::Text => {
                matches!(self.nth(2), SyntaxKind::OpenBrace | SyntaxKind::Comma)
            }
            _ => false,
        } && self.nth_is_name(0);
        if !looks_like_setting || (!place.takes_settings() && !self.is_assignment()) {
            return self.unknown_statement(place);
        }
        if !place.takes_settings() {
            let message = format!("a setting does not stand {}", place.words());
            let range = self.nth_range(0);
            self.error(codes::MISPLACED, range, message).label("it stands in a profile");
        }
        let start = self.statement_checkpoint();
        self.setting_from(start);
    }

    /// Whether the next tokens are a dotted name with `=` behind it.
    fn is_assignment(&self) -> bool {
        let mut n = 1;
        while self.nth(n) == SyntaxKind::Dot {
            n += 2;
        }
        is_assignment(self.nth(n))
    }

    pub(super) fn at_assignment(&self) -> bool {
        is_assignment(self.nth(0))
    }

    fn unknown_statement(&mut self, place: Place) {
        let word = self.nth_text(0);
        let range = self.nth_range(0);
        let known = STATEMENTS.iter().filter(|statement| statement.places.contains(&place));
        let known = known.map(|statement| statement.word);
        let meant = match place.takes_settings() {
            true => notation::closest(word, known.clone().chain(SELECTING)),
            false => notation::closest(word, known.clone()),
        };
        let message = format!("`{}` begins no statement", quoted(word));
        let error = self.problems.error(codes::UNKNOWN_STATEMENT, range.clone(), message);
        let error = error.label(format!("not {}", place.words()));
        match meant {
            Some(meant) => {
                error.fix(format!("did you mean `{meant}`?"), range, meant);
                return self.meant_statement(meant, place);
            }
            None if place.takes_settings() => error.help("a setting is written `name = value`"),
            None => {
                let mut words: Vec<String> = known.map(|word| format!("`{word}`")).collect();
                let last = words.pop().unwrap_or_default();
                error.help(format!("expected {} or {last}", words.join(", ")))
            }
        };
        self.skip_whole_statement();
    }

    /// Reads a statement as what it would be if its first word were another.
    fn meant_statement(&mut self, meant: &str, place: Place) {
        let mut statements = STATEMENTS.iter();
        match statements.find(|it| it.word == meant && it.places.contains(&place)) {
            Some(statement) => (statement.parse)(self),
            None => self.skip_whole_statement(),
        }
    }
}
