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
mod render;
mod rig;
mod serve;
mod session;
mod stdio;
mod table;
mod terminal;
mod up;
mod upload;
mod wait;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

pub use context::Context;
pub use exit::Failure;
pub use table::{Command, Line};

/// How a supervisor is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Where it listens.
    pub socket: PathBuf,
    /// What is gone after a reboot of the host.
    pub run: PathBuf,
    /// What is kept.
    pub state: PathBuf,
}

/// How a keeper is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeeperOptions {
    /// The directory of its partition.
    pub directory: PathBuf,
}

/// The long-running processes behind the command line. They are not part of it: they print nothing
/// to standard output and end with a status of their own.
pub trait Daemons {
    /// `partitiond serve`: returns when the supervisor was told to end.
    fn serve(&self, options: ServeOptions) -> ExitCode;

    /// `partitiond keeper`: returns when the partition has ended.
    fn keeper(&self, options: KeeperOptions) -> ExitCode;
}

/// The program: reads its arguments, does what they say, and gives the exit status.
pub fn main(daemons: &dyn Daemons) -> ExitCode {
    terminal::restore_on_panic();
    run(std::env::args_os(), daemons)
}

fn run(arguments: impl IntoIterator<Item = OsString>, daemons: &dyn Daemons) -> ExitCode {
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            // Fails where nobody reads what it says: nothing more can be done.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    let context = Context::new(line.global);
    let result = match line.command {
        Command::Serve(options) => match serve::prepare(&context, options) {
            Ok(Some(options)) => return daemons.serve(options),
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        },
        Command::Keeper { directory } => return daemons.keeper(KeeperOptions { directory }),
        Command::RigKeeper { directory } => rig::keep(&directory),
        Command::Up(options) => up::run(&context, &options),
        Command::Plan(options) => plan::run(&context, &options),
        Command::Down(options) => down::run(&context, options),
        Command::Ps => partitions::ps(&context),
        Command::Show { name } => partitions::show(&context, &name),
        Command::Map => partitions::map(&context),
        Command::Logs { name, follow } => logs::logs(&context, &name, follow),
        Command::Events { follow } => logs::events(&context, follow),
        Command::Console { name, lines } => console::run(&context, &name, lines),
        Command::Exec(options) => exec::run(&context, options),
        Command::Wait(options) => wait::run(&context, &options),
        Command::Doctor { machine } => doctor::doctor(&context, machine.as_deref()),
        Command::Inventory { save } => doctor::inventory(&context, save.as_deref()),
        Command::Image(command) => image::run(&context, command),
        Command::Rig(command) => rig::run(&context, command),
        Command::Completions { shell } => documents::completions(&context, shell),
        Command::Man { directory } => documents::man(&directory),
    };
    match result {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            context.report(&failure);
            ExitCode::from(failure.status)
        }
    }
}
