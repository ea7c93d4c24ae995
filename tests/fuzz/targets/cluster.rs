//! Cluster files, and what people are told about those that are wrong.

#![no_main]

use fuzz::cluster::{Source, Surroundings, parse};
use libfuzzer_sys::fuzz_target;

struct Known;

impl Surroundings for Known {
    fn stored_images(&self) -> Vec<String> {
        vec!["stored".to_owned()]
    }

    fn check_profile(&self, reference: &str) -> Result<(), String> {
        match reference {
            "oltp.ks" => Ok(()),
            _ => Err(format!("cannot read profile {reference}: No such file")),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Err(diagnostics) = parse(Source::new("cluster.ron", text), &Known) else { return };
    assert!(diagnostics.count() > 0);
    for diagnostic in diagnostics.list() {
        let (line, column) = diagnostics.position(diagnostic);
        assert!(line > 0 && column > 0);
    }
    let plain = diagnostics.render(false);
    assert!(plain.starts_with("error") && plain.ends_with('\n'), "{plain:?}");
    // A file's bytes do not reach the terminal as commands.
    assert!(!plain.contains('\x1b'), "{plain:?}");
    // The same work once more: for one input in four is often enough.
    if text.len().is_multiple_of(4) {
        let _ = diagnostics.render(true);
    }
});
