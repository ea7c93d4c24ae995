//! What operators are told.

use super::{parsed, told};
use crate::diagnostic::{Source, Sources, codes, report::Report};
use crate::syntax::parse;

/// One script for each kind of fault, and what is said about it.
const FAULTS: &[(&str, &str)] = &[
    (
        "bad_names_of_statements",
        "profil a { vm.x = 1 }\nprofile b {\n    requrie memory.total >= 4GiB\n    bolck \"nvme*\" { x = 1 }\n    frobnicate\n}\n",
    ),
    (
        "misplaced",
        "vm.x = 1\nprofile a {\n    when b -> c\n    block \"x\" { param y: int = 1 }\n    policy { default a }\n}\n",
    ),
    (
        "unclosed_block",
        "profile a {\n    block \"nvme*\" {\n        x = 1\n\nprofile b {\n    y = 2\n}\n",
    ),
    (
        "unclosed_list",
        "profile a {\n    x = [1, 2\n    y = 3\n    z = min(4, 5\n    w = bytes { limit: 3\n    v = (1\n}\n",
    ),
    ("unopened", "profile a { }\n}\nprofile b { x = 1) }\n"),
    (
        "foreign_habits",
        "# sysctl\nprofile a {\n    /* thp */\n    vm.x = 1 if a && !b || c = d\n    vm.y: 2\n    z = bytes { limit = 3 }\n    raise w = 4\n}\n",
    ),
    (
        "units",
        "profile a {\n    a = 512MB\n    b = 10m\n    c = 0.5B\n    d = 99999999999TiB\n    e = 5parsecs\n    f = 010\n    g = 18446744073709551616\n    h = 25:00\n}\n",
    ),
    (
        "texts",
        "profile a {\n    a = \"not closed\n    b = \"a\\nb\"\n    c = \"\0\"\n    d = \"\u{202e}\" // \u{200b}\n    e = é\n    match exec \"\"\n}\n",
    ),
    (
        "two_statements_on_a_line",
        "profile a {\n    a = 1 b = 2\n    kernel version >= 5.10 6.1\n    a = 1 else\n}\n",
    ),
    (
        "half_statements",
        "profile a extends {\n    a =\n    raise b\n    raise\n    param: int\n    require\n    raw = 3\n    raw vm.x = 3\n    waive security x\n    default\n    workload \"w\" { match \"x\"; start \"y\" }\n    if { x = 1 }\n    block { }\n    block \"x\"\n    c = 1 + \n}\nprofile\n",
    ),
    (
        "comparisons",
        "profile a {\n    require 1 < x < 3\n    require x == 1..2..3\n    x = 1 + not y\n    kernel version, flavour == 1 + 2 and rt\n}\n",
    ),
    (
        "policies",
        "policy {\n    default\n    when a > 1 for 1s for 2s cooldown 1s cooldown 2s -> b\n    when a > 1 until < 2 until < 3 -> b\n    when a until < 5% -> b\n    when a > 2\n    when -> b\n    when a > 1 -> kernel \"rt\" profile\n}\nguard {\n    confirm 3s\n    rollback unreachable\n}\nguard a { confirm within 1s; confirm within 2s }\n",
    ),
    ("reserved", "profile in { for = 1; param not: int = 3; x = until }\n"),
    (
        "modifiers",
        "profile a {\n    default force x = 1\n    force raise x to 3\n    required required x = 1\n    match pid \"3\"\n    x = { a: 1, a: 2 }\n}\n",
    ),
    (
        "stray_doc_comments",
        "profile a {\n    x = 1 /// about x\n    y = [ /// about 2\n        2]\n    /// about nothing\n}\n/// about nothing\n",
    ),
    ("cpus", "profile a {\n    cpus = 3-2,70000\n    cpus 2-3, { x = 1 }\n}\n"),
];

#[test]
fn faults() {
    for (name, script) in FAULTS {
        insta::assert_snapshot!(*name, told(script));
    }
}

#[test]
fn every_code_of_the_syntax_is_shown() {
    let all: String = FAULTS.iter().map(|(_, script)| told(script)).collect();
    for (code, title) in codes::ALL.iter().filter(|(code, _)| *code < codes::TYPE) {
        // Those two have tests of their own.
        let elsewhere = [codes::TOO_LARGE, codes::TOO_DEEP].contains(code);
        assert!(elsewhere || all.contains(&format!("[{code}]")), "{code} {title}");
    }
}

/// What is offered as an edit mends what it was offered for.
#[test]
fn edits_mend() {
    for (name, script) in FAULTS {
        let before = parsed(script);
        for diagnostic in before.diagnostics() {
            for edit in diagnostic.help.iter().filter_map(|help| help.edit.as_ref()) {
                let mut mended = (*script).to_owned();
                mended.replace_range(edit.span.range(), &edit.text);
                let after = parsed(&mended);
                let still = after.diagnostics().iter().any(|other| {
                    (other.code, other.primary.span.start)
                        == (diagnostic.code, diagnostic.primary.span.start)
                        && other.message == diagnostic.message
                });
                assert!(!still, "{name}: {diagnostic:?}\n{mended}");
            }
        }
    }
}

#[test]
fn several_files_in_one_message() {
    let mut sources = Sources::new();
    let texts = ["profile a {\n    vm.x = 1\n}\n", "profile b {\n    vm.x = 2\n}\n"];
    let files: Vec<_> = texts
        .iter()
        .zip(["a.ks", "b.ks"])
        .map(|(text, name)| sources.add(Source::new(name, text)))
        .collect();
    let span = |file| crate::diagnostic::Span { file, start: 16, end: 24 };
    let diagnostic =
        crate::diagnostic::Diagnostic::error(codes::REPEATED, span(files[1]), "they disagree")
            .label("2 here")
            .related(span(files[0]), "1 there")
            .help("say which in the child");
    insta::assert_snapshot!(crate::diagnostic::render::render(&[diagnostic], &sources, false));
}

#[test]
fn as_json() {
    let mut sources = Sources::new();
    let text = "profile a {\n    vm.x = 5MB\n}\n";
    let file = sources.add(Source::new("a.ks", text));
    let parse = parse(file, text);
    let reports: Vec<Report> =
        parse.diagnostics().iter().map(|it| Report::new(it, &sources)).collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&reports).unwrap());
}

#[test]
fn in_colour() {
    let mut sources = Sources::new();
    let text = "profile a { x = 5MB }";
    let file = sources.add(Source::new("a.ks", text));
    let out = crate::diagnostic::render::render(parse(file, text).diagnostics(), &sources, true);
    assert!(out.contains("\u{1b}["), "{out:?}");
}
