//! Tokens to a tree, by recursive descent.
//!
//! The parser goes on behind an error: it leaves the statement that it could not understand in an
//! error node, and begins anew with the next one. It never looks back, and recurses at most
//! [`MAX_DEPTH`] deep.

mod expression;
mod guard;
mod literal;
mod policy;
mod profile;
mod recovery;
mod statement;
mod value;
mod workload;

use std::ops::Range;

use rowan::{Checkpoint, GreenNode, GreenNodeBuilder, Language};

use super::kind::{KernelScript, SyntaxKind};
use super::lexer::Token;
use super::problems::{Added, Problems};
use crate::diagnostic::{Code, codes, quoted};

/// How many brackets, blocks and signs may stand within each other.
pub const MAX_DEPTH: u32 = 64;
/// How many operations an expression may consist of, counted along its longest chain.
pub const MAX_OPERATIONS: u32 = 256;

/// Words that end an expression, and so are no names.
pub(super) const RESERVED: [&str; 10] =
    ["and", "or", "not", "in", "if", "else", "for", "until", "cooldown", "dwell"];

/// A token that means something.
#[derive(Clone, Copy)]
struct Significant {
    /// Which of all tokens.
    index: u32,
    /// Whether a line break stands before it.
    first_on_line: bool,
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    significant: Vec<Significant>,
    /// The next token that is not in the tree yet.
    token: usize,
    /// The next significant one of those.
    next: usize,
    builder: GreenNodeBuilder<'static>,
    problems: Problems,
    depth: u32,
    /// Whether doc comments that come now belong to a statement.
    documents: bool,
    /// Whether a comma ends an expression here; if not, it goes on a list of CPUs.
    commas_separate: bool,
}

/// A whole script.
pub(super) fn script(text: &str, tokens: Vec<Token>, problems: Problems) -> (GreenNode, Problems) {
    run(text, tokens, problems, statement::script)
}

/// One expression and nothing else.
pub(super) fn lone_expression(
    text: &str,
    tokens: Vec<Token>,
    problems: Problems,
) -> (GreenNode, Problems) {
    run(text, tokens, problems, |parser| {
        parser.expression();
        if !parser.at(SyntaxKind::EndOfFile) {
            parser.unexpected("expected the end of the expression");
            parser.start(SyntaxKind::Error);
            while !parser.at(SyntaxKind::EndOfFile) {
                parser.bump();
            }
            parser.finish();
        }
    })
}

