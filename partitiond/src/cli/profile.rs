//! `profile …`: what can be said of KernelScript without touching a kernel.

mod check;
mod explain;
mod format;
mod plan;
mod scripts;
mod simulate;
#[cfg(test)]
mod tests;

use super::Context;
use super::exit::Failure;
use super::table::Profile;

/// Scripts are wrong, or what they ask for is refused.
const WRONG: u8 = 1;
/// Something would change.
const PENDING: u8 = 2;

/// `profile …`
pub fn run(context: &Context, command: &Profile) -> Result<(), Failure> {
    match command {
        Profile::Check { files, machine } => check::run(context, files, machine),
        Profile::Plan { file, profile, machine } => {
            plan::run(context, file, profile.as_deref(), machine)
        }
        Profile::Fmt { files, check } => format::run(context, files, *check),
        Profile::Simulate { file, trace } => simulate::run(context, file, trace),
        Profile::Explain { setting, kernel } => explain::run(context, setting, kernel.as_ref()),
    }
}
