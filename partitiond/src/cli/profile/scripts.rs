//! Scripts from files, and the machine that they are for.

use std::path::Path;

use profiles::catalogue::{Catalogue, Kernel};
use profiles::composition::Arguments;
use profiles::diagnostic::report::Report;
use profiles::diagnostic::{Diagnostic, Source, render};
use profiles::facts::Facts;
use profiles::scripts::ChoiceError;
use profiles::standard;

use super::WRONG;
use crate::cli::Context;
use crate::cli::exit::{Failure, USAGE};
use crate::cli::table::Described;

/// What files say, and what is wrong with them whatever the kernel.
pub struct Scripts(pub profiles::scripts::Scripts);

impl std::ops::Deref for Scripts {
    type Target = profiles::scripts::Scripts;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Scripts {
    /// Reads files; a standard profile is known by its name, where no file has that.
    pub fn read(files: &[impl AsRef<Path>]) -> Result<Self, Failure> {
        let sources = files.iter().map(|file| match standard::script(file.as_ref()) {
            Some(source) if !file.as_ref().exists() => Ok(source),
            _ => Source::read(file.as_ref()),
        });
        let sources: Result<Vec<Source>, _> = sources.collect();
        let sources = sources.map_err(|error| Failure::of(&error))?;
        Ok(Self(profiles::scripts::Scripts::of(sources)))
    }

    /// The profile that is meant.
    pub fn one(&self, named: Option<&str>) -> Result<String, Failure> {
        self.choose(named).map_err(|error| {
            let failure = Failure::of(&error).status(WRONG);
            match error {
                ChoiceError::Several { .. } => failure.hint("name one with --profile"),
                ChoiceError::Unknown { .. } | ChoiceError::None => failure,
            }
        })
    }

    /// The diagnostics as a person reads them, to standard error.
    pub fn tell(&self, context: &Context, diagnostics: &[Diagnostic]) {
        let text = render::render(diagnostics, &self.sources, context.err().color());
        if !text.is_empty() {
            crate::cli::context::say(text.trim_end());
        }
    }

    /// The diagnostics as data.
    pub fn reports(&self, diagnostics: &[Diagnostic]) -> Vec<Report> {
        diagnostics.iter().map(|diagnostic| Report::new(diagnostic, &self.sources)).collect()
    }

    /// Tells what is wrong, and fails.
    pub fn refuse(&self, context: &Context, diagnostics: &[Diagnostic]) -> Result<(), Failure> {
        if context.json() {
            crate::cli::output::json(&self.reports(diagnostics))?;
        } else {
            self.tell(context, diagnostics);
        }
        Err(Failure::silent(WRONG))
    }
}

/// The catalogue.
pub fn catalogue() -> Result<&'static Catalogue, Failure> {
    Catalogue::built_in().map_err(|error| Failure::of(&error))
}

/// What is known of a machine with this kernel.
pub fn facts(kernel: &Kernel, machine: &Described) -> Facts {
    let mut facts = Facts::of_kernel(kernel.clone());
    if let Some(cpus) = machine.cpus {
        facts = facts.with_cpus(cpus);
    }
    if let Some(memory) = machine.memory {
        facts = facts.with_memory(memory.0);
    }
    facts
}

/// The parameters of a command line.
pub fn arguments(parameters: &[(String, String)]) -> Result<Arguments, Failure> {
    profiles::scripts::arguments(parameters)
        .map_err(|error| Failure::with_status(USAGE, error.to_string()))
}
