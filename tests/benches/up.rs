//! `partitiond up`, and what its time went into.

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

/// How long the last partition took from the begin of its start until its kernel began to boot, and
/// from there until it was ready.
pub fn until_boot_and_on(said: &[Said]) -> (f64, f64) {
    let ready = said.iter().filter(|said| said.progress["what"] == "up");
    let last = ready.max_by_key(|said| said.after).expect("a partition was ready");
    let status = &last.progress["status"];
    let seconds = |value: &Value| value.as_f64().expect("a number") / 1000.0;
    let start = status["start"].as_array().expect("the steps of its start");
    let booting = start.iter().find(|step| step["step"] == "booting its kernel");
    let booting = seconds(&booting.expect("its kernel was booted")["at_ms"]);
    (booting, seconds(&status["ready_after_ms"]) - booting)
}

/// What was done for the one partition that was started, and how long each took: they add up to the
/// whole. The keeper's steps are by the keeper's clock, the others by this side's.
pub fn steps(said: &[Said]) -> Vec<(String, Duration)> {
    let plan = said.iter().find(|said| said.progress["what"] == "plan").expect("a plan").after;
    let up = said.iter().find(|said| said.progress["what"] == "up").expect("it was ready");
    let status = &up.progress["status"];
    let milliseconds = |value: &Value| Duration::from_millis(value.as_u64().expect("a number"));
    let ready = milliseconds(&status["ready_after_ms"]);
    let start = status["start"].as_array().expect("the steps of its start");
    let begins: Vec<Duration> = start.iter().map(|step| milliseconds(&step["at_ms"])).collect();
    let first = begins.first().copied().unwrap_or_default();

    let supervisor = up.after.saturating_sub(plan).saturating_sub(ready);
    let mut steps = vec![
        ("command and supervisor, until the plan is told".to_owned(), plan),
        ("supervisor: image, ledger, huge pages; telling of the end".to_owned(), supervisor),
        ("keeper, until its first step".to_owned(), first),
    ];
    let ends = begins.iter().skip(1).copied().chain([ready]);
    for ((step, begin), end) in start.iter().zip(&begins).zip(ends) {
        let name = step["step"].as_str().expect("a step has a name").to_owned();
        steps.push((name, end.saturating_sub(*begin)));
    }
    steps
}
