//! PID 1 of a partition.

use std::process::ExitCode;

use guest_init::sys::machine;

fn main() -> ExitCode {
    if let Some(code) = transaction::sandbox::run_if_asked() {
        return code;
    }
    if std::env::args().nth(1).as_deref() == Some(protocol::TUNE) {
        return guest_init::tuning::serve();
    }
    if machine::is_init() {
        guest_init::init::run();
    }
    eprintln!(
        "guest-init is PID 1 of a partition; as another process it answers for its kernel's settings \
         ({}).",
        protocol::TUNE
    );
    ExitCode::from(2)
}
