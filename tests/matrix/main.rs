//! `make kernels`: boots every kernel of the matrix and writes its dump, or those that are named:
//! `make kernels KERNELS="6.12-rt 7.2-cloud"`. Says how each differs from the catalogue.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "where a kernel cannot be dumped, the command ends"
)]

use std::process::ExitCode;
use std::time::Instant;

use profiles::catalogue::{Catalogue, Dump, Member, matrix};
use scenarios::kernels::{self, Try};
use scenarios::scenario;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let matrix = matrix().expect("the list of kernels");
    for name in &names {
        if !matrix.iter().any(|member| member.name() == *name) {
            eprintln!("{name} is not in profiles/kernels/matrix.ron: add a line for it");
            return ExitCode::FAILURE;
        }
    }
    let meant = |member: &&Member| names.is_empty() || names.contains(&member.name());
    let mut differences = 0;
    for member in matrix.iter().filter(meant) {
        let begun = Instant::now();
        scenario(|| write(member, &kernels::dump(member, Try::Numbers)));
        println!("{}: dumped in {:.0?}", member.name(), begun.elapsed());
        let text = std::fs::read_to_string(kernels::path(member)).expect("the dump");
        let dump = Dump::read(&member.name(), &text).expect("a dump that can be read");
        for complaint in Catalogue::built_in().expect("the catalogue").unexplained(&dump) {
            println!("{}: {complaint}", member.name());
            differences += 1;
        }
    }
    if differences > 0 {
        println!("{differences} differences that profiles/catalogue does not explain");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn write(member: &Member, dump: &Dump) {
    let text = format!(
        "# Debian's {} of {}, booted by `make kernels` with 2 CPUs, 1 GiB, disks and a network device.\n{dump}",
        member.package, member.suite
    );
    std::fs::write(kernels::path(member), text).expect("the dump is written");
}
