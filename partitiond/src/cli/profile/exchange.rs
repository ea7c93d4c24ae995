//! `profile import` and `profile export`: from what a machine has today, and to machines without us.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use profiles::catalogue::Kernel;
use profiles::export::{Entry, Exported, export};
use profiles::import::{Disk, Imported, Options, import};
use profiles::resolution::{Goal, Present, Request, Resolution, Resolved, resolve};
use serde::Serialize;

use super::WRONG;
use super::scripts::{Scripts, arguments, catalogue, facts};
use crate::cli::exit::{Failure, INVALID, USAGE};
use crate::cli::table::{Described, Import};
use crate::cli::{Context, output};
use crate::durable;

/// `profile import FILE… -o OUT`
pub fn import_files(context: &Context, wanted: &Import) -> Result<(), Failure> {
    let options = Options {
        guard: wanted.guard.map(|guard| guard.0),
        name: wanted.name.clone(),
        ..Options::default()
    };
    let imported = import(&wanted.files, &Disk::default(), catalogue()?, &options)
        .map_err(|error| Failure::of(&error).status(INVALID))?;
    match &wanted.output {
        None => output::text(&imported.script)?,
        Some(path) => write(path, &imported.script)?,
    }
    tell_of_import(context, &imported, wanted.output.as_deref())
}

fn tell_of_import(
    context: &Context,
    imported: &Imported,
    written: Option<&Path>,
) -> Result<(), Failure> {
    let Some(path) = written else { return Ok(()) };
    if context.json() {
        return output::json(&imported.remarks);
    }
    let (statements, profiles) = (imported.written.len(), imported.profiles.join(", "));
    output::text(&format!("{}: {statements} settings in {profiles}\n", path.display()))?;
    if !imported.remarks.is_empty() {
        let count = imported.remarks.len();
        context.remark(&format!(
            "{count} things are not quite as they were; the script's end says which"
        ));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    durable::replace(path, text.as_bytes())
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}

/// What was exported, as data.
#[derive(Serialize)]
struct Answer<'e> {
    files: Vec<Written<'e>>,
    left_out: Vec<Reason>,
}

/// A file to be installed.
#[derive(Serialize)]
struct Written<'e> {
    path: &'e str,
    text: &'e str,
}

/// What is in no file, and why.
#[derive(Serialize)]
struct Reason {
    what: String,
    why: String,
}

/// `profile export FILE --kernel KERNEL -o FOLDER`
pub fn export_profile(
    context: &Context,
    file: &Path,
    profile: Option<&str>,
    machine: &Described,
    folder: Option<&PathBuf>,
) -> Result<(), Failure> {
    let scripts = Scripts::read(&[file])?;
    if scripts.is_wrong() {
        return scripts.refuse(context, &scripts.diagnostics);
    }
    let Some(kernel) = &machine.kernel else { return Err(for_which_kernel()) };
    let profile = scripts.one(profile)?;
    let resolution = match resolved(&scripts, &profile, kernel, machine)? {
        Ok(resolution) => resolution,
        Err(diagnostics) => return scripts.refuse(context, &diagnostics),
    };
    let mut left_out = Vec::new();
    let mut entries = Vec::new();
    for setting in &resolution.settings {
        match text(setting) {
            Some(value) => entries.push(Entry {
                at: setting.place.clone(),
                value,
                comment: format!("{}, profile {profile}", setting.name),
            }),
            None => left_out.push(Reason {
                what: setting.name.clone(),
                why: "it rests on what is there when it is applied".to_owned(),
            }),
        }
    }
    left_out.extend(
        resolution
            .not_applicable
            .iter()
            .map(|absent| Reason { what: absent.name.clone(), why: absent.reason.clone() }),
    );
    left_out.extend(resolution.undecided.iter().map(|undecided| Reason {
        what: undecided.what.clone(),
        why: format!("`{}` is not known here", undecided.fact),
    }));
    let exported = export(&profile, &entries);
    left_out.extend(
        exported
            .remarks
            .iter()
            .map(|remark| Reason { what: remark.what.clone(), why: remark.why.clone() }),
    );
    if let Some(folder) = folder {
        install(folder, &exported)?;
    }
    let files = exported.files.iter().map(|it| Written { path: &it.path, text: &it.text });
    let answer = Answer { files: files.collect(), left_out };
    if context.json() {
        output::json(&answer)
    } else {
        output::text(&told(&answer, folder.is_some()))
    }
}

/// Without a kernel nothing can be said of places.
pub fn for_which_kernel() -> Failure {
    Failure::with_status(USAGE, "for which kernel?")
        .hint("name it: --kernel 6.12-rt --cpus 8 --memory 16GiB")
}

/// What a profile means for a kernel that is described; or what is wrong.
pub fn resolved(
    scripts: &Scripts,
    profile: &str,
    kernel: &Kernel,
    machine: &Described,
) -> Result<Result<Resolution<'static>, Vec<profiles::diagnostic::Diagnostic>>, Failure> {
    let (facts, arguments) = (facts(kernel, machine), arguments(&machine.parameters)?);
    let resolution = resolve(&Request {
        library: &scripts.library,
        profile,
        arguments: &arguments,
        facts: &facts,
        present: &Present::default(),
        catalogue: catalogue()?,
    });
    Ok(match resolution {
        Ok(resolution) if resolution.is_ok() => Ok(resolution),
        Ok(resolution) => Err(resolution.diagnostics),
        Err(diagnostic) => Err(vec![diagnostic]),
    })
}

/// What is written; a bound on what is there is its value on a machine that has defaults.
fn text(resolved: &Resolved<'_>) -> Option<String> {
    let value = match &resolved.goal {
        Goal::Exactly(value) | Goal::Within(Some(value), None) => value,
        Goal::Within(..) | Goal::Edited { .. } => return None,
    };
    Some(match resolved.setting {
        Some(setting) => setting.kind.written(value),
        None => value.to_string(),
    })
}

/// Writes the files below a folder; none of them outside.
fn install(folder: &Path, exported: &Exported) -> Result<(), Failure> {
    for file in &exported.files {
        let path = folder.join(file.path.trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| {
                Failure::failed(format!("cannot make {}: {error}", parent.display())).status(WRONG)
            })?;
        }
        write(&path, &file.text)?;
    }
    Ok(())
}

fn told(answer: &Answer<'_>, installed: bool) -> String {
    let mut text = String::new();
    for file in &answer.files {
        let _ = match installed {
            true => writeln!(text, "{}", file.path),
            false => writeln!(text, "# {}\n{}", file.path, file.text),
        };
    }
    if !answer.left_out.is_empty() {
        text += "# not in any file\n";
    }
    for reason in &answer.left_out {
        let _ = writeln!(text, "#   {}: {}", reason.what, reason.why);
    }
    text
}
