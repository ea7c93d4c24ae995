//! Whether a space stands between two tokens on one line.

use super::pieces::Piece;
use crate::syntax::kind::SyntaxKind;

pub(super) fn space_between(left: &Piece, right: &Piece) -> bool {
    use SyntaxKind::{
        CloseBrace, CloseBracket, CloseParen, Colon, Comma, Dot, DotDot, Minus, OpenBrace,
        OpenBracket, OpenParen,
    };
    match (left.kind, right.kind) {
        (OpenBrace, CloseBrace) => false,
        (OpenParen | OpenBracket, _) | (_, CloseParen | CloseBracket) => false,
        (_, Comma | Colon) => false,
        (Comma, _) => left.parent != SyntaxKind::CpuList,
        (Dot, _) | (_, Dot) => false,
        // An open range has its space on the open side.
        (_, DotDot) => right.first,
        (DotDot, _) => left.last,
        (Minus, _) => left.parent != SyntaxKind::Unary,
        (_, OpenParen) => right.parent != SyntaxKind::Arguments,
        _ => true,
    }
}
