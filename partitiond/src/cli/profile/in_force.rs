//! `profile confirm`, `rollback`, `verify` and `history`: what is in force on a kernel.

use serde::Serialize;
use transaction::agent::{Answer, Question, Reply};
use transaction::engine::Recovery;
use transaction::journal::Summary;

use super::attend;
use super::{PENDING, WRONG};
use crate::cli::exit::{Failure, USAGE};
use crate::cli::table::On;
use crate::cli::{Context, connect, output};
use crate::client::Client;
use crate::tuning::{self, Host, Kernel, KernelError};

/// The kernel that is meant.
pub fn kernel(context: &Context, on: &On) -> Result<Box<dyn Kernel>, Failure> {
    match &on.partition {
        None if context.global().rig.is_some() => {
            Err(Failure::with_status(USAGE, "--host means the machine that this command runs on")
                .hint("leave out --rig, or name a partition of the virtual server"))
        }
        None => Ok(Box::new(Host::new(recovered))),
        Some(name) => {
            let client = connect::existing(context)?;
            Ok(Box::new(Remote { client, name: name.clone() }))
        }
    }
}

/// A partition's kernel, behind its supervisor.
struct Remote {
    client: Client,
    name: String,
}

impl Kernel for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn answer(&mut self, question: &Question) -> Result<Answer, KernelError> {
        self.client.question(&self.name, question).map_err(|error| KernelError::Unreachable {
            name: self.name.clone(),
            why: error.to_string(),
        })
    }

    fn recovered(&mut self, recovery: &Recovery) {
        recovered(recovery);
    }
}

/// What was found unfinished, as a person reads it.
fn recovered(recovery: &Recovery) {
    for unfinished in &recovery.unfinished {
        let (number, profile) = (unfinished.number, &unfinished.profile);
        let done = match &unfinished.restored {
            Some(restored) if restored.differences.is_empty() => {
                "everything is as it was".to_owned()
            }
            Some(restored) => {
                let all: Vec<String> =
                    restored.differences.iter().map(ToString::to_string).collect();
                format!("not as it was: {}", all.join(", "))
            }
            None => "its kernel is gone".to_owned(),
        };
        crate::cli::context::say(&format!(
            "transaction {number} (profile {profile}) was left unfinished and is rolled back: {done}"
        ));
    }
    for damaged in &recovery.damaged {
        crate::cli::context::say(&format!(
            "{} is no journal and was put aside: {}",
            damaged.name, damaged.why
        ));
    }
    for note in &recovery.notes {
        crate::cli::context::say(note);
    }
}

fn ask(kernel: &mut dyn Kernel, question: &Question) -> Result<Reply, Failure> {
    tuning::ask(kernel, question).map_err(|error| failure(&error))
}

fn failure(error: &KernelError) -> Failure {
    Failure::of(error).status(WRONG)
}

fn unexpected(reply: &Reply) -> Failure {
    failure(&KernelError::unexpected(reply))
}

/// `profile confirm`
pub fn confirm(context: &Context, on: &On) -> Result<(), Failure> {
    let mut kernel = kernel(context, on)?;
    if kernel.is_this_machine() {
        attend::undo_what_nobody_watches(context, kernel.as_mut())?;
    }
    match ask(kernel.as_mut(), &Question::Confirm(None))? {
        Reply::Confirmed(number) if context.json() => output::json(&number),
        Reply::Confirmed(number) => output::text(&format!("transaction {number} is to stay\n")),
        other => Err(unexpected(&other)),
    }
}

/// `profile rollback`
pub fn rollback(
    context: &Context,
    on: &On,
    number: Option<u32>,
    force: bool,
) -> Result<(), Failure> {
    let undone = tuning::roll_back(kernel(context, on)?.as_mut(), number, force)
        .map_err(|error| failure(&error))?;
    let restored = &undone.restored;
    if context.json() {
        output::json(&undone)?;
    } else {
        let mut text =
            format!("transaction {} (profile {}) is undone\n", undone.number, undone.profile);
        for (what, differences) in [
            ("could not be brought back", &restored.differences),
            ("stays until the next boot", &restored.until_next_boot),
            ("was changed by somebody else and left alone", &restored.left_alone),
        ] {
            for difference in differences {
                text += &format!("  {what}: {difference}\n");
            }
        }
        output::text(&text)?;
    }
    match restored.differences.is_empty() {
        true => Ok(()),
        false => Err(Failure::silent(WRONG)),
    }
}

/// `profile verify`
pub fn verify(context: &Context, on: &On, number: Option<u32>) -> Result<(), Failure> {
    let reply = ask(kernel(context, on)?.as_mut(), &Question::Verify(number))?;
    let Reply::Verified(number, verification) = reply else { return Err(unexpected(&reply)) };
    if context.json() {
        output::json(&verification)?;
    } else {
        let mut text = format!("{} settings of transaction {number} hold\n", verification.holding);
        for drift in &verification.drifts {
            text += &format!("  {drift}\n");
        }
        for name in &verification.unreadable {
            text += &format!("  {name} cannot be read\n");
        }
        for name in &verification.at_next_boot {
            text += &format!("  {name} takes a reboot\n");
        }
        output::text(&text)?;
    }
    if verification.drifts.is_empty() { Ok(()) } else { Err(Failure::silent(PENDING)) }
}

/// A transaction of the past as data.
#[derive(Serialize)]
struct Line {
    number: u32,
    profile: String,
    /// Seconds since 1970.
    when: u64,
    steps: usize,
    state: String,
}

/// `profile history`
pub fn history(context: &Context, on: &On) -> Result<(), Failure> {
    let reply = ask(kernel(context, on)?.as_mut(), &Question::History)?;
    let Reply::History(history) = reply else { return Err(unexpected(&reply)) };
    let line = |summary: Summary| Line {
        number: summary.number,
        profile: summary.profile,
        when: summary.when,
        steps: summary.steps,
        state: summary.state.to_string(),
    };
    let lines: Vec<Line> = history.into_iter().map(line).collect();
    if context.json() {
        return output::json(&lines);
    }
    let told = |line: &Line| {
        format!(
            "{:>5}  {:<24}  {:>4} settings  {}\n",
            line.number, line.profile, line.steps, line.state
        )
    };
    output::text(&lines.iter().map(told).collect::<String>())
}
