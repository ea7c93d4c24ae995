//! PID 1 of a partition.

use std::process::ExitCode;

use guest_init::sys::machine;

fn main() -> ExitCode {
    if machine::is_init() {
        guest_init::init::run();
    }
    eprintln!("guest-init is PID 1 of a partition and does nothing as another process.");
    ExitCode::from(2)
}
