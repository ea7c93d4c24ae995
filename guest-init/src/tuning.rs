//! Answers for this kernel's settings, as a program of a session.

use std::io::{self, BufReader};
use std::process::ExitCode;

use transaction::Agent;

/// Where the journal lies. It ends with the kernel, as the settings do.
const JOURNAL: &str = "/run/partitiond/tuning";

/// Answers questions on standard input until there are no more.
pub fn serve() -> ExitCode {
    crate::sys::mounts::mount_debugfs();
    let agent = Agent::new(JOURNAL, crate::init::load_module);
    match agent.serve(BufReader::new(io::stdin().lock()), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest-init: {error}");
            ExitCode::FAILURE
        }
    }
}
