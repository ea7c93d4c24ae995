//! PID 1 of a rig: makes the machine usable, then does what the outside asks over one byte stream.

#![forbid(clippy::indexing_slicing)]

mod exec;
mod files;
mod reaper;
mod serve;
mod setup;
mod sys;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("rig-agent: runs as PID 1 of a rig and nowhere else");
        return ExitCode::FAILURE;
    }
    setup::mount_all();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = match runtime {
        Ok(runtime) => tokio::task::LocalSet::new().block_on(&runtime, serve::serve()),
        Err(error) => Err(error),
    };
    // PID 1 must not end while there is hope that somebody reads the console.
    if let Err(error) = served {
        eprintln!("rig-agent: {error}; powering off");
    }
    sys::power_off();
    ExitCode::FAILURE
}
