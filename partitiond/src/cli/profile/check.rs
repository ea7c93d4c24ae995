//! `profile check`

use std::path::PathBuf;

use profiles::catalogue::{Kernel, kernels};
use profiles::diagnostic::sarif::Log;
use profiles::diagnostic::{Diagnostic, codes};
use profiles::findings::Found;
use profiles::resolution::{Present, Request, resolve};

use super::WRONG;
use super::scripts::{Scripts, arguments, catalogue, facts};
use crate::cli::exit::Failure;
use crate::cli::table::Described;
use crate::cli::{Context, output};

fn asked_for(machine: &Described) -> Result<Vec<Kernel>, Failure> {
    if let Some(kernel) = &machine.kernel {
        return Ok(vec![kernel.clone()]);
    }
    Ok(kernels().map_err(|error| Failure::of(&error))?.to_vec())
}

/// `profile check FILE…`
pub fn run(context: &Context, files: &[PathBuf], machine: &Described) -> Result<(), Failure> {
    let scripts = Scripts::read(files)?;
    if scripts.is_wrong() {
        return wrong(context, &scripts, &scripts.diagnostics);
    }
    let arguments = arguments(&machine.parameters)?;
    let kernels = asked_for(machine)?;
    let mut found = Found::default();
    for kernel in &kernels {
        let facts = facts(kernel, machine);
        for profile in scripts.profiles() {
            let resolution = resolve(&Request {
                library: &scripts.library,
                profile: &profile.name.text,
                arguments: &arguments,
                facts: &facts,
                present: &Present::default(),
                catalogue: catalogue()?,
            });
            match resolution {
                Ok(resolution) => {
                    // Whether a profile is for a kernel is no question of being right where no kernel
                    // was named.
                    let asked = machine.kernel.is_some();
                    let right = |it: &Diagnostic| !asked && it.code == codes::REQUIREMENT;
                    found.add(kernel, resolution.diagnostics.into_iter().filter(|it| !right(it)));
                }
                Err(diagnostic) => found.add(kernel, std::iter::once(diagnostic)),
            }
        }
    }
    let mut diagnostics = scripts.diagnostics.clone();
    diagnostics.extend(found.told(kernels.len()));
    diagnostics.sort_by_key(|diagnostic| diagnostic.primary.span);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return wrong(context, &scripts, &diagnostics);
    }
    if context.sarif() {
        return sarif(&scripts, &diagnostics);
    }
    if context.json() {
        return output::json(&scripts.reports(&diagnostics));
    }
    scripts.tell(context, &diagnostics);
    let count = scripts.profiles().count();
    let named: Vec<String> = kernels.iter().map(Kernel::to_string).collect();
    let profiles = if count == 1 { "profile" } else { "profiles" };
    output::text(&format!("{count} {profiles} checked for {}\n", named.join(", ")))
}

fn wrong(context: &Context, scripts: &Scripts, diagnostics: &[Diagnostic]) -> Result<(), Failure> {
    if context.sarif() {
        sarif(scripts, diagnostics)?;
        return Err(Failure::silent(WRONG));
    }
    scripts.refuse(context, diagnostics)
}

/// Files are named from where the command runs: for CI, the root of the repository.
fn sarif(scripts: &Scripts, diagnostics: &[Diagnostic]) -> Result<(), Failure> {
    let root = std::env::current_dir().unwrap_or_default();
    output::json(&Log::of(diagnostics, &scripts.sources, &root))
}
