//! Text to tokens: every byte belongs to exactly one.

use logos::{Lexer, Logos};

use super::kind::SyntaxKind;
use super::problems::Problems;
use crate::diagnostic::{codes, quoted};

/// A token of a text; it ends where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its kind; never [`SyntaxKind::Keyword`], which only the parser can tell from a name.
    pub kind: SyntaxKind,
    /// Its first byte.
    pub start: u32,
    /// Its bytes.
    pub len: u32,
}

/// The patterns. A number with letters behind it is one token whether or not there is such a unit.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
enum Lexeme {
    #[regex(r"[ \t]+")]
    Whitespace,
    #[regex(r"\r?\n")]
    Newline,
    #[regex(r"//[^\r\n]*", allow_greedy = true)]
    Comment,
    #[regex(r"#[^\r\n]*", allow_greedy = true)]
    HashComment,
    #[token("/*", block_comment)]
    BlockComment,
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z0-9_]+)*")]
    Identifier,
    #[regex(r"[0-9][0-9_]*")]
    #[regex(r"0[xX][0-9A-Za-z_]*", priority = 20)]
    Integer,
    #[regex(r"[0-9][0-9_]*\.[0-9][0-9_]*")]
    Decimal,
    #[regex(r"[0-9]+\.[0-9]+\.[0-9]+")]
    Version,
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?[A-Za-zµμ][A-Za-z0-9_]*", per_second)]
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?%")]
    Quantity,
    #[regex(r"[0-9]+-[0-9]+")]
    CpuRange,
    #[regex(r"[0-9]{1,2}:[0-9]{2}")]
    TimeOfDay,
    #[regex(r#""([^"\\\r\n]|\\[^\r\n])*""#)]
    Text,
    #[regex(r#""([^"\\\r\n]|\\[^\r\n])*\\?"#)]
    OpenText,
    #[token("{")]
    OpenBrace,
    #[token("}")]
    CloseBrace,
    #[token("(")]
    OpenParen,
    #[token(")")]
    CloseParen,
    #[token("[")]
    OpenBracket,
    #[token("]")]
    CloseBracket,
    #[token(",")]
    Comma,
    #[token(";")]
    Semicolon,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("=")]
    Equals,
    #[token("+=")]
    PlusEquals,
    #[token("-=")]
    MinusEquals,
    #[token("==")]
    EqualsEquals,
    #[token("!=")]
    NotEquals,
    #[token("<")]
    Less,
    #[token("<=")]
    LessEquals,
    #[token(">")]
    Greater,
    #[token(">=")]
    GreaterEquals,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("&")]
    Ampersand,
    #[token("->")]
    Arrow,
    #[token("&&")]
    ForeignAnd,
    #[token("||")]
    ForeignOr,
    #[token("!")]
    ForeignNot,
}

/// Takes the rest of a comment in the manner of C.
fn block_comment(lexer: &mut Lexer<Lexeme>) {
    let rest = lexer.remainder();
    lexer.bump(rest.find("*/").map_or(rest.len(), |at| at + 2));
}

/// Takes the `/s` of `1Gbit/s`, but not of `4GiB/swap`.
fn per_second(lexer: &mut Lexer<Lexeme>) {
    let rest = lexer.remainder().as_bytes();
    let goes_on = rest.get(2).is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_');
    if rest.starts_with(b"/s") && !goes_on {
        lexer.bump(2);
    }
}

impl Lexeme {
    fn kind(self, text: &str) -> SyntaxKind {
        match self {
            Self::Whitespace => SyntaxKind::Whitespace,
            Self::Newline => SyntaxKind::Newline,
            Self::Comment if text.starts_with("///") && !text.starts_with("////") => {
                SyntaxKind::DocComment
            }
            Self::Comment => SyntaxKind::Comment,
            Self::HashComment | Self::BlockComment => SyntaxKind::ForeignComment,
            Self::Identifier => SyntaxKind::Identifier,
            Self::Integer => SyntaxKind::Integer,
            Self::Decimal => SyntaxKind::Decimal,
            Self::Version => SyntaxKind::Version,
            Self::Quantity => SyntaxKind::Quantity,
            Self::CpuRange => SyntaxKind::CpuRange,
            Self::TimeOfDay => SyntaxKind::TimeOfDay,
            Self::Text | Self::OpenText => SyntaxKind::Text,
            Self::OpenBrace => SyntaxKind::OpenBrace,
            Self::CloseBrace => SyntaxKind::CloseBrace,
            Self::OpenParen => SyntaxKind::OpenParen,
            Self::CloseParen => SyntaxKind::CloseParen,
            Self::OpenBracket => SyntaxKind::OpenBracket,
            Self::CloseBracket => SyntaxKind::CloseBracket,
            Self::Comma => SyntaxKind::Comma,
            Self::Semicolon => SyntaxKind::Semicolon,
            Self::Colon => SyntaxKind::Colon,
            Self::Dot => SyntaxKind::Dot,
            Self::DotDot => SyntaxKind::DotDot,
            Self::Equals => SyntaxKind::Equals,
            Self::PlusEquals => SyntaxKind::PlusEquals,
            Self::MinusEquals => SyntaxKind::MinusEquals,
            Self::EqualsEquals => SyntaxKind::EqualsEquals,
            Self::NotEquals => SyntaxKind::NotEquals,
            Self::Less => SyntaxKind::Less,
            Self::LessEquals => SyntaxKind::LessEquals,
            Self::Greater => SyntaxKind::Greater,
            Self::GreaterEquals => SyntaxKind::GreaterEquals,
            Self::Plus => SyntaxKind::Plus,
            Self::Minus => SyntaxKind::Minus,
            Self::Star => SyntaxKind::Star,
            Self::Slash => SyntaxKind::Slash,
            Self::Ampersand => SyntaxKind::Ampersand,
            Self::Arrow => SyntaxKind::Arrow,
            Self::ForeignAnd => SyntaxKind::ForeignAnd,
            Self::ForeignOr => SyntaxKind::ForeignOr,
            Self::ForeignNot => SyntaxKind::ForeignNot,
        }
    }
}

