use clap::Parser;

use super::*;
use crate::cli::exit::{INVALID, NOT_FOUND, USAGE};
use crate::cli::table::{Command, Line};

/// What a command line ends with, in a folder with some scripts.
fn status(arguments: &str) -> u8 {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "mine.ks",
        "profile mine extends oltp {\n    vm.swappiness = 5\n}\n\npolicy {\n    default mine\n    \
         when psi.io.full.avg10 > 20% -> mine\n}\n",
    );
    write("untidy.ks", "profile p {vm.swappiness=3}");
    write("wrong.ks", "profile p { vm.swapiness = 3 }");
    write("broken.ks", "profile p {");
    write("brick.ks", "profile p { vm.max_map_count = 0 }");
    write("rt.ks", "profile p { kernel flavour in [rt]; vm.swappiness = 3 }");
    write("two.ks", "profile a { vm.swappiness = 3 } profile b { vm.swappiness = 4 }");
    write("50-db.conf", "vm.swappiness = 3\n-vm.nonsense = 1\n");
    write("trace", "time, psi.io.full.avg10\n0s, 2%\n10s, 30%\n");
    write("bad-trace", "time, memory\n");
    let all = ["partitiond", "profile"].map(str::to_owned);
    let arguments = arguments.split_whitespace().map(|word| match folder.path().join(word) {
        path if path.exists() => path.to_string_lossy().into_owned(),
        _ => word.to_owned(),
    });
    let line = Line::try_parse_from(all.into_iter().chain(arguments)).unwrap();
    let Command::Profile(command) = line.command else { panic!("no profile command") };
    let context = Context::new(line.global);
    run(&context, &command).map_or_else(|failure| failure.status, |()| 0)
}

#[test]
fn check_tells_right_from_wrong() {
    assert_eq!(status("check mine.ks"), 0);
    assert_eq!(status("check mine.ks two.ks --kernel 6.12-rt --cpus 8 --memory 16GiB"), 0);
    assert_eq!(status("check wrong.ks"), WRONG);
    assert_eq!(status("check broken.ks"), WRONG);
    assert_eq!(status("check brick.ks"), WRONG);
    assert_eq!(status("check rt.ks"), 0, "it is right, if not for every kernel");
    assert_eq!(status("check rt.ks --kernel 6.12-cloud"), WRONG);
    assert_eq!(status("check no-such.ks"), WRONG);
    assert_eq!(status("--format json check brick.ks"), WRONG);
    assert_eq!(status("--format sarif check brick.ks"), WRONG);
    assert_eq!(status("--format sarif check broken.ks"), WRONG);
    assert_eq!(status("--format sarif check mine.ks"), 0);
}

#[test]
fn plan_tells_that_something_would_change() {
    assert_eq!(status("plan mine.ks --kernel 6.12-rt --cpus 8 --memory 16GiB"), PENDING);
    assert_eq!(status("plan mine.ks --kernel 6.12 --memory 16GiB --param dirty=1GiB"), PENDING);
    assert_eq!(status("plan mine.ks --kernel 6.12 --memory 16GiB --param dirty=8GiB"), WRONG);
    assert_eq!(status("plan mine.ks --kernel 6.12 --param dirty=("), USAGE);
    assert_eq!(status("plan mine.ks"), USAGE, "for which kernel?");
    assert_eq!(status("plan two.ks --kernel 6.12"), WRONG, "which of both?");
    assert_eq!(status("plan two.ks --profile b --kernel 6.12"), PENDING);
    assert_eq!(status("plan brick.ks --kernel 6.12"), WRONG);
}

#[test]
fn what_a_machine_has_is_imported_and_exported() {
    assert_eq!(status("import 50-db.conf"), 0);
    assert_eq!(status("import 50-db.conf -o trace --guard 30s"), 0);
    assert_eq!(status("import no-such.conf"), INVALID);
    assert_eq!(status("export mine.ks --kernel 6.12 --memory 16GiB"), 0);
    assert_eq!(status("export mine.ks"), USAGE, "for which kernel?");
    assert_eq!(status("export brick.ks --kernel 6.12"), WRONG);
}

#[test]
fn diff_tells_where_profiles_differ() {
    assert_eq!(status("diff oltp oltp --kernel 6.12 --memory 16GiB"), 0);
    assert_eq!(status("diff oltp mine.ks --kernel 6.12 --memory 16GiB"), PENDING);
    assert_eq!(status("diff oltp brick.ks --kernel 6.12 --memory 16GiB"), WRONG);
}

#[test]
fn fmt_changes_what_is_untidy() {
    assert_eq!(status("fmt --check mine.ks"), 0);
    assert_eq!(status("fmt --check untidy.ks"), PENDING);
    assert_eq!(status("fmt untidy.ks"), 0);
    assert_eq!(status("fmt broken.ks"), WRONG);
}

#[test]
fn explain_knows_settings() {
    assert_eq!(status("explain vm.dirty"), 0);
    assert_eq!(status("explain mm.thp --kernel 6.12-rt"), 0);
    assert_eq!(status("explain vm.dirtyy"), NOT_FOUND);
}

#[test]
fn simulate_replays() {
    assert_eq!(status("simulate mine.ks --trace trace"), 0);
    assert_eq!(status("simulate mine.ks --trace bad-trace"), INVALID);
    assert_eq!(status("simulate two.ks --trace trace"), WRONG, "no policy");
}
