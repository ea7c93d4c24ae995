//! Tests of the syntax as a whole.

mod diagnostics;
mod generated;
mod hostile;
mod lossless;
mod trees;

pub(super) use generated::script;

use super::{Parse, parse};
use crate::diagnostic::{FileId, Source, Sources, render};

/// Every construct of the language once.
pub(super) const TOUR: &str = include_str!("tests/tour.ks");

fn parsed(text: &str) -> Parse {
    parse(FileId::default(), text)
}

/// What an operator reads about a script.
fn told(text: &str) -> String {
    let mut sources = Sources::new();
    let file = sources.add(Source::new("test.ks", text));
    let parse = parse(file, text);
    assert_eq!(parse.syntax().text().to_string(), text, "the tree is not the text");
    render::render(parse.diagnostics(), &sources, false)
}

/// The tree without spaces, one node or token a line.
fn tree(text: &str) -> String {
    let mut out = String::new();
    let root = parsed(text).syntax();
    for event in root.preorder_with_tokens() {
        let rowan::WalkEvent::Enter(element) = event else { continue };
        let ancestors = match &element {
            rowan::NodeOrToken::Node(node) => node.ancestors().count() - 1,
            rowan::NodeOrToken::Token(token) => token.parent_ancestors().count(),
        };
        let token = match &element {
            rowan::NodeOrToken::Token(token) if token.text().trim().is_empty() => continue,
            rowan::NodeOrToken::Token(token) => format!(" {:?}", token.text()),
            rowan::NodeOrToken::Node(_) => String::new(),
        };
        out += &format!("{}{:?}{token}\n", "  ".repeat(ancestors), element.kind());
    }
    out
}
