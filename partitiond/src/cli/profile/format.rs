//! `profile fmt`

use std::path::PathBuf;

use profiles::diagnostic::{Source, Sources, render};
use profiles::syntax::{fmt, parse};

use super::{PENDING, WRONG};
use crate::cli::context::say;
use crate::cli::exit::Failure;
use crate::cli::{Context, output};
use crate::durable;

/// `profile fmt FILE…`
pub fn run(context: &Context, files: &[PathBuf], check: bool) -> Result<(), Failure> {
    let (mut wrong, mut changed) = (false, Vec::new());
    for path in files {
        let source = Source::read(path).map_err(|error| Failure::of(&error))?;
        let mut sources = Sources::new();
        let file = sources.add(source.clone());
        let parse = parse(file, source.text());
        let Ok(formatted) = fmt::format(&parse) else {
            let told = render::render(parse.diagnostics(), &sources, context.err().color());
            say(told.trim_end());
            wrong = true;
            continue;
        };
        if formatted == source.text() {
            continue;
        }
        changed.push(path.display().to_string());
        if !check {
            durable::replace(path, formatted.as_bytes()).map_err(|error| {
                Failure::failed(format!("cannot write {}: {error}", path.display()))
            })?;
        }
    }
    if context.json() {
        output::json(&changed)?;
    } else {
        output::text(&changed.iter().map(|path| format!("{path}\n")).collect::<String>())?;
    }
    match (wrong, check && !changed.is_empty()) {
        (true, _) => Err(Failure::silent(WRONG)),
        (false, true) => Err(Failure::silent(PENDING)),
        (false, false) => Ok(()),
    }
}
