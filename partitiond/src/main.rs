//! `partitiond`: the command.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve") => partitiond::supervisor::run(Default::default()),
        Some("keeper") => partitiond::keeper::run(Path::new(arguments.get(2).map_or("", |a| a))),
        _ => ExitCode::FAILURE,
    }
}
