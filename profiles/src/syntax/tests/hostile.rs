//! Scripts that were made to hurt.

use super::{parsed, told};
use crate::syntax::{MAX_DEPTH, MAX_OPERATIONS};

const LEVELS: usize = 10_000;

/// The codes of all that is wrong.
fn codes(text: &str) -> Vec<String> {
    let parse = parsed(text);
    assert_eq!(parse.dropped(), 0);
    parse.diagnostics().iter().map(|diagnostic| diagnostic.code.to_string()).collect()
}

#[test]
fn ten_thousand_levels_are_one_error() {
    let nested = |open: &str, close: &str| {
        let text = format!("{}1{}", open.repeat(LEVELS), close.repeat(LEVELS));
        format!("profile a {{\n x = {text}\n}}\n")
    };
    for (open, close) in
        [("(", ")"), ("[", "]"), ("-", ""), ("not ", ""), ("{ a: ", "}"), ("f(", ")")]
    {
        let text = nested(open, close);
        assert_eq!(codes(&text).iter().filter(|code| *code == "KS0002").count(), 1, "{open}");
        assert!(codes(&text).len() <= 3, "{open}: {:?}", codes(&text));
    }
    let blocks = format!("profile a {{ {} x = 1 {} }}", "b {".repeat(LEVELS), "}".repeat(LEVELS));
    assert_eq!(codes(&blocks), ["KS0002"]);
    let conditions =
        format!("profile a {{ {} x = 1 {} }}", "if a {".repeat(LEVELS), "}".repeat(LEVELS));
    assert_eq!(codes(&conditions), ["KS0002"]);
}

#[test]
fn unclosed_levels_are_no_flood() {
    for open in ["(", "[", "{ a: ", "b {", "f("] {
        let text = format!("profile a {{ x = {}", open.repeat(LEVELS));
        assert!(codes(&text).len() <= 3, "{open}: {:?}", codes(&text));
    }
}

#[test]
fn long_chains_end() {
    for operator in ["+", "and", "==", "..", "*"] {
        let chain = vec!["a"; LEVELS].join(&format!(" {operator} "));
        let text = format!("profile a {{\n x = {chain}\n}}\n");
        assert!(codes(&text).contains(&"KS0002".to_owned()), "{operator}");
        let depth = parsed(&text).syntax().descendants().map(|node| node.ancestors().count()).max();
        let limit = (MAX_DEPTH * 4 + MAX_OPERATIONS) as usize + 8;
        assert!(depth.unwrap() < limit, "{operator}: {depth:?}");
    }
    let chain = vec!["a"; 200].join(" + ");
    assert!(parsed(&format!("profile a {{ x = {chain} }}")).is_ok());
}

#[test]
fn the_deepest_tree_is_bounded() {
    // Chains within brackets within chains: each alone is allowed.
    let mut text = "a".to_owned();
    for _ in 0..MAX_DEPTH * 2 {
        text = format!("({text}{})", " + a".repeat(20));
    }
    let parse = parsed(&format!("profile a {{ x = {text} }}"));
    let depth = parse.syntax().descendants().map(|node| node.ancestors().count()).max();
    assert!(depth.unwrap() < (MAX_DEPTH * 4 + MAX_OPERATIONS) as usize + 8, "{depth:?}");
}

#[test]
fn a_hundred_megabytes_are_refused() {
    let text = "x".repeat(100 << 20);
    let parse = parsed(&text);
    assert_eq!(parse.diagnostics().len(), 1);
    assert_eq!(
        parse.diagnostics()[0].message,
        "the script is too large: 102400 KiB, and at most 1024 KiB are read"
    );
    assert!(parse.syntax().text().is_empty());
}

#[test]
fn a_flood_of_errors_is_bounded() {
    for piece in ["}", "\"\n", "x y\n", "( ", "profile\n"] {
        let text = piece.repeat((1 << 18) / piece.len());
        let parse = parsed(&text);
        assert!(!parse.is_ok(), "{piece:?}");
        assert!(parse.diagnostics().len() <= 500, "{piece:?}");
        assert!(told(&text).len() < 100_000, "{piece:?}");
    }
}

#[test]
fn terminals_are_not_commanded() {
    let told = told("profile a { x = \"\u{1b}[2J\0\u{202e}\u{9b}\" }\n// \u{1b}]0;\n\u{1b}");
    assert!(!told.contains(['\u{1b}', '\0', '\u{202e}', '\u{9b}']), "{told:?}");
}
