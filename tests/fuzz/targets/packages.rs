//! Debian packages, and the control data that says which of them are needed.

#![no_main]

use std::io::{self, Cursor, Read};

use images::debian::control::{compare_versions, dependencies, stanzas};
use images::debian::deb::data;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reader) = data(Cursor::new(bytes)) {
        let _ = io::copy(&mut reader.take(1 << 20), &mut io::sink());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for stanza in stanzas(text) {
        for (name, value) in stanza.fields() {
            let found = stanza.get(name);
            assert!(found.is_some());
            let _ = dependencies(value);
        }
    }
    let mut lines = text.lines();
    if let (Some(a), Some(b), Some(c)) = (lines.next(), lines.next(), lines.next()) {
        assert_eq!(compare_versions(a, b), compare_versions(b, a).reverse());
        if compare_versions(a, b).is_le() && compare_versions(b, c).is_le() {
            assert!(compare_versions(a, c).is_le(), "{a:?} {b:?} {c:?} have no order");
        }
    }
});
