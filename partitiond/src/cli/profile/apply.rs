//! `profile apply`: a profile into force, on a kernel that runs.

use std::path::Path;

use profiles::diagnostic::Source;
use profiles::policy::{Compiled, compile};
use transaction::Plan;
use transaction::engine::{Outcome, Report, StepReport};

use super::attend;
use super::in_force;
use super::scripts::{Scripts, arguments};
use super::{PENDING, WRONG};
use crate::cli::exit::Failure;
use crate::cli::table::{Apply, On};
use crate::cli::{Context, connect, output};
use crate::tuning::{self, Errand, Kernel, PrepareError, Prepared, Wanted};

/// `profile apply FILE`
pub fn run(context: &Context, wanted: &Apply) -> Result<(), Failure> {
    let mut kernel = in_force::kernel(context, &wanted.on)?;
    let named = wanted.profile.as_deref();
    let Some((scripts, prepared)) =
        prepare(context, kernel.as_mut(), &wanted.file, named, &wanted.parameters, true)?
    else {
        return Err(Failure::silent(WRONG));
    };
    tell(context, &scripts, &prepared)?;
    let policy = match named {
        Some(_) => None,
        None => policy(context, &scripts)?,
    };
    let is_looked_after =
        prepared.watched.is_some() || policy.is_some() || !prepared.plan.workloads.is_empty();
    let report = if let Some(name) = &wanted.on.partition {
        // The supervisor looks after it, from outside; and brings it back when the partition starts again.
        let errand = errand(&scripts, &wanted.parameters, &prepared, policy.is_some());
        connect::existing(context)?.tune(name, &errand)?
    } else if is_looked_after {
        let errand = errand(&scripts, &wanted.parameters, &prepared, policy.is_some());
        if wanted.foreground {
            return attend::stay(&errand, |report| told(context, &prepared, report, &wanted.on));
        }
        attend::send(&errand)?
    } else {
        tuning::apply(kernel.as_mut(), &prepared)
            .map_err(|error| Failure::of(&error).status(WRONG))?
    };
    told(context, &prepared, &report, &wanted.on)
}

/// `profile plan FILE --host` or `--partition NAME`
pub fn plan(
    context: &Context,
    file: &Path,
    named: Option<&str>,
    parameters: &[(String, String)],
    on: &On,
) -> Result<(), Failure> {
    let mut kernel = in_force::kernel(context, on)?;
    let prepared = prepare(context, kernel.as_mut(), file, named, parameters, false)?;
    let Some((scripts, prepared)) = prepared else { return Err(Failure::silent(WRONG)) };
    if context.json() {
        output::json(&prepared.plan)?;
    } else {
        tell(context, &scripts, &prepared)?;
    }
    if changes(&prepared.plan) { Err(Failure::silent(PENDING)) } else { Ok(()) }
}

/// A plan for a kernel that runs; none where the script is refused, which has been told then.
fn prepare(
    context: &Context,
    kernel: &mut dyn Kernel,
    file: &Path,
    named: Option<&str>,
    parameters: &[(String, String)],
    load: bool,
) -> Result<Option<(Scripts, Prepared)>, Failure> {
    let scripts = Scripts::read(&[file])?;
    if scripts.is_wrong() {
        return scripts.refuse(context, &scripts.diagnostics).map(|()| None);
    }
    let profile = scripts.one(named)?;
    let arguments = arguments(parameters)?;
    if kernel.is_this_machine() {
        attend::undo_what_nobody_watches(context, kernel)?;
    }
    let wanted = Wanted { scripts: &scripts, profile: &profile, arguments: &arguments };
    match tuning::prepare(kernel, &wanted, load) {
        Ok(prepared) => Ok(Some((scripts, prepared))),
        Err(PrepareError::Refused(diagnostics)) => {
            scripts.refuse(context, &diagnostics).map(|()| None)
        }
        Err(error) => Err(Failure::of(&error).status(WRONG)),
    }
}

/// What whoever looks after the profile has to know.
fn errand(
    scripts: &Scripts,
    parameters: &[(String, String)],
    prepared: &Prepared,
    follow: bool,
) -> Errand {
    let text = |it: &Source| (it.name().to_owned(), it.text().to_owned());
    Errand {
        scripts: scripts.given().map(text).collect(),
        profile: Some(prepared.plan.profile.clone()),
        parameters: parameters.to_vec(),
        follow,
        plan: Some(prepared.plan.clone()),
    }
}

