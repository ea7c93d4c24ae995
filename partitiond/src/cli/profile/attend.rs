//! Looking after a profile on this machine, in a process of its own: `apply` hands it an [`Errand`].
//!
//! It applies the plan itself, so that there is no moment in which a guarded profile is in force and nobody
//! watches it. Should it die all the same, whichever command comes next undoes what it watched.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::fcntl::{Flock, FlockArg};
use profiles::diagnostic::Source;
use profiles::guarding;
use profiles::policy::compile;
use profiles::scripts::Scripts as Read;
use serde::{Deserialize, Serialize};
use transaction::Plan;
use transaction::engine::Report;

use super::WRONG;
use super::scripts::{Scripts, arguments};
use crate::cli::Context;
use crate::cli::exit::Failure;
use crate::client::in_own_session;
use crate::tuning::steward::{Happening, INTERVAL, Steward, undo_unwatched};
use crate::tuning::{self, Host, Kernel, Prepared};

/// What to look after.
#[derive(Serialize, Deserialize)]
pub struct Errand {
    /// Names and texts of the scripts.
    scripts: Vec<(String, String)>,
    profile: String,
    parameters: Vec<(String, String)>,
    plan: Plan,
    /// Whether the script's policy is followed.
    follow: bool,
}

impl Errand {
    /// What `apply` was asked for.
    pub fn new(
        scripts: &Scripts,
        parameters: &[(String, String)],
        prepared: &Prepared,
        follow: bool,
    ) -> Self {
        Self {
            scripts: scripts
                .given()
                .map(|it| (it.name().to_owned(), it.text().to_owned()))
                .collect(),
            profile: prepared.plan.profile.clone(),
            parameters: parameters.to_vec(),
            plan: prepared.plan.clone(),
            follow,
        }
    }
}

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
    let result = attend(&errand, |report| said(&Ok(report)));
    if let Err(failure) = &result {
        said(&Err(failure.message.clone()));
    }
    result
}

/// Does the errand in this process: `apply --foreground`.
pub fn stay(
    errand: &Errand,
    told: impl FnOnce(&Report) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut result = Ok(());
    attend(errand, |report| result = told(report))?;
    result
}

fn attend(errand: &Errand, applied: impl FnOnce(&Report)) -> Result<(), Failure> {
    let wrong = |message: String| Failure::failed(message).status(WRONG);
    let sources = errand.scripts.iter().map(|(name, text)| Source::new(name, text));
    let scripts = Read::of(sources);
    let arguments = arguments(&errand.parameters)?;
    let mut warnings = Vec::new();
    let watched = scripts.library.family(&errand.profile).ok().and_then(|family| {
        let guard = scripts.library.guard(&family)?;
        Some(guarding::compile(guard, &scripts.sources, &mut warnings))
    });
    let policy = scripts.policy().filter(|_| errand.follow);
    let policy = policy.map(|policy| compile(policy, &scripts.sources, &mut warnings));
    let mut kernel = Host::new(|_| {});
    let prepared = Prepared {
        plan: errand.plan.clone(),
        watched: watched.clone(),
        warnings: Vec::new(),
        unread: Vec::new(),
    };
    let report = tuning::apply(&mut kernel, &prepared).map_err(|error| wrong(error.to_string()))?;
    let begun = Instant::now();
    let mut steward = Steward::new(
        &scripts,
        &arguments,
        policy.as_ref(),
        report.number,
        watched,
        begun.elapsed(),
    );
    applied(&report);
    // The one before sees that its profile is no longer the newest, and leaves.
    let lock = lock_file().and_then(|file| {
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    });
    let _lock = lock.map_err(|error| wrong(format!("{}: {error}", tuning::DIRECTORY)))?;
    while steward.is_needed() {
        std::thread::sleep(INTERVAL);
        for happening in steward.look(&mut kernel, begun.elapsed()) {
            eprintln!("partitiond: {}", told(&happening));
        }
    }
    Ok(())
}

fn told(happening: &Happening) -> String {
    match happening {
        Happening::Confirmed(number) => format!("transaction {number} is confirmed"),
        Happening::Undone { number, why, differences } if differences.is_empty() => {
            format!("transaction {number} is undone: {why}")
        }
        Happening::Undone { number, why, differences } => {
            format!("transaction {number} is undone: {why}; except {}", differences.join(", "))
        }
        Happening::Stuck { why, error } => format!("cannot undo ({why}): {error}"),
        Happening::Switched { to, why } => format!("switched to {to}: {why}"),
        Happening::NotSwitched { to, why } => format!("not switched to {to}: {why}"),
        Happening::Superseded => "somebody else changed what is in force".to_owned(),
    }
}
