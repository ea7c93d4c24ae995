use proptest::prelude::*;

use super::{NotFormatted, format};
use crate::diagnostic::FileId;
use crate::syntax::kind::SyntaxKind;
use crate::syntax::tests::{TOUR, script};
use crate::syntax::{Parse, parse};

fn parsed(text: &str) -> Parse {
    let parse = parse(FileId::default(), text);
    assert!(parse.is_ok(), "{:#?}\n{text}", parse.diagnostics());
    parse
}

fn formatted(text: &str) -> String {
    format(&parsed(text)).unwrap()
}

/// What a script means: its tree without spaces and comments, but with the doc comments of each
/// statement, and without what the formatter puts anew.
fn meaning(text: &str) -> Vec<String> {
    let (mut out, mut depth) = (Vec::new(), 0);
    for event in parsed(text).syntax().preorder_with_tokens() {
        match event {
            rowan::WalkEvent::Leave(rowan::NodeOrToken::Node(_)) => depth -= 1,
            rowan::WalkEvent::Enter(rowan::NodeOrToken::Node(node)) => {
                out.push(format!("{depth} {:?} {:?}", node.kind(), crate::syntax::ast::doc(&node)));
                depth += 1;
            }
            rowan::WalkEvent::Enter(rowan::NodeOrToken::Token(token)) => {
                let anew = matches!(token.kind(), SyntaxKind::Semicolon | SyntaxKind::Comma);
                if !anew && !token.kind().is_trivia() {
                    out.push(format!("{depth} {}", token.text().replace(['µ', 'μ'], "u")));
                }
            }
            rowan::WalkEvent::Leave(_) => {}
        }
    }
    out
}

fn comments(text: &str) -> Vec<String> {
    let tokens = parsed(text).syntax().descendants_with_tokens();
    let comments = tokens
        .filter_map(rowan::NodeOrToken::into_token)
        .filter(|token| matches!(token.kind(), SyntaxKind::Comment | SyntaxKind::DocComment));
    comments.map(|comment| comment.text().trim_end().to_owned()).collect()
}

fn check(text: &str) {
    let once = formatted(text);
    assert_eq!(formatted(&once), once, "formatting again changes it:\n{text}");
    assert_eq!(meaning(&once), meaning(text), "it means something else:\n{text}\n{once}");
    assert_eq!(comments(&once), comments(text), "comments:\n{text}\n{once}");
    for line in once.lines() {
        assert_eq!(line.trim_end(), line, "spaces at the end of a line:\n{once}");
    }
    assert!(!once.contains("\n\n\n") && !once.starts_with('\n'), "empty lines:\n{once}");
    assert!(once.is_empty() || once.ends_with('\n'), "no end:\n{once}");
}

#[test]
fn the_tour_is_in_canonical_form() {
    assert_eq!(formatted(TOUR), TOUR);
    check(TOUR);
}

/// Scripts as people type them.
const UNTIDY: &str = "\u{feff}

// A file.
/// About oltp.
profile   oltp extends server,base
{
  vm.x=3;vm.y  =  4 ; // both
  vm.z   = 2 . .4\r
     require a and\r
   b or not c  // why


   // apart
   block \"a\" ,\"b\" {scheduler=none;read_ahead=16KiB;}
   net \"a\" { x = [1,2,3,] }   // trailing
   list = [
1, // one
     2
   ]
   nested = max([1,
      2], min(
      3
      ))
   w = bytes{limit:1KiB,background:10µs,}
   cpus 2-3, 6 { governor=performance }
   block \"nvme0n1\", \"nvme1n1\" { scheduler = mq-deadline; read_ahead = 128KiB; nr_requests = 1024; rq_affinity = 2 }
   command = [\"postgres\", \"-D\", \"/data\", \"-c\", \"shared_buffers=8GB\", \"-c\", \"max_connections=500\"]
   if a { x = - 1 }
   else { x = a..b }
   if a // odd
   {
      // empty but for this
   }
   empty { }
   // the end

}
// about the policy
policy{default oltp;when a>1 for 2s
until<5% -> b}
guard oltp{}
// last
";

#[test]
fn untidy_scripts() {
    let text = UNTIDY.replace("2 . .4", "2..4");
    check(&text);
    insta::assert_snapshot!(formatted(&text));
}

#[test]
fn small_scripts() {
    for (text, canonical) in [
        ("", ""),
        ("\n\n", ""),
        ("// a", "// a\n"),
        ("\n // a\n\n\n\n// b", "// a\n\n// b\n"),
        ("profile a{}", "profile a {}\n"),
        ("profile a{}profile b{}", "profile a {}\n\nprofile b {}\n"),
        ("profile a {} // c\nprofile b {}", "profile a {}  // c\n\nprofile b {}\n"),
        ("profile a {}\n// c\nprofile b {}", "profile a {}\n\n// c\nprofile b {}\n"),
        ("profile a {\n\n\n}", "profile a {}\n"),
        ("profile a {\n\n x = 1\n\n\n y = 2\n\n}", "profile a {\n    x = 1\n\n    y = 2\n}\n"),
        ("profile a { x = 1;; }", "profile a { x = 1 }\n"),
        ("profile a { x = [1\n,] }", "profile a {\n    x = [1,\n    ]\n}\n"),
        (
            "profile a { x = ..5 if b; y = 5.. if b; z = - 5 }",
            "profile a { x = ..5 if b; y = 5.. if b; z = -5 }\n",
        ),
    ] {
        assert_eq!(formatted(text), canonical);
        check(text);
    }
}

#[test]
fn scripts_with_errors_are_left_alone() {
    let parse = parse(FileId::default(), "profile a {\n x=  1\n");
    assert_eq!(format(&parse), Err(NotFormatted));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_script_keeps_its_meaning(text in script()) {
        check(&text);
    }
}
