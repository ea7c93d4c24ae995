//! The dumps of kernels, held against the kernels themselves.

#![allow(clippy::expect_used, reason = "a scenario ends where something does not work")]

use profiles::catalogue::{Catalogue, Dump, Member, matrix};
use scenarios::kernels::{self, Try};
use scenarios::scenario;

/// The one that every change is tried with.
const USUAL: &str = "6.12-cloud";

#[test]
fn a_kernel_is_as_its_dump_says() {
    let usual: Vec<&Member> = members().filter(|member| member.name() == USUAL).collect();
    assert_eq!(usual.len(), 1);
    scenario(|| compare(usual[0], Try::Nothing));
}

#[test]
#[ignore = "soak: some minutes"]
fn every_kernel_is_as_its_dump_says() {
    members().for_each(|member| scenario(|| compare(member, Try::Numbers)));
}

fn members() -> impl Iterator<Item = &'static Member> {
    matrix().expect("the list of kernels").iter()
}

fn compare(member: &Member, what: Try) {
    let catalogue = Catalogue::built_in().expect("the catalogue");
    let text = std::fs::read_to_string(kernels::path(member)).expect("the dump");
    let kept = Dump::read(&member.name(), &text).expect("a dump that can be read");
    let found = kernels::dump(member, what);
    assert_eq!(catalogue.unexplained(&found), Vec::<String>::new(), "{}", found.release);
    let differences = kernels::differences(&kept, &found, catalogue);
    if kept.release == found.release {
        assert!(
            differences.is_empty(),
            "{} differs from its dump: {differences:#?}",
            found.release
        );
    } else {
        // Debian has a newer one. What matters of that is what the catalogue says, and it holds.
        println!(
            "the dump is of {}, and this is {}: {differences:#?}; `make kernels` remakes it",
            kept.release, found.release
        );
    }
}