/// Splits a text into tokens; what is wrong with single ones goes to `problems`.
///
/// The text must be shorter than 4 GiB.
pub fn tokens(text: &str, problems: &mut Problems) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(text.len() / 4 + 1);
    let mut push = |kind, start: usize, end: usize| {
        let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(end - start)) else {
            return;
        };
        match out.last_mut() {
            // One mess is one token and one message.
            Some(last) if kind == SyntaxKind::Unknown && last.kind == kind => last.len += len,
            _ => out.push(Token { kind, start, len }),
        }
    };
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let offset = text.len() - body.len();
    if offset > 0 {
        push(SyntaxKind::ByteOrderMark, 0, offset);
    }
    let mut lexer = Lexeme::lexer(body);
    while let Some(lexeme) = lexer.next() {
        let (start, end) = (lexer.span().start + offset, lexer.span().end + offset);
        let token = lexer.slice();
        let Ok(lexeme) = lexeme else {
            push(SyntaxKind::Unknown, start, end);
            continue;
        };
        push(lexeme.kind(token), start, end);
        match lexeme {
            Lexeme::OpenText => {
                let message = "this text does not end";
                let error = problems.error(codes::UNTERMINATED_STRING, start..end, message);
                error.label("a `\"` is missing before the line ends");
            }
            Lexeme::HashComment | Lexeme::BlockComment => foreign_comment(token, start, problems),
            _ => {}
        }
        if matches!(lexeme, Lexeme::Comment | Lexeme::Text | Lexeme::OpenText) {
            invisible(token, start, problems);
        }
    }
    for token in out.iter().filter(|token| token.kind == SyntaxKind::Unknown) {
        let range = token.start as usize..(token.start + token.len) as usize;
        let unknown = quoted(text.get(range.clone()).unwrap_or_default());
        let error = problems.error(
            codes::UNEXPECTED_CHARACTER,
            range,
            format!("`{unknown}` means nothing here"),
        );
        error.help(
            "names are of ASCII letters, digits, `_` and `-`; put other characters between quotes",
        );
    }
    out
}

fn foreign_comment(token: &str, start: usize, problems: &mut Problems) {
    let end = start + token.len();
    let message = "comments begin with `//`";
    let error = problems.error(codes::FOREIGN_COMMENT, start..end, message);
    let edit = match token.strip_prefix("/*") {
        None => Some((start..start + 1, "//")),
        Some(rest) if !rest.contains('\n') => Some((start..start + 2, "//")),
        Some(_) => None,
    };
    match edit {
        Some((range, text)) => error.fix("write `//`", range, text),
        None => error.help("begin each line of it with `//`"),
    };
}

/// Finds characters that are not what they seem in a comment or a text: control characters, and
/// those that turn text around or take no room.
fn invisible(token: &str, start: usize, problems: &mut Problems) {
    // Nearly every token is plain.
    if token.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return;
    }
    let is_text = token.starts_with('"');
    for (at, char) in token.char_indices() {
        let hidden = match char {
            '\t' => is_text,
            '\u{ad}' | '\u{61c}' | '\u{feff}' => true,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => true,
            char => char.is_control(),
        };
        if hidden {
            let range = start + at..start + at + char.len_utf8();
            let name = match char {
                '\0' => "NUL".to_owned(),
                '\t' => "a tab".to_owned(),
                char => format!("U+{:04X}", u32::from(char)),
            };
            let place = if is_text { "text" } else { "comment" };
            let message = format!("{name} in a {place}: it cannot be seen, and is not allowed");
            let error = problems.error(codes::INVISIBLE_CHARACTER, range.clone(), message);
            error.fix("take it out", range, "");
            return;
        }
    }
}
