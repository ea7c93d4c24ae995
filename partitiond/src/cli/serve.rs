//! `serve`, in the background.

use std::ffi::OsString;

use super::companions;
use super::exit::Failure;
use super::table::Serve;
use crate::client::Daemon;
use crate::paths::Paths;

/// Where a supervisor keeps its things.
pub fn paths(options: &Serve) -> Paths {
    Paths { run: options.run.clone(), state: options.state.clone() }
}

/// Starts a supervisor, and returns when it answers.
pub fn background(options: &Serve) -> Result<(), Failure> {
    start(&paths(options))
}

/// Starts a supervisor in a session of its own, and returns when it answers.
pub fn start(paths: &Paths) -> Result<(), Failure> {
    let arguments: [OsString; 6] = [
        companions::own()?.into(),
        "serve".into(),
        "--run".into(),
        paths.run.clone().into(),
        "--state".into(),
        paths.state.clone().into(),
    ];
    let daemon =
        Daemon { argv: arguments.to_vec(), socket: paths.api(), log: paths.supervisor_log() };
    Ok(daemon.start()?)
}
