//! `plan`: what `up` would do.

use std::collections::BTreeMap;

use images::store::Store;
use serde::Serialize;

use super::exit::{Failure, INVALID, NOT_FOUND};
use super::table::PlanOptions;
use super::{Context, connect, doctor, image, output, terminal, up};
use crate::cluster::{Backend, ClusterError, ClusterFile, Trust};
use crate::inventory::Machine;
use crate::placement::{Assignments, diagnose, explain, place};
use crate::plan::{Actual, Plan, Resolved, desired, plan};

/// `plan FILE`
pub fn run(context: &Context, options: &PlanOptions) -> Result<(), Failure> {
    let store = image::store()?;
    let file = up::read(context, &options.file, &store)?;
    if let Some(path) = &options.machine {
        return local(context, options, &file, &store, &doctor::load(path)?);
    }
    let client = connect::existing(context)?;
    match client.version() {
        Ok(_) => {}
        // Nothing runs that would have to be reckoned with.
        Err(error)
            if error.is_not_running()
                && context.global().rig.is_none()
                && context.global().socket.is_none() =>
        {
            context.remark("no supervisor runs: planned for this machine with no partitions on it");
            return local(context, options, &file, &store, &doctor::here()?);
        }
        Err(error) => return Err(error.into()),
    }
    // Whether a partition has to be restarted depends on what its image is made of now.
    let board = context.board();
    let request = up::request(&client, &file, &options.file, &store, &board)?;
    drop(board);
    let answer = client.plan(&request)?;
    if context.json() {
        return output::json(&answer);
    }
    show(options, &answer.text, &answer.explanations)
}

/// The answer of a plan that was made here.
#[derive(Serialize)]
struct Answer<'a> {
    plan: &'a Plan,
    text: String,
    explanations: BTreeMap<String, Vec<String>>,
}

fn local(
    context: &Context,
    options: &PlanOptions,
    file: &ClusterFile,
    store: &Store,
    machine: &Machine,
) -> Result<(), Failure> {
    let placement = place(machine, &file.cluster, &Assignments::new()).map_err(|refusals| {
        match diagnose(file, &refusals) {
            Some(all) => Failure::cluster(&ClusterError::Invalid(all), context.err().color()),
            None => {
                let all: Vec<_> = refusals.iter().map(ToString::to_string).collect();
                Failure::with_status(INVALID, all.join("\n"))
            }
        }
    })?;
    let wanted = desired(&file.cluster, &placement, &|_, partition| Resolved {
        backend: match (file.cluster.backend_of(partition), file.cluster.trust) {
            (Backend::Auto, Trust::Mutual) => Backend::Bare,
            (Backend::Auto, Trust::Isolated) => Backend::Kvm,
            (backend, _) => backend,
        },
        // What the file itself defines is built by `up`, though that may turn out to be done.
        digest: match file.cluster.images.contains_key(&partition.image) {
            true => None,
            false => store.resolve(&partition.image).ok().map(|image| image.digest.to_string()),
        },
    });
    let plan = plan(&wanted, &Actual::default());
    let explanations = wanted
        .keys()
        .filter_map(|name| Some((name.clone(), explain(machine, &placement, name)?)))
        .collect();
    let look = context.out().look(terminal::width());
    let mut text = plan.render(look);
    text.push('\n');
    text += &crate::plan::map(machine, &placement.assignments(), look);
    if context.json() {
        let plain = plan.render(crate::plan::Look::default());
        return output::json(&Answer { plan: &plan, text: plain, explanations });
    }
    show(options, &text, &explanations)
}

fn show(
    options: &PlanOptions,
    text: &str,
    explanations: &BTreeMap<String, Vec<String>>,
) -> Result<(), Failure> {
    let Some(name) = &options.explain else {
        return output::text(text);
    };
    let lines = explanations.get(name).ok_or_else(|| {
        let known: Vec<&str> = explanations.keys().map(String::as_str).collect();
        Failure::with_status(
            NOT_FOUND,
            format_args!("the file has no partition `{name}`; it has {}", known.join(", ")),
        )
    })?;
    output::text(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}
