//! A tree as a row of tokens, each with what the layout has to know about its place.

use std::borrow::Cow;

use crate::syntax::kind::{SyntaxKind, SyntaxNode, SyntaxToken};
use crate::syntax::literal;

/// A comment.
pub(super) struct Note {
    pub text: String,
    /// Line breaks before it; none: it stands behind something on its line.
    pub lines: usize,
}

/// A token that means something; the last piece is the end of the file.
pub(super) struct Piece {
    pub kind: SyntaxKind,
    pub text: String,
    pub parent: SyntaxKind,
    /// Whether a statement begins with it.
    pub statement: bool,
    /// Whether its node begins with it.
    pub first: bool,
    /// Whether its node ends with it.
    pub last: bool,
    /// Line breaks before it, behind the last comment.
    pub lines: usize,
    /// Comments before it.
    pub notes: Vec<Note>,
    /// Of a bracket: the other one's index.
    pub partner: Option<usize>,
}

impl Piece {
    /// Whether it begins or ends statements between braces.
    pub fn of_body(&self) -> bool {
        self.parent == SyntaxKind::Body
    }

    /// Whether commas separate what stands in these brackets.
    pub fn of_list(&self) -> bool {
        matches!(self.parent, SyntaxKind::List | SyntaxKind::Record | SyntaxKind::Arguments)
    }

    pub fn is_opener(&self) -> bool {
        self.kind.closer().is_some()
    }

    /// Whether a line break stood anywhere between the piece before and this one.
    pub fn on_own_line(&self) -> bool {
        self.lines > 0 || !self.notes.is_empty()
    }
}

/// Flattens a tree without errors.
pub(super) fn pieces(root: &SyntaxNode) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let (mut lines, mut notes, mut statement) = (0, Vec::new(), false);
    for event in root.preorder_with_tokens() {
        let rowan::WalkEvent::Enter(element) = event else { continue };
        let token = match element {
            rowan::NodeOrToken::Token(token) => token,
            rowan::NodeOrToken::Node(node) => {
                let parent = node.parent().map(|parent| parent.kind());
                statement |= matches!(parent, Some(SyntaxKind::Body | SyntaxKind::SourceFile));
                continue;
            }
        };
        match token.kind() {
            SyntaxKind::Newline => lines += 1,
            SyntaxKind::ByteOrderMark | SyntaxKind::Whitespace => {}
            // These are put anew where they are needed.
            SyntaxKind::Semicolon => {}
            SyntaxKind::Comma if ends_list(&token) => {}
            kind if kind.is_trivia() => {
                let text = token.text().trim_end().to_owned();
                notes.push(Note { text, lines: std::mem::take(&mut lines) });
            }
            kind => {
                let mut piece = Piece {
                    kind,
                    text: canonical(&token).into_owned(),
                    parent: token.parent().map_or(SyntaxKind::Error, |parent| parent.kind()),
                    statement: std::mem::take(&mut statement),
                    first: is_last(&token, rowan::Direction::Prev),
                    last: is_last(&token, rowan::Direction::Next),
                    lines: std::mem::take(&mut lines),
                    notes: std::mem::take(&mut notes),
                    partner: None,
                };
                if piece.is_opener() {
                    open.push(out.len());
                } else if kind.is_closer() {
                    piece.partner = open.pop();
                    let here = out.len();
                    if let Some(opener) = piece.partner.and_then(|opener| out.get_mut(opener)) {
                        opener.partner = Some(here);
                    }
                }
                out.push(piece);
            }
        }
    }
    out.push(Piece {
        kind: SyntaxKind::EndOfFile,
        text: String::new(),
        parent: SyntaxKind::SourceFile,
        statement: false,
        first: false,
        last: true,
        lines,
        notes,
        partner: None,
    });
    out
}

/// Whether nothing but spaces and comments stands in its node on one side of a token.
fn is_last(token: &SyntaxToken, direction: rowan::Direction) -> bool {
    let mut others = token.siblings_with_tokens(direction).skip(1);
    others.all(|other| other.kind().is_trivia())
}

/// Whether a comma stands behind the last element of a list.
fn ends_list(comma: &SyntaxToken) -> bool {
    let next = comma.siblings_with_tokens(rowan::Direction::Next).skip(1);
    next.into_iter()
        .find(|next| !next.kind().is_trivia())
        .is_some_and(|next| next.kind().is_closer())
}

/// The one way to write a token.
fn canonical(token: &SyntaxToken) -> Cow<'static, str> {
    let text = token.text();
    if token.kind() == SyntaxKind::Quantity {
        let at = text.find(|char: char| !(char.is_ascii_digit() || "._".contains(char)));
        let (digits, unit) = text.split_at(at.unwrap_or(text.len()));
        return Cow::Owned(format!("{digits}{}", literal::canonical_unit(unit)));
    }
    Cow::Owned(text.to_owned())
}
