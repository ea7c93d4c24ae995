//! `profile check`

use std::path::PathBuf;

use profiles::catalogue::{Kernel, matrix};
use profiles::diagnostic::{Diagnostic, Help, codes};
use profiles::resolution::{Present, Request, resolve};

use super::scripts::{Scripts, arguments, catalogue, facts};
use crate::cli::exit::Failure;
use crate::cli::table::Described;
use crate::cli::{Context, output};

fn kernels(machine: &Described) -> Result<Vec<Kernel>, Failure> {
    if let Some(kernel) = &machine.kernel {
        return Ok(vec![kernel.clone()]);
    }
    let matrix = matrix().map_err(|error| Failure::of(&error))?;
    Ok(matrix.iter().map(|member| member.kernel().with_options()).collect())
}

/// `profile check FILE…`
pub fn run(context: &Context, files: &[PathBuf], machine: &Described) -> Result<(), Failure> {
    let scripts = Scripts::read(files)?;
    if scripts.is_wrong() {
        return scripts.refuse(context, &scripts.diagnostics);
    }
    let arguments = arguments(&machine.parameters)?;
    let kernels = kernels(machine)?;
    let mut found = Found { all: kernels.len(), diagnostics: Vec::new() };
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
    diagnostics.extend(found.told());
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

/// What is wrong, and on which kernels.
struct Found {
    all: usize,
    diagnostics: Vec<(Diagnostic, Vec<String>)>,
}

impl Found {
    fn add(&mut self, kernel: &Kernel, diagnostics: impl Iterator<Item = Diagnostic>) {
        for diagnostic in diagnostics {
            let kernel = kernel.to_string();
            match self.diagnostics.iter_mut().find(|(known, _)| *known == diagnostic) {
                Some((_, kernels)) if kernels.contains(&kernel) => {}
                Some((_, kernels)) => kernels.push(kernel),
                None => self.diagnostics.push((diagnostic, vec![kernel])),
            }
        }
    }

    /// Each once, with the kernels where it is not all of them.
    fn told(self) -> impl Iterator<Item = Diagnostic> {
        let all = self.all;
        self.diagnostics.into_iter().map(move |(mut diagnostic, kernels)| {
            if kernels.len() < all {
                let text = format!("on {}", kernels.join(", "));
                diagnostic.help.push(Help { text, edit: None });
            }
            diagnostic
        })
    }
}
