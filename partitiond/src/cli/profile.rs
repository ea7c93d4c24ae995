//! `profile …`: KernelScript, without a kernel at hand and on those that run.

mod apply;
mod attend;
mod check;
mod diff;
mod exchange;
mod explain;
mod format;
mod in_force;
mod lsp;
mod plan;
mod scripts;
mod simulate;
#[cfg(test)]
mod tests;

use super::Context;
use super::exit::Failure;
use super::table::{On, Profile};

/// Scripts are wrong, or what they ask for is refused.
const WRONG: u8 = 1;
/// Something would change.
const PENDING: u8 = 2;

/// `profile …`
pub fn run(context: &Context, command: &Profile) -> Result<(), Failure> {
    match command {
        Profile::Check { files, machine } => check::run(context, files, machine),
        Profile::Plan { file, profile, host: false, partition: None, machine } => {
            plan::run(context, file, profile.as_deref(), machine)
        }
        Profile::Plan { file, profile, host, partition, machine } => {
            let on = On { host: *host, partition: partition.clone() };
            apply::plan(context, file, profile.as_deref(), &machine.parameters, &on)
        }
        Profile::Apply(wanted) => apply::run(context, wanted),
        Profile::Confirm { on } => in_force::confirm(context, on),
        Profile::Rollback { on, number, force } => in_force::rollback(context, on, *number, *force),
        Profile::Verify { on, number } => in_force::verify(context, on, *number),
        Profile::History { on } => in_force::history(context, on),
        Profile::Lsp { .. } => lsp::run(),
        Profile::Diff { one, other, machine } => diff::run(context, one, other, machine),
        Profile::Import(wanted) => exchange::import_files(context, wanted),
        Profile::Export { file, profile, machine, output } => {
            exchange::export_profile(context, file, profile.as_deref(), machine, output.as_ref())
        }
        Profile::Attend => attend::run(),
        Profile::Fmt { files, check } => format::run(context, files, *check),
        Profile::Simulate { file, trace } => simulate::run(context, file, trace),
        Profile::Explain { setting, kernel } => explain::run(context, setting, kernel.as_ref()),
    }
}
