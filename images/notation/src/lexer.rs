//! The words of RON: names, texts, numbers and punctuation, each with its place.

use super::diagnostic::{Diagnostic, Problems, quoted};
use super::tree::Span;

/// A word of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// a name without quotes
    Name(String),
    /// a text in quotes
    Text(String),
    /// a whole number
    Integer(i128),
    /// one of `( [ {`
    Open(char),
    /// one of `) ] }`
    Close(char),
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// something that was reported as an error
    Bad,
    /// the end of the file
    End,
}

/// What is said about a text that runs over several lines when something behind it is wrong.
pub const LONG_TEXT: &str = "this text runs over several lines: is a `\"` missing?";

/// Cuts a text into tokens.
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// The last text that ran over several lines: a likely forgotten quote.
    long_text: Option<Span>,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, long_text: None }
    }

    /// The last text that ran over several lines, once.
    pub fn take_long_text(&mut self) -> Option<Span> {
        self.long_text.take()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += char.len_utf8();
        Some(char)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|char| !wanted(char)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or("")
    }

    /// Goes to the end: nothing behind an open comment or text can be told apart from its contents.
    fn give_up(&mut self) {
        self.at = self.text.len();
    }

    /// The next token. Errors go to `problems`, each with a [`Token::Bad`] in its place.
    pub fn next(&mut self, problems: &mut Problems) -> (Token, Span) {
        if let Err(diagnostic) = self.skip_blanks(problems) {
            let span = diagnostic.span.clone();
            problems.push(*diagnostic);
            return (Token::Bad, span);
        }
        let start = self.at;
        let token = match self.word() {
            Ok(token) => token,
            Err(diagnostic) => {
                problems.push(*diagnostic);
                Token::Bad
            }
        };
        (token, start..self.at)
    }

    fn skip_blanks(&mut self, problems: &mut Problems) -> Result<(), Box<Diagnostic>> {
        loop {
            self.take_while(is_blank);
            let start = self.at;
            if self.rest().starts_with("//") {
                self.take_while(|char| char != '\n');
            } else if self.rest().starts_with("/*") {
                self.skip_block_comment(start)?;
            } else if self.rest().starts_with("#!") {
                self.take_while(|char| char != '\n' && char != ']');
                self.take();
                let label = "remove this: what it enables is not needed";
                problems.push(*self.error(start, "RON extensions are not used here", label));
            } else if self.rest().starts_with('#') {
                self.take_while(|char| char != '\n');
                let label = "write `//` instead of `#`";
                problems.push(*self.error(start, "a comment begins with `//`", label));
            } else {
                return Ok(());
            }
        }
    }

    /// Block comments nest in RON.
    fn skip_block_comment(&mut self, start: usize) -> Result<(), Box<Diagnostic>> {
        self.at += 2;
        let mut depth = 1_usize;
        while depth > 0 {
            self.take_while(|char| char != '*' && char != '/');
            if self.rest().starts_with("*/") {
                self.at += 2;
                depth -= 1;
            } else if self.rest().starts_with("/*") {
                self.at += 2;
                depth += 1;
            } else if self.take().is_none() {
                return Err(Box::new(Diagnostic::new(
                    start..start + 2,
                    "this comment does not end",
                    "expected `*/` somewhere behind this",
                )));
            }
        }
        Ok(())
    }

    fn word(&mut self) -> Result<Token, Box<Diagnostic>> {
        let start = self.at;
        let Some(first) = self.peek() else { return Ok(Token::End) };
        match first {
            '(' | '[' | '{' => {
                self.take();
                Ok(Token::Open(first))
            }
            ')' | ']' | '}' => {
                self.take();
                Ok(Token::Close(first))
            }
            ':' => {
                self.take();
                Ok(Token::Colon)
            }
            ',' => {
                self.take();
                Ok(Token::Comma)
            }
            '"' => self.quoted_text(),
            'r' if self.rest().starts_with("r\"") || self.rest().starts_with("r#") => {
                self.raw_text()
            }
            'b' if self.rest().starts_with("b\"") || self.rest().starts_with("b'") => {
                self.take();
                Err(self.error(start, "bytes are not used here", "write a text without the `b`"))
            }
            '0'..='9' | '+' | '-' => self.number(),
            '_' | 'a'..='z' | 'A'..='Z' => {
                let name = self.take_while(|char| char == '_' || char.is_ascii_alphanumeric());
                // RON reads these as floats.
                if matches!(name, "inf" | "NaN" | "inff32" | "inff64" | "NaNf32" | "NaNf64") {
                    return Err(self.error(start, "not a whole number", "expected a whole number"));
                }
                Ok(Token::Name(name.to_owned()))
            }
            _ => {
                self.take();
                let message = format!("unexpected character `{}`", quoted(&first.to_string()));
                let help = match first {
                    '\'' | '“' | '”' | '„' | '‘' | '’' => {
                        Some("texts stand in \"double quotes\"")
                    }
                    ';' => Some("fields are separated by `,`"),
                    '=' => Some("a field is written `name: value`"),
                    _ => None,
                };
                let mut error = Diagnostic::new(start..self.at, message, "not expected here");
                error.help = help.map(str::to_owned);
                if first == '\'' {
                    // What follows is meant as text: one error is enough.
                    self.take_while(|char| char != '\'' && char != '\n');
                    self.take();
                    error.span.end = self.at;
                }
                Err(Box::new(error))
            }
        }
    }

    fn error(&self, start: usize, message: &str, label: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic::new(start..self.at, message, label))
    }

    fn number(&mut self) -> Result<Token, Box<Diagnostic>> {
        let start = self.at;
        let negative = self.peek() == Some('-');
        if matches!(self.peek(), Some('+' | '-')) {
            self.take();
        }
        let word =
            self.take_while(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.'));
        let (digits, radix) = match word.get(..2) {
            Some("0x") => (word.get(2..).unwrap_or(""), 16),
            Some("0o") => (word.get(2..).unwrap_or(""), 8),
            Some("0b") => (word.get(2..).unwrap_or(""), 2),
            _ => (word, 10),
        };
        if digits.starts_with('_')
            || !digits.chars().all(|char| char == '_' || char.is_digit(radix))
        {
            let mut error =
                Diagnostic::new(start..self.at, "not a whole number", "expected digits only");
            if word.starts_with(|char: char| char.is_ascii_digit()) {
                error = error.help(format!(
                    "sizes, times and sets of CPUs stand in quotes: \"{}\"",
                    quoted(word)
                ));
            }
            return Err(Box::new(error));
        }
        let digits: String = digits.chars().filter(|char| *char != '_').collect();
        let number = i128::from_str_radix(&digits, radix).ok();
        let number = number.map(|number| if negative { -number } else { number });
        match number {
            Some(number) if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number) => {
                Ok(Token::Integer(number))
            }
            _ if digits.is_empty() => Err(self.error(start, "not a number", "expected digits")),
            _ => Err(self.error(start, "this number is too large", "at most 64 bits")),
        }
    }

    fn unclosed(&mut self, start: usize, opening: usize, closing: &str) -> Box<Diagnostic> {
        self.give_up();
        let mut error = Diagnostic::new(
            start..start + opening,
            "this text does not end",
            format!("expected `{closing}` somewhere behind this"),
        );
        if let Some(span) = self.long_text.take() {
            error = error.related(span, LONG_TEXT);
        }
        Box::new(error)
    }

    fn raw_text(&mut self) -> Result<Token, Box<Diagnostic>> {
        let start = self.at;
        self.take();
        let hashes = self.take_while(|char| char == '#');
        if self.peek() != Some('"') {
            let label = "expected `r#\"` and a text; names need no `r#`";
            return Err(self.error(start, "not a text", label));
        }
        self.take();
        let closing = format!("\"{hashes}");
        match self.rest().find(&closing) {
            Some(length) => {
                let text = self.rest().get(..length).unwrap_or("").to_owned();
                self.at += length + closing.len();
                Ok(Token::Text(text))
            }
            None => {
                let opening = self.at - start;
                Err(self.unclosed(start, opening, &closing))
            }
        }
    }

    fn quoted_text(&mut self) -> Result<Token, Box<Diagnostic>> {
        let start = self.at;
        self.take();
        let mut text = String::new();
        let mut bad = None;
        loop {
            text += self.take_while(|char| char != '"' && char != '\\');
            let escape = self.at;
            match self.take() {
                None => return Err(self.unclosed(start, 1, "\"")),
                Some('"') => break,
                Some(_) => match self.escape() {
                    Some(Some(char)) => text.push(char),
                    Some(None) => {}
                    None => bad = bad.or(Some(escape..self.at)),
                },
            }
        }
        if text.contains('\n') {
            self.long_text = Some(start..self.at);
        }
        match bad {
            None => Ok(Token::Text(text)),
            Some(span) => Err(Box::new(
                Diagnostic::new(
                    span,
                    "unknown escape in a text",
                    "not one of \\\" \\\\ \\n \\r \\t \\u{…}",
                )
                .help("write a backslash itself as `\\\\`"),
            )),
        }
    }

    /// What stands behind a backslash: a character, or nothing for a line that is continued. `None`
    /// where it is no escape.
    fn escape(&mut self) -> Option<Option<char>> {
        let char = match self.take()? {
            '"' => '"',
            '\'' => '\'',
            '\\' => '\\',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            'x' => {
                let digits = self.rest().get(..2)?;
                let code = u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?;
                if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                self.at += 2;
                char::from(code)
            }
            'u' => {
                if self.take()? != '{' {
                    return None;
                }
                let digits = self.take_while(|char| char.is_ascii_hexdigit());
                if !(1..=6).contains(&digits.len()) || self.peek() != Some('}') {
                    return None;
                }
                self.take();
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            '\n' => {
                self.take_while(|char| matches!(char, ' ' | '\t' | '\n' | '\r'));
                return Some(None);
            }
            '\r' if self.peek() == Some('\n') => {
                self.take_while(|char| matches!(char, ' ' | '\t' | '\n' | '\r'));
                return Some(None);
            }
            _ => return None,
        };
        Some(Some(char))
    }
}

/// RON's white space (`docs/grammar.md` of the `ron` crate, `ws_single`).
fn is_blank(char: char) -> bool {
    matches!(
        char,
        ' ' | '\t'
            | '\n'
            | '\r'
            | '\x0b'
            | '\x0c'
            | '\u{85}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'
            | '\u{2029}'
    )
}
