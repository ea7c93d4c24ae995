//! `partitiond up`, and when it said what.

use std::time::{Duration, Instant};

use rig::wire::{Exec, FromExec, Status};
use scenarios::Server;
use serde_json::Value;

/// A line of `partitiond --format json up`, and how long after the start of the command it came.
#[derive(Clone, Debug)]
pub struct Said {
    /// When.
    pub after: Duration,
    /// What.
    pub progress: Value,
}

/// Brings a cluster up. The times are those of this side: command, supervisor and keeper are in.
pub fn up(server: &Server, file: &str) -> Vec<Said> {
    let argv = ["partitiond", "--format", "json", "up", file].map(str::to_owned).to_vec();
    let begun = Instant::now();
    let mut running =
        server.rig().spawn(Exec { argv, ..Exec::default() }).expect("the command starts");
    let _ = running.end_input();
    let (mut said, mut pending, mut complaints) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match running.message().expect("the server answers") {
            FromExec::Output(bytes) => {
                let after = begun.elapsed();
                pending.extend(bytes);
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    let progress = serde_json::from_slice(&line).expect("a line of JSON");
                    said.push(Said { after, progress });
                }
            }
            FromExec::Error(bytes) => complaints.extend(bytes),
            FromExec::Ended(Status::Exited(0)) => return said,
            FromExec::Ended(status) => {
                panic!("`up` failed: {status:?}: {}", String::from_utf8_lossy(&complaints))
            }
            FromExec::Failed(reason) => panic!("`up` did not start: {reason}"),
        }
    }
}

/// How long it took until the last partition was ready.
pub fn until_ready(said: &[Said]) -> Duration {
    let ready = said.iter().filter(|said| said.progress["what"] == "up");
    ready.map(|said| said.after).max().expect("a partition was ready")
}

/// A step of a start.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was done.
    pub what: String,
    /// How long after the start of the command it began.
    pub since: Duration,
    /// How long it took.
    pub took: Duration,
}

/// What was done for one partition. A step that is over before the supervisor looks is not told, and
/// its time is in the one before.
pub fn steps(said: &[Said]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut what = "command, supervisor's plan".to_owned();
    let mut since = Duration::ZERO;
    for said in said {
        let next = match said.progress["what"].as_str() {
            Some("plan") => "ledger, huge pages, keeper's start".to_owned(),
            Some("step") => said.progress["step"].as_str().unwrap_or_default().to_owned(),
            Some("up") => String::new(),
            _ => continue,
        };
        steps.push(Step { what, since, took: said.after.saturating_sub(since) });
        (what, since) = (next, said.after);
    }
    steps
}
