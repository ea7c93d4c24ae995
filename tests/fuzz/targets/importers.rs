//! sysctl.d files and TuneD profiles become scripts that can be read, and settings files of other tools.
//!
//! The first byte says which; form feeds separate files, which may include each other.

#![no_main]

use std::path::PathBuf;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use profiles::catalogue::Catalogue;
use profiles::diagnostic::FileId;
use profiles::export::{Entry, export};
use profiles::import::{Format, Memory, Options, import};
use profiles::resolution::Where;
use profiles::syntax::{fmt, parse};

const NAMES: [&str; 4] =
    ["/t/a/tuned.conf", "/t/b/tuned.conf", "/t/c/tuned.conf", "/t/variables.conf"];

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let mut files = Memory::default();
    for (name, part) in NAMES.iter().zip(bytes.split(|byte| *byte == b'\x0c')) {
        files.insert(name, part);
    }
    let options = Options {
        format: Some(if which & 1 == 0 { Format::Sysctl } else { Format::Tuned }),
        guard: (which & 2 != 0).then_some(Duration::from_secs(30)),
        refused: which & 4 != 0,
        ..Options::default()
    };
    let catalogue = Catalogue::built_in().expect("the tests read it");
    let imported = match import(&[PathBuf::from(NAMES[0])], &files, catalogue, &options) {
        Ok(imported) => imported,
        Err(error) => {
            let told = error.to_string();
            assert!(!told.is_empty() && !told.contains("this is a defect"), "{told}");
            return;
        }
    };
    let parsed = parse(FileId::default(), &imported.script);
    assert!(parsed.diagnostics().is_empty(), "{:?}\n{}", parsed.diagnostics(), imported.script);
    assert_eq!(fmt::format(&parsed).as_deref(), Ok(imported.script.as_str()), "not canonical");
    assert_eq!(imported.script.matches("\nguard ").count() > 0, options.guard.is_some());
    // What stands in the source goes through every format of the other direction, on lines of its own.
    let entries = imported.remarks.iter().flat_map(|remark| {
        let entry = |at| Entry { at, value: remark.what.clone(), comment: remark.why.clone() };
        [
            entry(Where::File("/proc/sys/kernel/x".to_owned())),
            entry(Where::File("/sys/block/sda/x".to_owned())),
            entry(Where::File(remark.what.clone())),
            entry(Where::ModuleOption("a.b".to_owned())),
            entry(Where::CommandLine("x=".to_owned())),
            entry(Where::Cgroup("x.slice".to_owned(), "memory.max".to_owned())),
        ]
    });
    let entries: Vec<Entry> = entries.collect();
    let exported = export("fuzz", &entries);
    for file in &exported.files {
        assert!(file.text.starts_with("# ") && file.text.ends_with('\n'));
        assert!(!file.text.contains(['\x1b', '\0']), "{:?}", file.text);
    }
});
