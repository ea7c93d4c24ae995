//! `wait`: until partitions are ready or have ended.

use std::time::{Duration, Instant};

use super::exit::{Failure, NOT_FOUND, TIMEOUT};
use super::render::clean;
use super::table::{Wait, WaitFor};
use super::{Context, connect, output};
use crate::api::{PartitionStatus, Phase};

/// Looked again after this long although nothing has happened: that a partition was forgotten, for
/// one, is no event.
const PAUSE: Duration = Duration::from_secs(5);

/// `wait [NAME…] --for=STATE`
pub fn run(context: &Context, options: &Wait) -> Result<(), Failure> {
    let client = connect::existing(context)?;
    let deadline = options.timeout.map(|timeout| Instant::now() + timeout.0);
    // Listens before it looks: what happens in between is not missed.
    let mut events = client.events(true)?;
    loop {
        let all = client.partitions()?;
        match verdict(&all, &options.names, options.state)? {
            Verdict::Done => {
                return match context.json() {
                    true => output::json(&all),
                    false => Ok(()),
                };
            }
            Verdict::Never(why) => return Err(Failure::failed(why)),
            Verdict::Waiting(names) => {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    let what = match options.state {
                        WaitFor::Ready => "ready",
                        WaitFor::Ended => "ended",
                    };
                    let names = names.join(", ");
                    return Err(Failure::with_status(
                        TIMEOUT,
                        format_args!("not {what} in time: {names}"),
                    ));
                }
            }
        }
        let left =
            deadline.map_or(PAUSE, |deadline| deadline.saturating_duration_since(Instant::now()));
        // Several may have happened at once; one look shows them all.
        events.forget();
        if !events.wait(left.min(PAUSE))? {
            // This supervisor is gone. Another one may be there already, else the question says so.
            std::thread::sleep(left.min(AFTERWARDS));
            events = client.events(true)?;
        }
    }
}

/// How long the next supervisor is given to come.
const AFTERWARDS: Duration = Duration::from_millis(500);

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Waiting(Vec<String>),
    /// It will not come about any more.
    Never(String),
}

fn verdict(all: &[PartitionStatus], names: &[String], state: WaitFor) -> Result<Verdict, Failure> {
    if let Some(missing) = names.iter().find(|name| !all.iter().any(|status| status.name == **name))
    {
        return Err(Failure::with_status(NOT_FOUND, format_args!("no partition `{missing}`")));
    }
    let asked = all.iter().filter(|status| names.is_empty() || names.contains(&status.name));
    let mut waiting = Vec::new();
    for status in asked {
        match (state, status.phase) {
            (WaitFor::Ready, Phase::Ready) | (WaitFor::Ended, Phase::Ended) => {}
            (WaitFor::Ready, Phase::Ended | Phase::Stuck) => {
                let state = super::render::state(status);
                return Ok(Verdict::Never(format!(
                    "{} is not ready: {state}",
                    clean(&status.name)
                )));
            }
            _ => waiting.push(clean(&status.name)),
        }
    }
    Ok(if waiting.is_empty() { Verdict::Done } else { Verdict::Waiting(waiting) })
}

#[cfg(test)]
mod tests {
    use super::super::tests::status;
    use super::*;

    #[test]
    fn what_has_ended_never_becomes_ready() {
        let all = [status("a", Phase::Ready), status("b", Phase::Booting)];
        let names = ["a".to_owned()];
        assert_eq!(verdict(&all, &names, WaitFor::Ready).unwrap(), Verdict::Done);
        let waiting = Verdict::Waiting(vec!["b".to_owned()]);
        assert_eq!(verdict(&all, &[], WaitFor::Ready).unwrap(), waiting);
        let all = [status("a", Phase::Ended)];
        assert!(matches!(verdict(&all, &[], WaitFor::Ready), Ok(Verdict::Never(_))));
        assert_eq!(verdict(&all, &[], WaitFor::Ended).unwrap(), Verdict::Done);
        assert_eq!(verdict(&all, &names, WaitFor::Ended).unwrap(), Verdict::Done);
        let unknown = ["c".to_owned()];
        assert_eq!(verdict(&all, &unknown, WaitFor::Ready).unwrap_err().status, NOT_FOUND);
    }
}
