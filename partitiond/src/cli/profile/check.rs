//! `profile check`

use std::path::PathBuf;

use profiles::catalogue::Kernel;
use profiles::diagnostic::{Diagnostic, codes};
use profiles::matrix::{self, Found};
use profiles::resolution::{Present, Request, resolve};

use super::scripts::{Scripts, arguments, catalogue, facts};
use crate::cli::exit::Failure;
use crate::cli::table::Described;
use crate::cli::{Context, output};

fn kernels(machine: &Described) -> Vec<Kernel> {
    if let Some(kernel) = &machine.kernel {
        return vec![kernel.clone()];
    }
    matrix::kernels()
}

/// `profile check FILE…`
pub fn run(context: &Context, files: &[PathBuf], machine: &Described) -> Result<(), Failure> {
    let scripts = Scripts::read(files)?;
    if scripts.is_wrong() {
        return scripts.refuse(context, &scripts.diagnostics);
    }
    let arguments = arguments(&machine.parameters)?;
    let kernels = kernels(machine);
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
        return scripts.refuse(context, &diagnostics);
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
