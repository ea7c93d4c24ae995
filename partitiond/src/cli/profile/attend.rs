//! Looking after a profile on this machine, in a process of its own: `apply` hands it an [`Errand`].
//!
//! It applies the plan itself, so that there is no moment in which a guarded profile is in force and nobody
//! watches it. Should it die all the same, whichever command comes next undoes what it watched.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};
use transaction::engine::Report;

use super::WRONG;
use crate::cli::Context;
use crate::cli::exit::Failure;
use crate::client::in_own_session;
use crate::tuning::steward::{Happening, undo_unwatched};
use crate::tuning::{self, Errand, Host, Kernel, Listener};

/// Whose lock tells that somebody looks after this machine's profile.
fn lock_file() -> io::Result<File> {
    let directory = Path::new(tuning::DIRECTORY);
    fs::create_dir_all(directory)?;
    File::options().create(true).truncate(false).write(true).open(directory.join("steward"))
}

fn log_path() -> PathBuf {
    Path::new(tuning::DIRECTORY).join("steward.log")
}

/// Undoes a guarded profile that nobody confirmed and nobody watches any more.
pub fn undo_what_nobody_watches(context: &Context, kernel: &mut dyn Kernel) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        Failure::failed(format!("{} cannot be used: {error}", tuning::DIRECTORY)).status(WRONG)
    };
    let file = lock_file().map_err(cannot)?;
    let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(()) };
    let undone = undo_unwatched(kernel).map_err(|error| Failure::of(&error).status(WRONG))?;
    if let Some(number) = undone {
        context.remark(&format!(
            "transaction {number} was guarded, and who watched it is gone: it is undone"
        ));
    }
    Ok(())
}

/// Starts a process that applies the plan and looks after it; its report, once the plan is in force.
pub fn send(errand: &Errand) -> Result<Report, Failure> {
    let cannot = |error: io::Error| {
        Failure::failed(format!("nobody can be started to look after the profile: {error}"))
            .status(WRONG)
    };
    let log = File::options().create(true).append(true).open(log_path()).map_err(cannot)?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["profile", "attend"]).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    // No terminal's Ctrl-C or hang-up reaches it, and it outlives this command.
    in_own_session(&mut command);
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut to) = child.stdin.take() {
        let text = serde_json::to_vec(errand).map_err(|error| cannot(error.into()))?;
        to.write_all(&text).map_err(cannot)?;
    }
    let mut line = String::new();
    if let Some(from) = child.stdout.take() {
        BufReader::new(from).read_line(&mut line).map_err(cannot)?;
    }
    let said: Result<Report, String> = serde_json::from_str(&line).map_err(|_| {
        let message = format!(
            "whoever was to look after the profile said nothing; see {}",
            log_path().display()
        );
        Failure::failed(message).status(WRONG)
    })?;
    said.map_err(|why| Failure::failed(why).status(WRONG))
}

/// `profile attend`: reads an errand from standard input, and says on standard output what became of the plan.
pub fn run() -> Result<(), Failure> {
    let mut text = Vec::new();
    let read = io::stdin().read_to_end(&mut text);
    let errand: Errand = read
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_slice(&text).map_err(|error| error.to_string()))
        .map_err(|error| Failure::failed(format!("this is no errand: {error}")))?;
    let said = |result: &Result<&Report, String>| {
        // Whoever sent it may be gone; the profile is looked after all the same.
        let text = serde_json::to_string(result).unwrap_or_default();
        let _ = writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush());
    };
    let result = attend(&errand, &mut |report| said(&Ok(report)));
    if let Err(failure) = &result {
        said(&Err(failure.message.clone()));
    }
    result
}

/// Does the errand in this process: `apply --foreground`.
pub fn stay(errand: &Errand, told: impl Fn(&Report) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut result = Ok(());
    attend(errand, &mut |report| result = told(report))?;
    result
}

/// Tells of what happens, and holds the lock by which others know that somebody looks after the profile.
struct Attendant<'a> {
    applied: &'a mut dyn FnMut(&Report),
    lock: io::Result<Flock<File>>,
}

impl Listener for Attendant<'_> {
    fn applied(&mut self, report: &Report, _guarded: bool) {
        (self.applied)(report);
        // The one before sees that its profile is no longer the newest, and leaves.
        self.lock = lock_file().and_then(|file| {
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
        });
        if let Err(error) = &self.lock {
            eprintln!("partitiond: {}: {error}", tuning::DIRECTORY);
        }
    }

    fn happened(&mut self, happening: &Happening) {
        eprintln!("partitiond: {happening}");
    }
}

fn attend(errand: &Errand, applied: &mut dyn FnMut(&Report)) -> Result<(), Failure> {
    let lock = Err(io::ErrorKind::NotFound.into());
    errand
        .carry_out(&mut Host::new(|_| {}), &mut Attendant { applied, lock })
        .map_err(|why| Failure::failed(why).status(WRONG))
}
