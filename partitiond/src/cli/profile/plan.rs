//! `profile plan`

use std::path::Path;

use profiles::diagnostic::Diagnostic;
use profiles::expression::Value;
use profiles::resolution::{Goal, Present, Request, Resolution, Resolved, resolve};
use serde::Serialize;

use super::PENDING;
use super::scripts::{Scripts, arguments, catalogue, facts};
use crate::cli::exit::Failure;
use crate::cli::table::Described;
use crate::cli::{Context, output};

/// The plan as data.
#[derive(Serialize)]
struct Answer {
    profile: String,
    kernel: String,
    settings: Vec<Line>,
    not_applicable: Vec<Reason>,
    undecided: Vec<Reason>,
}

/// One setting.
#[derive(Serialize)]
struct Line {
    name: String,
    place: String,
    value: String,
    wanted_by: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    modules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guarded: Option<String>,
}

/// Something that is not done, and why.
#[derive(Serialize)]
struct Reason {
    name: String,
    why: String,
}

/// `profile plan FILE`
pub fn run(
    context: &Context,
    file: &Path,
    profile: Option<&str>,
    machine: &Described,
) -> Result<(), Failure> {
    let scripts = Scripts::read(&[file])?;
    if scripts.is_wrong() {
        return scripts.refuse(context, &scripts.diagnostics);
    }
    let Some(kernel) = &machine.kernel else {
        return Err(super::exchange::for_which_kernel());
    };
    let profile = scripts.one(profile)?;
    let (facts, arguments) = (facts(kernel, machine), arguments(&machine.parameters)?);
    let resolution = resolve(&Request {
        library: &scripts.library,
        profile: &profile,
        arguments: &arguments,
        facts: &facts,
        present: &Present::default(),
        catalogue: catalogue()?,
    });
    let resolution = match resolution {
        Ok(resolution) if resolution.is_ok() => resolution,
        Ok(resolution) => return scripts.refuse(context, &resolution.diagnostics),
        Err(diagnostic) => return scripts.refuse(context, &[diagnostic]),
    };
    let answer = answer(&scripts, profile, kernel.to_string(), &resolution);
    if context.json() {
        output::json(&answer)?;
    } else {
        let warnings: Vec<Diagnostic> = resolution.diagnostics.clone();
        scripts.tell(context, &warnings);
        output::text(&told(&answer))?;
    }
    if answer.settings.is_empty() { Ok(()) } else { Err(Failure::silent(PENDING)) }
}

fn answer(
    scripts: &Scripts,
    profile: String,
    kernel: String,
    resolution: &Resolution<'_>,
) -> Answer {
    let line = |resolved: &Resolved<'_>| Line {
        name: resolved.name.clone(),
        place: resolved.place.to_string(),
        value: goal(resolved),
        wanted_by: resolved
            .origins
            .iter()
            .map(|origin| {
                let source = scripts.sources.get(origin.span.file);
                let line = source.map(|source| {
                    format!("{}:{}", source.name(), source.position(origin.span.start).line)
                });
                format!("{} ({})", origin.profile, line.unwrap_or_default())
            })
            .collect(),
        modules: resolved.modules.clone(),
        guarded: resolved.needs_guard.clone(),
    };
    Answer {
        profile,
        kernel,
        settings: resolution.settings.iter().map(line).collect(),
        not_applicable: resolution
            .not_applicable
            .iter()
            .map(|it| Reason { name: it.name.clone(), why: it.reason.clone() })
            .collect(),
        undecided: resolution
            .undecided
            .iter()
            .map(|it| Reason {
                name: it.what.clone(),
                why: format!("`{}` is not known here", it.fact),
            })
            .collect(),
    }
}

/// What is to become of a setting, in the kernel's words.
pub fn goal(resolved: &Resolved<'_>) -> String {
    let written = |value: &Value| match resolved.setting {
        Some(setting) => setting.kind.written(value),
        None => value.to_string(),
    };
    let all = |values: &[Value]| values.iter().map(written).collect::<Vec<_>>().join(" ");
    match &resolved.goal {
        Goal::Exactly(value) => written(value),
        Goal::Within(Some(least), Some(most)) => {
            format!("at least {}, at most {}", written(least), written(most))
        }
        Goal::Within(Some(least), None) => format!("at least {}", written(least)),
        Goal::Within(None, Some(most)) => format!("at most {}", written(most)),
        Goal::Within(None, None) => "as it is".to_owned(),
        Goal::Edited { more, less } => match (more.as_slice(), less.as_slice()) {
            (more, []) => format!("with {}", all(more)),
            ([], less) => format!("without {}", all(less)),
            (more, less) => format!("with {}, without {}", all(more), all(less)),
        },
    }
}

fn told(answer: &Answer) -> String {
    let mut text = format!("{} on {}\n", answer.profile, answer.kernel);
    let widest = |of: fn(&Line) -> &str| {
        answer.settings.iter().map(|line| of(line).chars().count()).max().unwrap_or_default()
    };
    let (name, value) = (widest(|line| &line.name).min(48), widest(|line| &line.value).min(32));
    for line in &answer.settings {
        text += &format!(
            "  {:<name$}  {:<value$}  {}\n",
            line.name,
            line.value,
            line.place,
            name = name,
            value = value
        );
    }
    for (heading, reasons) in
        [("not applicable", &answer.not_applicable), ("undecided", &answer.undecided)]
    {
        if !reasons.is_empty() {
            text += &format!("{heading}\n");
        }
        for reason in reasons {
            text += &format!("  {}: {}\n", reason.name, reason.why);
        }
    }
    text
}
