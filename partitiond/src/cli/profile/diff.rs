//! `profile diff`: what two profiles make of one kernel, where they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::exchange::{for_which_kernel, resolved};
use super::plan::goal;
use super::scripts::Scripts;
use super::{PENDING, WRONG};
use crate::cli::exit::Failure;
use crate::cli::table::Described;
use crate::cli::{Context, output};

/// A setting that differs.
#[derive(Serialize)]
struct Line {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    one: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
}

/// `profile diff ONE OTHER --kernel KERNEL`
pub fn run(
    context: &Context,
    one: &Path,
    other: &Path,
    machine: &Described,
) -> Result<(), Failure> {
    let Some(one) = settings(context, one, machine)? else { return Err(Failure::silent(WRONG)) };
    let Some(other) = settings(context, other, machine)? else {
        return Err(Failure::silent(WRONG));
    };
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
    let lines: Vec<Line> = differ
        .map(|name| Line {
            name: name.clone(),
            one: one.get(name).cloned(),
            other: other.get(name).cloned(),
        })
        .collect();
    if context.json() {
        output::json(&lines)?;
    } else {
        output::text(&lines.iter().map(told).collect::<String>())?;
    }
    if lines.is_empty() { Ok(()) } else { Err(Failure::silent(PENDING)) }
}

fn told(line: &Line) -> String {
    match (&line.one, &line.other) {
        (Some(one), Some(other)) => format!("~ {}: {one} → {other}\n", line.name),
        (Some(one), None) => format!("- {}: {one}\n", line.name),
        (None, other) => format!("+ {}: {}\n", line.name, other.as_deref().unwrap_or_default()),
    }
}

/// What a file's profile sets, by name; none where it is refused, which has been told then.
fn settings(
    context: &Context,
    file: &Path,
    machine: &Described,
) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let Some(kernel) = &machine.kernel else { return Err(for_which_kernel()) };
    let scripts = Scripts::read(&[file])?;
    if scripts.is_wrong() {
        return scripts.refuse(context, &scripts.diagnostics).map(|()| None);
    }
    let profile = scripts.one(None)?;
    match resolved(&scripts, &profile, kernel, machine)? {
        Err(diagnostics) => scripts.refuse(context, &diagnostics).map(|()| None),
        Ok(resolution) => {
            let line = |it: &profiles::resolution::Resolved<'_>| (it.name.clone(), goal(it));
            Ok(Some(resolution.settings.iter().map(line).collect()))
        }
    }
}
