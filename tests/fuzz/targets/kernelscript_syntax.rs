//! KernelScript: parsing, what people are told, and the canonical form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use profiles::diagnostic::{Source, Sources, render, report::Report};
use profiles::syntax::{fmt, parse};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut sources = Sources::new();
    let file = sources.add(Source::new("fuzz.ks", text));
    let parsed = parse(file, text);
    assert_eq!(parsed.syntax().text().to_string(), text, "a tree that is not the text");
    for diagnostic in parsed.diagnostics() {
        assert!(text.get(diagnostic.primary.span.range()).is_some(), "{diagnostic:?}");
        let report = Report::new(diagnostic, &sources);
        assert!(report.at.start.line > 0 && report.at.start <= report.at.end, "{report:?}");
    }
    let told = render::render(parsed.diagnostics(), &sources, false);
    // A file's bytes do not reach the terminal as commands.
    assert!(!told.contains(['\x1b', '\u{9b}', '\u{202e}']), "{told:?}");
    let Ok(once) = fmt::format(&parsed) else {
        assert!(!parsed.is_ok());
        return;
    };
    let again = parse(file, &once);
    assert!(again.is_ok(), "formatting made an error: {once:?}");
    assert_eq!(fmt::format(&again).as_deref(), Ok(once.as_str()), "not canonical");
});
