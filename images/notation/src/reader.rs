//! From text to tree. The reader goes on after an error, so that one run shows all of them: what it
//! cannot read becomes [`Value::Unreadable`], and it takes up again behind the next comma.

use super::diagnostic::{Diagnostic, Problems, quoted};
use super::lexer::{LONG_TEXT, Lexer, Token};
use super::tree::{Body, Field, Node, Span, Value, Word};

/// How deep brackets may nest.
pub const MAX_DEPTH: usize = 64;
/// How many values a file may hold: bounds the memory that a file of 1 MiB can take, about 20 MiB.
pub const MAX_VALUES: usize = 200_000;

/// Reads one document.
pub fn read(text: &str, problems: &mut Problems) -> Node {
    let mut reader = Reader::new(text, problems);
    let node = reader.value(0);
    if reader.usable() && reader.token != Token::End {
        let span = reader.span.clone();
        reader.problems.push(Diagnostic::new(
            span,
            "the file goes on behind its end",
            "expected nothing more here: the first bracket was closed above",
        ));
    }
    node
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    problems: &'a mut Problems,
    token: Token,
    span: Span,
    /// End of the token before.
    end: usize,
    values: usize,
    stopped: bool,
    /// Where the last error was reported: one is enough for a place.
    reported: Option<usize>,
    /// Brackets that are open, innermost last.
    open: Vec<(char, Span)>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, problems: &'a mut Problems) -> Self {
        let mut lexer = Lexer::new(text);
        let (token, span) = lexer.next(problems);
        Self {
            lexer,
            problems,
            token,
            span,
            end: 0,
            values: 0,
            stopped: false,
            reported: None,
            open: Vec::new(),
        }
    }

    fn usable(&self) -> bool {
        !self.stopped && self.token != Token::Bad
    }

    fn advance(&mut self) -> (Token, Span) {
        let (token, span) = if self.stopped {
            (Token::End, self.span.clone())
        } else {
            self.lexer.next(self.problems)
        };
        self.end = self.span.end;
        // Behind a text or comment that does not end there is nothing, and that was reported.
        self.stopped |= self.token == Token::Bad && token == Token::End;
        let last = (std::mem::replace(&mut self.token, token), self.span.clone());
        self.span = span;
        last
    }

    /// Reports that something else was expected here.
    fn unexpected(&mut self, expected: &str) {
        if !self.usable() || self.reported == Some(self.span.start) {
            return;
        }
        self.reported = Some(self.span.start);
        let found = match &self.token {
            Token::Name(name) => format!("`{}`", quoted(name)),
            Token::Text(text) => format!("the text \"{}\"", quoted(text)),
            Token::Integer(number) => format!("the number {number}"),
            Token::Open(char) | Token::Close(char) => format!("`{char}`"),
            Token::Colon => "`:`".to_owned(),
            Token::Comma => "`,`".to_owned(),
            Token::Bad => return,
            Token::End => "the end of the file".to_owned(),
        };
        let message = format!("expected {expected}, found {found}");
        let mut error = Diagnostic::new(self.span.clone(), message, format!("expected {expected}"));
        if let Some(span) = self.lexer.take_long_text() {
            error = error.related(span, LONG_TEXT);
        }
        if self.token == Token::End {
            for (char, span) in self.open.iter().rev().take(1) {
                error = error.related(span.clone(), format!("this `{char}` was never closed"));
            }
            self.stopped = true;
        }
        self.problems.push(error);
    }

    /// Ends the reading: what follows an excess is not looked at.
    fn stop(&mut self, message: String, label: &str) {
        if !self.stopped {
            self.problems.push(Diagnostic::new(self.span.clone(), message, label));
        }
        self.stopped = true;
        self.token = Token::End;
    }

    fn value(&mut self, depth: usize) -> Node {
        self.values += 1;
        if self.values > MAX_VALUES {
            self.stop(format!("more than {MAX_VALUES} values"), "not read from here on");
        }
        if depth > MAX_DEPTH {
            self.stop(
                format!("brackets nest deeper than {MAX_DEPTH} levels"),
                "not read from here on",
            );
        }
        let start = self.span.start;
        let value = match &self.token {
            Token::Text(_) | Token::Integer(_) => match self.advance().0 {
                Token::Text(text) => Value::Text(text),
                Token::Integer(number) => Value::Integer(number),
                _ => Value::Unreadable,
            },
            Token::Name(_) => self.term(depth),
            Token::Open('(') => Value::Term { name: None, body: self.parentheses(depth) },
            Token::Open('[') => Value::List(self.list(depth)),
            Token::Open(_) => Value::Map(self.map(depth)),
            Token::Bad => {
                self.advance();
                Value::Unreadable
            }
            Token::Close(_) | Token::Colon | Token::Comma | Token::End => {
                self.unexpected("a value");
                Value::Unreadable
            }
        };
        Node { span: start..self.end.max(start), value }
    }

    fn term(&mut self, depth: usize) -> Value {
        let (Token::Name(text), span) = self.advance() else { return Value::Unreadable };
        let body = match text.as_str() {
            // RON's own words, which take nothing.
            "true" | "false" => return Value::Bool(text == "true"),
            "None" => Body::None,
            _ if self.token == Token::Open('(') => self.parentheses(depth),
            _ => Body::None,
        };
        if text == "Some" && !matches!(&body, Body::Tuple(elements) if elements.len() == 1) {
            let message = "`Some` takes one value in parentheses";
            self.problems.push(Diagnostic::new(span, message, "expected `Some(value)`"));
            return Value::Unreadable;
        }
        Value::Term { name: Some(Word { span, text }), body }
    }

    fn parentheses(&mut self, depth: usize) -> Body {
        self.opened();
        let mut fields = Vec::new();
        let mut elements = Vec::new();
        while self.more(')') {
            if let Token::Name(_) = self.token {
                let node = self.value(depth + 1);
                match node.value {
                    Value::Term { name: Some(name), body: Body::None } => {
                        if self.token == Token::Colon {
                            self.field(name, &mut fields, depth);
                        } else {
                            let value = Value::Term { name: Some(name), body: Body::None };
                            elements.push(Node { span: node.span, value });
                        }
                    }
                    value => elements.push(Node { span: node.span, value }),
                }
            } else if let Token::Text(_) = self.token {
                let node = self.value(depth + 1);
                if self.token == Token::Colon
                    && let Value::Text(text) = node.value
                {
                    self.problems.push(Diagnostic::new(
                        node.span.clone(),
                        "the name of a field stands in quotes",
                        "expected a name without quotes",
                    ));
                    self.field(Word { span: node.span, text }, &mut fields, depth);
                } else {
                    elements.push(node);
                }
            } else {
                elements.push(self.value(depth + 1));
            }
            self.separator(')');
        }
        self.close(')');
        if let (Some(field), Some(element)) = (fields.first(), elements.first())
            && element.value != Value::Unreadable
        {
            let field: &Field = field;
            self.problems.push(
                Diagnostic::new(
                    element.span.clone(),
                    "a value without a name among named fields",
                    "expected `name: value`",
                )
                .related(field.name.span.clone(), "this one has a name"),
            );
        }
        if fields.is_empty() { Body::Tuple(elements) } else { Body::Fields(fields) }
    }

    fn list(&mut self, depth: usize) -> Vec<Node> {
        self.opened();
        let mut elements = Vec::new();
        while self.more(']') {
            elements.push(self.value(depth + 1));
            self.separator(']');
        }
        self.close(']');
        elements
    }

    fn map(&mut self, depth: usize) -> Vec<Field> {
        self.opened();
        let mut entries = Vec::new();
        while self.more('}') {
            let key = self.value(depth + 1);
            let name = match key.value {
                Value::Text(text) => Some(text),
                Value::Unreadable => None,
                Value::Term { name: Some(name), body: Body::None } => {
                    let label = format!("expected the name in quotes: \"{}\"", quoted(&name.text));
                    let message = "a name in a map stands in quotes";
                    self.problems.push(Diagnostic::new(key.span.clone(), message, label));
                    Some(name.text)
                }
                other => {
                    let message = format!("expected a name in quotes, found {}", other.describe());
                    let label = "expected `\"name\": value`";
                    self.problems.push(Diagnostic::new(key.span.clone(), message, label));
                    None
                }
            };
            match (name, self.token == Token::Colon) {
                (Some(text), true) => {
                    self.field(Word { span: key.span, text }, &mut entries, depth);
                }
                (Some(_), false) => self.unexpected("`:` and a value"),
                (None, true) => {
                    self.advance();
                    self.value(depth + 1);
                }
                (None, false) => {}
            }
            self.separator('}');
        }
        self.close('}');
        entries
    }

    /// Reads `: value` behind a name.
    fn field(&mut self, name: Word, fields: &mut Vec<Field>, depth: usize) {
        self.advance();
        let value = self.value(depth + 1);
        fields.push(Field { name, value });
    }

    fn opened(&mut self) {
        if let (Token::Open(char), span) = self.advance() {
            self.open.push((char, span));
        }
    }

    /// Whether there is another element before `close`.
    fn more(&self, close: char) -> bool {
        match self.token {
            Token::Close(found) => found != close && !self.closes_outer(found),
            Token::End => false,
            _ => !self.stopped,
        }
    }

    /// Whether a bracket further out waits for `close`.
    fn closes_outer(&self, close: char) -> bool {
        self.open.iter().rev().skip(1).any(|(open, _)| closing(*open) == close)
    }

    /// Reads the comma behind an element; after an error, skips to the next one.
    fn separator(&mut self, close: char) {
        match &self.token {
            Token::Comma => {
                self.advance();
                return;
            }
            Token::Close(found) if *found == close || self.closes_outer(*found) => return,
            Token::End => return,
            // The start of another element: the comma alone is missing.
            Token::Name(_) | Token::Text(_) => {
                let mut error =
                    Diagnostic::new(self.end..self.end, "a `,` is missing", "expected `,` here");
                if let Some(span) = self.lexer.take_long_text() {
                    error = error.related(span, LONG_TEXT);
                }
                self.problems.push(error);
                return;
            }
            Token::Bad => {}
            _ => self.unexpected(&format!("`,` or `{close}`")),
        }
        self.skip_to_separator(close);
    }

    /// Skips to behind the next comma, or to the closing bracket, of this level.
    fn skip_to_separator(&mut self, close: char) {
        let mut depth = 0_usize;
        loop {
            match self.token {
                Token::End => return,
                Token::Comma if depth == 0 => {
                    self.advance();
                    return;
                }
                Token::Close(found)
                    if depth == 0 && (found == close || self.closes_outer(found)) =>
                {
                    return;
                }
                Token::Open(_) => depth += 1,
                Token::Close(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    fn close(&mut self, close: char) {
        let opening = self.open.last().cloned();
        if self.token == Token::Close(close) {
            self.advance();
        } else if let (Token::Close(found), Some((open, span))) = (&self.token, opening) {
            let message = format!("expected `{close}`, found `{found}`");
            self.problems.push(
                Diagnostic::new(self.span.clone(), message, format!("expected `{close}`"))
                    .related(span, format!("to close this `{open}`")),
            );
        } else {
            self.unexpected(&format!("`{close}`"));
        }
        self.open.pop();
    }
}

fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

/// Reports names that stand twice in one struct or map.
pub fn check_duplicates(node: &Node, problems: &mut Problems) {
    let (fields, elements): (&[Field], &[Node]) = match &node.value {
        Value::Map(fields) | Value::Term { body: Body::Fields(fields), .. } => (fields, &[]),
        Value::List(elements) | Value::Term { body: Body::Tuple(elements), .. } => (&[], elements),
        _ => return,
    };
    let mut seen = std::collections::HashMap::new();
    for field in fields {
        if let Some(first) = seen.insert(field.name.text.as_str(), &field.name.span) {
            problems.push_with(|| {
                let message = format!("`{}` stands here twice", quoted(&field.name.text));
                Diagnostic::new(field.name.span.clone(), message, "second time")
                    .related(first.clone(), "first time")
            });
        }
        check_duplicates(&field.value, problems);
    }
    for element in elements {
        check_duplicates(element, problems);
    }
}
