//! The command line.
//!
//! [`table`] says which commands there are; help, man pages and completions are made from it, too.
//! Each command is a file that asks the supervisor ([`crate::client`]) and hands what it hears to
//! [`render`], which makes text of data and touches nothing. Data goes to standard output, everything
//! else to standard error.

mod board;
mod companions;
mod connect;
mod console;
mod context;
mod doctor;
mod documents;
mod down;
mod exec;
mod exit;
mod image;
mod logs;
mod output;
mod partitions;
mod plan;
mod profile;
mod render;
mod rig;
mod serve;
mod session;
mod snapshot;
mod stdio;
mod table;
mod terminal;
mod up;
mod upload;
mod wait;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

pub use context::Context;
pub use exit::Failure;
pub use table::{Command, Line};

/// The program: reads its arguments, does what they say, and gives the exit status.
pub fn main() -> ExitCode {
    terminal::restore_on_panic();
    run(std::env::args_os())
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            // Fails where nobody reads what it says: nothing more can be done.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    match line.command {
        // These three are the long-running processes behind the command: what they say goes to a log,
        // and they end with a status of their own.
        Command::Serve(options) if !options.background => {
            return crate::supervisor::run(serve::paths(&options));
        }
        Command::Keeper { directory } => return crate::keeper::run(&directory),
        Command::Vmm => return boot::kvm::vmm::run(),
        _ => {}
    }
    let context = Context::new(line.global);
    if context.sarif() && !matches!(line.command, Command::Profile(table::Profile::Check { .. })) {
        let failure = Failure::with_status(exit::USAGE, "`--format sarif` is for `profile check`");
        context.report(&failure.hint("`--format json` is there for every command"));
        return ExitCode::from(exit::USAGE);
    }
    match dispatch(&context, line.command) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            context.report(&failure);
            ExitCode::from(failure.status)
        }
    }
}

fn dispatch(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(options) => serve::background(&options),
        Command::Keeper { .. } => Err(Failure::with_status(exit::USAGE, "a keeper runs by itself")),
        Command::Vmm => Err(Failure::with_status(exit::USAGE, "it runs by itself")),
        Command::RigKeeper { directory } => rig::keep(&directory),
        Command::Up(options) => up::run(context, &options),
        Command::Plan(options) => plan::run(context, &options),
        Command::Down(options) => down::run(context, options),
        Command::Ps => partitions::ps(context),
        Command::Show { name } => partitions::show(context, &name),
        Command::Map => partitions::map(context),
        Command::Logs { name, follow } => logs::logs(context, &name, follow),
        Command::Events { follow } => logs::events(context, follow),
        Command::Console { name, lines } => console::run(context, &name, lines),
        Command::Exec(options) => exec::run(context, options),
        Command::Wait(options) => wait::run(context, &options),
        Command::Snapshot(options) => snapshot::run(context, options),
        Command::Doctor { machine } => doctor::doctor(context, machine.as_deref()),
        Command::Inventory { save } => doctor::inventory(context, save.as_deref()),
        Command::Image(command) => image::run(context, command),
        Command::Profile(command) => profile::run(context, &command),
        Command::Rig(command) => rig::run(context, command),
        Command::Completions { shell } => documents::completions(context, shell),
        Command::Man { directory } => documents::man(&directory),
    }
}