fn run(
    text: &str,
    tokens: Vec<Token>,
    problems: Problems,
    grammar: impl FnOnce(&mut Parser<'_>),
) -> (GreenNode, Problems) {
    let mut first_on_line = true;
    let mut significant = Vec::with_capacity(tokens.len() / 2);
    for (index, token) in (0u32..).zip(&tokens) {
        if !token.kind.is_trivia() {
            significant.push(Significant { index, first_on_line });
            first_on_line = false;
        } else if token.kind == SyntaxKind::Newline {
            first_on_line = true;
        }
    }
    let mut parser = Parser {
        text,
        tokens,
        significant,
        token: 0,
        next: 0,
        builder: GreenNodeBuilder::new(),
        problems,
        depth: 0,
        documents: false,
        commas_separate: false,
    };
    parser.builder.start_node(KernelScript::kind_to_raw(SyntaxKind::SourceFile));
    grammar(&mut parser);
    parser.skip_trivia();
    parser.finish();
    (parser.builder.finish(), parser.problems)
}

impl<'t> Parser<'t> {
    /// The token `n` behind the next one, if the file goes on that far.
    fn peek(&self, n: usize) -> Option<Token> {
        let significant = self.significant.get(self.next + n)?;
        self.tokens.get(significant.index as usize).copied()
    }

    fn nth(&self, n: usize) -> SyntaxKind {
        self.peek(n).map_or(SyntaxKind::EndOfFile, |token| token.kind)
    }

    fn at(&self, kind: SyntaxKind) -> bool {
        self.nth(0) == kind
    }

    fn nth_text(&self, n: usize) -> &'t str {
        self.text.get(self.nth_range(n)).unwrap_or_default()
    }

    /// The bytes of a token; behind the last, the end of the file.
    fn nth_range(&self, n: usize) -> Range<usize> {
        match self.peek(n) {
            Some(token) => token.start as usize..(token.start + token.len) as usize,
            None => self.text.len()..self.text.len(),
        }
    }

    /// Whether a token is the first on its line. The end of the file is.
    fn first_on_line(&self, n: usize) -> bool {
        self.significant.get(self.next + n).is_none_or(|significant| significant.first_on_line)
    }

    /// Whether nothing stands between a token and the one before it.
    fn adjacent(&self, n: usize) -> bool {
        let index = |at: usize| self.significant.get(at).map(|significant| significant.index);
        let before = (self.next + n).checked_sub(1).and_then(index);
        before.is_some_and(|before| index(self.next + n) == Some(before + 1))
    }

    fn nth_is_word(&self, n: usize, word: &str) -> bool {
        self.nth(n) == SyntaxKind::Identifier && self.nth_text(n) == word
    }

    fn at_word(&self, word: &str) -> bool {
        self.nth_is_word(0, word)
    }

    fn nth_is_name(&self, n: usize) -> bool {
        self.nth(n) == SyntaxKind::Identifier && !RESERVED.contains(&self.nth_text(n))
    }

    /// Puts the next token into the tree under its own kind.
    fn bump(&mut self) {
        self.bump_as(self.nth(0));
    }

    fn bump_as(&mut self, kind: SyntaxKind) {
        if self.next >= self.significant.len() {
            return;
        }
        self.skip_trivia();
        let token = self.tokens.get(self.token).copied();
        if let Some(token) = token {
            self.put(kind, token);
            self.next += 1;
            self.documents = false;
        }
    }

    fn put(&mut self, kind: SyntaxKind, token: Token) {
        let range = token.start as usize..(token.start + token.len) as usize;
        let text = self.text.get(range.clone()).unwrap_or_default();
        self.builder.token(KernelScript::kind_to_raw(kind), text);
        self.token += 1;
        if kind == SyntaxKind::DocComment && !self.documents {
            let slashes = range.start..range.start + 3;
            let message = "this doc comment documents nothing";
            let warning = self.problems.warning(codes::STRAY_DOC, range, message);
            warning.fix("write it as a plain comment: `//`", slashes, "//");
        }
    }

    fn bump_keyword(&mut self) {
        self.bump_as(SyntaxKind::Keyword);
    }

    fn eat(&mut self, kind: SyntaxKind) -> bool {
        let there = self.at(kind);
        if there {
            self.bump();
        }
        there
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let there = self.at_word(word);
        if there {
            self.bump_keyword();
        }
        there
    }

    /// Puts what stands before the next significant token into the tree.
    fn skip_trivia(&mut self) {
        while let Some(token) = self.tokens.get(self.token).copied() {
            if !token.kind.is_trivia() {
                break;
            }
            self.put(token.kind, token);
        }
    }

    /// Begins a node with the next significant token.
    fn start(&mut self, kind: SyntaxKind) {
        self.skip_trivia();
        self.builder.start_node(KernelScript::kind_to_raw(kind));
    }

    fn start_at(&mut self, checkpoint: Checkpoint, kind: SyntaxKind) {
        self.builder.start_node_at(checkpoint, KernelScript::kind_to_raw(kind));
    }

    fn finish(&mut self) {
        self.builder.finish_node();
    }

    /// A place to begin a node at later: at the next significant token.
    fn checkpoint(&mut self) -> Checkpoint {
        self.skip_trivia();
        self.builder.checkpoint()
    }

    /// A place to begin a statement at: at the doc comments before the next significant token.
    fn statement_checkpoint(&mut self) -> Checkpoint {
        // A doc comment behind something else on its line does not belong to what follows.
        let mut own_line = self.next == 0 || self.token == 0;
        while let Some(token) = self.tokens.get(self.token).copied() {
            match token.kind {
                SyntaxKind::DocComment if own_line => break,
                SyntaxKind::Newline => own_line = true,
                kind if !kind.is_trivia() => break,
                _ => {}
            }
            self.put(token.kind, token);
        }
        self.documents = true;
        self.builder.checkpoint()
    }

    /// Where something is missing: behind the last token if the next one is on another line, else
    /// the next one.
    fn here(&self) -> Range<usize> {
        let last = self.next.checked_sub(1).and_then(|last| self.significant.get(last));
        match last.and_then(|last| self.tokens.get(last.index as usize)) {
            Some(last) if self.first_on_line(0) => {
                let end = (last.start + last.len) as usize;
                end..end
            }
            _ => self.nth_range(0),
        }
    }

    fn error(&mut self, code: Code, range: Range<usize>, message: impl Into<String>) -> Added<'_> {
        self.problems.error(code, range, message)
    }

    /// Something else was expected here; `expected` is a clause that begins so.
    fn unexpected(&mut self, expected: &str) -> Added<'_> {
        let found = match self.nth(0) {
            SyntaxKind::EndOfFile => "the file ends".to_owned(),
            _ if self.first_on_line(0) && self.next > 0 => "the line ends".to_owned(),
            SyntaxKind::Unknown => "this means nothing".to_owned(),
            _ => format!("this is `{}`", quoted(self.nth_text(0))),
        };
        let range = self.here();
        self.error(codes::UNEXPECTED, range, expected).label(found)
    }

    fn expect(&mut self, kind: SyntaxKind, expected: &str) -> bool {
        let there = self.eat(kind);
        if !there {
            self.unexpected(expected);
        }
        there
    }

    fn expect_word(&mut self, word: &str, expected: &str) -> bool {
        let there = self.eat_word(word);
        if !there {
            self.unexpected(expected);
        }
        there
    }

    /// A name as a node of `kind`: one that is given, or one that refers.
    fn name(&mut self, kind: SyntaxKind, expected: &str) -> bool {
        if self.at(SyntaxKind::Identifier) && !self.first_on_line(0) {
            if RESERVED.contains(&self.nth_text(0)) {
                let message = format!("`{}` is a word of the language", self.nth_text(0));
                let range = self.nth_range(0);
                self.error(codes::RESERVED, range, message).help("choose another name");
            }
            self.start(kind);
            self.bump();
            self.finish();
            return true;
        }
        if self.at(SyntaxKind::Text) && !self.first_on_line(0) {
            let range = self.nth_range(0);
            let error = self.error(codes::UNEXPECTED, range, expected);
            error.label("names stand without quotes");
            self.start(SyntaxKind::Error);
            self.bump();
            self.finish();
            return false;
        }
        self.unexpected(expected);
        false
    }

    /// Parses something that stands deeper by one, unless that is too deep: then it is left
    /// unread.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            let range = self.nth_range(0);
            let message = format!("nested too deeply: more than {MAX_DEPTH} levels");
            self.error(codes::TOO_DEEP, range, message);
            self.skip_nested();
            return None;
        }
        self.depth += 1;
        let out = parse(self);
        self.depth -= 1;
        Some(out)
    }
}
