//! Keeps one rig in the background, for programs that have no such mode themselves.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: rig-keeper FOLDER, with the lock as standard input; started by rig::Rig");
        return ExitCode::from(2);
    };
    match rig::keeper::keep_as_process(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rig-keeper: {error}");
            ExitCode::FAILURE
        }
    }
}
