//! A tree holds every byte of its text, whatever the text.

use proptest::prelude::*;

use super::{TOUR, parsed};

/// Pieces of scripts in any order: more of them get past the lexer than of random characters.
fn fragments() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "profile a",
        "profile",
        "policy",
        "guard",
        "extends",
        "param",
        "x: bytes",
        "=",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        ":",
        ".",
        "..",
        "->",
        "\n",
        "\r\n",
        " ",
        "\t",
        "// c\n",
        "/// d\n",
        "# c\n",
        "/* c */",
        "\"t\"",
        "\"",
        "\\",
        "1",
        "2-3",
        "5.10",
        "6.1.2",
        "10ms",
        "80%",
        "9:30",
        "a",
        "a.b",
        "and",
        "or",
        "not",
        "in",
        "if",
        "else",
        "when",
        "until",
        "for",
        "default",
        "force",
        "raise",
        "to",
        "raw",
        "waive",
        "block",
        "workload",
        "match",
        "start",
        "kernel",
        "+=",
        "-=",
        "==",
        "=",
        "<",
        "+",
        "-",
        "*",
        "/",
        "&",
        "&&",
        "||",
        "!",
        "\u{feff}",
        "\0",
        "é",
        "\u{202e}",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

fn check(text: &str) {
    let parse = parsed(text);
    assert_eq!(parse.syntax().text().to_string(), text);
    for diagnostic in parse.diagnostics() {
        let span = diagnostic.primary.span.range();
        assert!(text.get(span).is_some(), "a place that is not in the text: {diagnostic:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        check(&text);
    }

    #[test]
    fn no_fragments_panic(text in fragments()) {
        check(&text);
    }

    /// Typing: every beginning of a script, and every script with a hole.
    #[test]
    fn no_half_script_panics(from in 0..TOUR.len(), to in 0..TOUR.len()) {
        if let (Some(head), Some(tail)) = (TOUR.get(..from), TOUR.get(to..)) {
            check(&format!("{head}{tail}"));
        }
    }
}

#[test]
fn carriage_returns_and_byte_order_marks_are_kept() {
    let text = format!("\u{feff}{}", TOUR.replace('\n', "\r\n"));
    check(&text);
    assert!(parsed(&text).is_ok(), "{:#?}", parsed(&text).diagnostics());
}
