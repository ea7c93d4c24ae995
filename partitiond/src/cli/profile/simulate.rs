//! `profile simulate`: when a policy would have switched.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use profiles::policy::{Compiled, Switch, Trace, compile, simulate};
use profiles::script::Target;
use serde::Serialize;

use super::WRONG;
use super::scripts::Scripts;
use crate::cli::exit::{Failure, INVALID};
use crate::cli::{Context, output};

/// The largest trace that is read, in bytes.
const MOST: u64 = 64 << 20;

/// A switch as data.
#[derive(Serialize)]
struct Line {
    /// Since the beginning of the trace.
    at_ms: u64,
    to: String,
    from: String,
    why: String,
}

/// `profile simulate FILE --trace TRACE`
pub fn run(context: &Context, file: &Path, trace: &Path) -> Result<(), Failure> {
    let scripts = Scripts::read(&[file])?;
    if scripts.is_wrong() {
        return scripts.refuse(context, &scripts.diagnostics);
    }
    let [policy] = scripts.library.policies() else {
        let count = scripts.library.policies().len();
        let message = format!("{} has {count} policies: one is replayed", file.display());
        return Err(Failure::with_status(WRONG, message));
    };
    let mut diagnostics = Vec::new();
    let policy = compile(policy, &scripts.sources, &mut diagnostics);
    if !diagnostics.is_empty() {
        return scripts.refuse(context, &diagnostics);
    }
    let trace = read(trace)?;
    let switches = simulate(&policy, &trace);
    let lines: Vec<Line> = switches.iter().map(|switch| line(&policy, switch)).collect();
    if context.json() {
        return output::json(&lines);
    }
    let told = lines.iter().map(|line| {
        let seconds = line.at_ms as f64 / 1000.0;
        format!("{seconds:>10.3} s  {} → {}  {}\n", line.from, line.to, line.why)
    });
    let text: String = told.collect();
    output::text(if text.is_empty() { "it would never have switched\n" } else { &text })
}

fn read(path: &Path) -> Result<Trace, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::with_status(INVALID, format_args!("{}: {error}", path.display()))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(&error))?;
    file.take(MOST + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    Trace::read(&text).map_err(|error| wrong(&error))
}

fn line(policy: &Compiled, switch: &Switch) -> Line {
    let told = |rule: Option<usize>| {
        let target = match rule {
            None => policy.default.as_ref(),
            Some(rule) => policy.rules.get(rule).map(|rule| &rule.target),
        };
        target.map_or("the default".to_owned(), name)
    };
    Line {
        at_ms: u64::try_from(switch.at.as_millis()).unwrap_or(u64::MAX),
        to: told(switch.to),
        from: told(switch.from),
        why: switch.why.clone(),
    }
}

fn name(target: &Target) -> String {
    let profile = target.profile.as_ref().map(|name| name.text.clone());
    match (&target.kernel, profile) {
        (Some(kernel), Some(profile)) => format!("{profile} on kernel {:?}", kernel.text),
        (Some(kernel), None) => format!("kernel {:?}", kernel.text),
        (None, profile) => profile.unwrap_or_default(),
    }
}
