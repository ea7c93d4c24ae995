//! Every profile of Debian's package `tuned` becomes a script that checks clean. Fetches the package into
//! the user's cache; run it with `cargo test -p profiles --test tuned_package -- --ignored`. Without a
//! network and a cache it fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use images::debian::PackageSource;
use images::progress::Progress;
use images::store::Store;
use images::tree::Tree;
use profiles::catalogue::{Catalogue, Kernel};
use profiles::composition::{Arguments, Library};
use profiles::diagnostic::{Source, Sources, render};
use profiles::expression::{Cpus, Value};
use profiles::facts::Facts;
use profiles::import::{Disk, Fate, Imported, Options, import};
use profiles::resolution::{Present, Request, resolve};
use profiles::script::Script;
use profiles::syntax::{fmt, parse};
use profiles::{standard, typing};

const KERNELS: [&str; 9] = [
    "5.10-cloud",
    "6.1-cloud",
    "6.1-generic",
    "6.1-rt",
    "6.12-cloud",
    "6.12-generic",
    "6.12-rt",
    "7.2-cloud",
    "7.2-rt",
];

struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
    fn advance(&self, _: u64, _: u64) {}
    fn note(&self, text: &str) {
        eprintln!("note: {text}");
    }
}

/// The package's profiles, unpacked below a folder.
fn unpacked(into: &Path) -> Vec<PathBuf> {
    let packages = PackageSource::new(Store::default_cache().expect("HOME is set").join("apt"));
    let suite = packages.system_suite().expect("the tests run on Debian");
    let fetched = packages.fetch("tuned", &suite, &Silent).expect("tuned is fetched");
    let package = fetched.iter().find(|package| package.name == "tuned").unwrap();
    let mut tree = Tree::new(None).unwrap();
    let data = images::debian::deb::data(fs::File::open(&package.path).unwrap()).unwrap();
    images::archive::read(data, &mut tree, images::archive::Whiteouts::Plain, &|_| true).unwrap();
    let files: Vec<String> = tree
        .entries()
        .map(|(path, _)| path.to_owned())
        .filter(|path| path.ends_with(".conf") && path.contains("tuned/"))
        .collect();
    let mut profiles = Vec::new();
    for path in files {
        let Some(bytes) = tree.read(&path, 1 << 20).unwrap() else { continue };
        let file = into.join(&path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
        if path.ends_with("/tuned.conf") && path.starts_with("usr/lib/tuned/") {
            profiles.push(PathBuf::from(format!("/{path}")));
        }
    }
    profiles.sort();
    profiles
}

/// A machine of which more is known than its size.
fn known(mut facts: Facts) -> Facts {
    for (name, value) in [
        ("memory.available", Value::bytes(12 << 30)),
        ("memory.committed", Value::bytes(4 << 30)),
        ("memory.huge_page", Value::bytes(2 << 20)),
        ("memory.huge_total", Value::bytes(0)),
        ("memory.huge_free", Value::bytes(0)),
        ("tasks.maximum", Value::Number(3000)),
        ("tasks.running", Value::Number(300)),
        ("tasks.realtime_on_shared_cpus", Value::Flag(false)),
        ("kernel.boots_partitions", Value::Flag(false)),
        ("kernel.lockdown", Value::Flag(false)),
        ("net.routes", Value::Flag(false)),
        ("boot.isolated", Value::Cpus(Cpus::new())),
        ("boot.nohz_full", Value::Cpus(Cpus::new())),
        ("cpus.isolated", Value::Cpus(Cpus::new())),
        ("vm.committed_limit", Value::bytes(8 << 30)),
    ] {
        facts.know(name, value);
    }
    facts
}

/// Everything that `check` has against a script, on every kernel that matters.
fn checked(imported: &Imported) -> String {
    let mut sources = Sources::new();
    let file = sources.add(Source::new("imported.ks", &imported.script));
    let read = Script::read(file, &imported.script);
    let (mut library, mut diagnostics) = (Library::default(), read.diagnostics);
    library.add(read.script, &mut diagnostics);
    standard::complete(&mut library, &mut sources, &mut diagnostics);
    library.check(&mut diagnostics);
    typing::check(&library, &mut diagnostics);
    for kernel in KERNELS {
        let kernel: Kernel = kernel.parse().unwrap();
        let described = Facts::of_kernel(kernel).with_cpus(8).with_memory(16 << 30);
        let known = known(described.clone());
        for (facts, profile) in [&described, &known]
            .into_iter()
            .flat_map(|facts| imported.profiles.iter().map(move |it| (facts, it)))
        {
            let request = Request {
                library: &library,
                profile,
                arguments: &Arguments::new(),
                facts,
                present: &Present::default(),
                catalogue: Catalogue::built_in().unwrap(),
            };
            diagnostics.extend(resolve(&request).unwrap().diagnostics);
        }
    }
    render::render(&diagnostics, &sources, false)
}

#[test]
#[ignore = "fetches packages"]
fn every_profile_of_the_package_checks_clean() {
    let directory = tempfile::tempdir().unwrap();
    let paths = unpacked(directory.path());
    assert_eq!(paths.len(), 37, "{paths:?}");
    let files = Disk::below(directory.path());
    let catalogue = Catalogue::built_in().unwrap();
    let options = Options { guard: Some(Duration::from_secs(30)), ..Options::default() };
    let (mut failed, mut counts) = (Vec::new(), BTreeMap::<(Fate, String), usize>::new());
    let all = import(&paths, &files, catalogue, &options).unwrap_or_else(|error| panic!("{error}"));
    for remark in &all.remarks {
        let reason: String =
            remark.why.split([':', ';', '`']).next().unwrap_or_default().to_owned();
        *counts.entry((remark.fate, reason)).or_default() += 1;
    }
    println!("{} statements, {} remarks", all.written.len(), all.remarks.len());
    for ((fate, reason), count) in counts {
        println!("{count:4} {fate:?}: {reason}");
    }
    if let Some(out) = std::env::var_os("IMPORTED") {
        fs::write(out, &all.script).unwrap();
    }
    for (name, paths) in paths
        .iter()
        .map(|path| (path.display().to_string(), vec![path.clone()]))
        .chain([("all of them".to_owned(), paths.clone())])
    {
        let imported = import(&paths, &files, catalogue, &options).unwrap();
        let parsed = parse(Default::default(), &imported.script);
        assert_eq!(parsed.diagnostics(), [], "{name}");
        assert_eq!(fmt::format(&parsed).as_deref(), Ok(imported.script.as_str()), "{name}");
        assert!(!imported.script.lines().any(|line| line.trim().starts_with("waive")), "{name}");
        let wrong = checked(&imported);
        if !wrong.is_empty() {
            failed.push(format!("{name}:\n{wrong}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