/// The script's policy, where it has one.
fn policy(context: &Context, scripts: &Scripts) -> Result<Option<Compiled>, Failure> {
    let Some(policy) = scripts.policy() else { return Ok(None) };
    let mut diagnostics = Vec::new();
    let compiled = compile(policy, &scripts.sources, &mut diagnostics);
    if diagnostics.is_empty() {
        return Ok(Some(compiled));
    }
    scripts.refuse(context, &diagnostics).map(|()| None)
}

/// The plan before the deed.
fn tell(context: &Context, scripts: &Scripts, prepared: &Prepared) -> Result<(), Failure> {
    if context.json() {
        return Ok(());
    }
    scripts.tell(context, &prepared.warnings);
    for name in &prepared.unread {
        context.remark(&format!(
            "{name}: what it is now cannot be understood, so it is left as it is"
        ));
    }
    output::text(&change(&prepared.plan))
}

/// A plan as what it changes.
fn change(plan: &Plan) -> String {
    let changes = plan.steps.iter().filter(|step| {
        let holds = step.old.as_deref().is_some_and(|old| step.compare.already(&step.new, old));
        !holds
    });
    let rows: Vec<(&str, String, &str)> = changes
        .map(|step| {
            let old = step.old.as_deref().map(|old| {
                step.compare.in_force(Some(&step.new), old).unwrap_or_else(|| old.to_owned())
            });
            (step.setting.as_str(), old.unwrap_or_else(|| "?".to_owned()), step.new.as_str())
        })
        .collect();
    let width =
        rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or_default().min(48);
    let mut text = String::new();
    for (name, old, new) in rows {
        text += &format!("  {name:<width$}  {old} → {new}\n");
    }
    for workload in &plan.workloads {
        text +=
            &format!("  programs of {} are placed, now and whenever they start\n", workload.name);
    }
    if !plan.not_applicable.is_empty() {
        text += "not applicable\n";
    }
    for absent in &plan.not_applicable {
        text += &format!("  {}: {}\n", absent.setting, absent.reason);
    }
    text
}

/// Whether applying a plan would write anything.
fn changes(plan: &Plan) -> bool {
    plan.steps
        .iter()
        .any(|step| !step.old.as_deref().is_some_and(|old| step.compare.already(&step.new, old)))
}

/// What was done.
fn told(context: &Context, prepared: &Prepared, report: &Report, on: &On) -> Result<(), Failure> {
    if context.json() {
        return output::json(report);
    }
    let count = |outcomes: &[Outcome]| {
        report.steps.iter().filter(|step| outcomes.contains(&step.outcome)).count()
    };
    let mut text = format!(
        "profile {} is in force: {} written, {} as they were (transaction {})\n",
        report.profile,
        count(&[Outcome::Written, Outcome::Rounded]),
        count(&[Outcome::Unchanged]),
        report.number
    );
    let named = |outcome: Outcome| {
        report.steps.iter().filter(move |step: &&StepReport| step.outcome == outcome)
    };
    for step in named(Outcome::Rounded) {
        let read = step.read.as_deref().unwrap_or_default();
        let written = step.written.as_deref().unwrap_or_default();
        if read.trim() != written {
            text += &format!("  {}: the kernel made {read} of {written}\n", step.setting);
        }
    }
    for step in named(Outcome::Ignored) {
        text += &format!("  {}: the kernel kept what it had\n", step.setting);
    }
    for step in named(Outcome::AtNextBoot) {
        text += &format!("  {}: only the next boot can bring it about\n", step.setting);
    }
    match prepared.plan.guard.as_ref().map(|guard| guard.confirm_within) {
        Some(Some(within)) => {
            let seconds = within as f64 / 1000.0;
            text += &format!(
                "confirm it within {seconds} s, or it is undone: partitiond profile confirm {on}\n"
            );
        }
        Some(None) => text += "its guard is watched for as long as it is in force\n",
        None => {}
    }
    output::text(&text)
}
