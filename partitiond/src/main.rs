//! `partitiond`: the command.

use std::process::ExitCode;

use partitiond::cli::{self, Daemons, KeeperOptions, ServeOptions};

/// The long-running processes behind the command.
struct Processes;

impl Daemons for Processes {
    fn serve(&self, _: ServeOptions) -> ExitCode {
        missing("supervisor")
    }

    fn keeper(&self, _: KeeperOptions) -> ExitCode {
        missing("keeper")
    }
}

fn missing(what: &str) -> ExitCode {
    eprintln!("error: this build of partitiond has no {what}");
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    cli::main(&Processes)
}
