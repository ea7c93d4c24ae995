//! Scripts from files, and the machine that they are for.

use std::collections::BTreeSet;
use std::path::Path;

use profiles::catalogue::{Catalogue, Kernel};
use profiles::composition::{Arguments, Library};
use profiles::diagnostic::report::Report;
use profiles::diagnostic::{Diagnostic, FileId, Source, Sources, render};
use profiles::expression::{Expression, Found, Scope, evaluate};
use profiles::facts::Facts;
use profiles::script::{Profile, Script};
use profiles::syntax::parse_expression;
use profiles::{standard, typing};

use super::WRONG;
use crate::cli::Context;
use crate::cli::exit::{Failure, USAGE};
use crate::cli::table::Described;

/// What files say, and what is wrong with them whatever the kernel.
pub struct Scripts {
    pub sources: Sources,
    pub library: Library,
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were named; those of the standard library are not among them.
    own: BTreeSet<FileId>,
}

impl Scripts {
    /// Reads files.
    pub fn read(files: &[impl AsRef<Path>]) -> Result<Self, Failure> {
        let mut scripts = Self {
            sources: Sources::new(),
            library: Library::default(),
            diagnostics: Vec::new(),
            own: BTreeSet::new(),
        };
        for file in files {
            let source = Source::read(file.as_ref()).map_err(|error| Failure::of(&error))?;
            let text = source.clone();
            let file = scripts.sources.add(source);
            scripts.own.insert(file);
            let read = Script::read(file, text.text());
            scripts.diagnostics.extend(read.diagnostics);
            scripts.library.add(read.script, &mut scripts.diagnostics);
        }
        let Self { sources, library, diagnostics, .. } = &mut scripts;
        standard::complete(library, sources, diagnostics);
        scripts.library.check(&mut scripts.diagnostics);
        typing::check(&scripts.library, &mut scripts.diagnostics);
        Ok(scripts)
    }

    /// The profiles of the files that were named.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.library.profiles().filter(|profile| self.own.contains(&profile.name.span.file))
    }

    /// Whether something has to be mended before anything can be resolved.
    pub fn is_wrong(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
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

/// No names but words.
struct Words;

impl Scope for Words {
    fn find(&self, _: &[String]) -> Found {
        Found::Nothing
    }
}

/// The parameters of a command line.
pub fn arguments(machine: &Described) -> Result<Arguments, Failure> {
    let mut arguments = Arguments::new();
    for (name, text) in &machine.parameters {
        let wrong = || {
            let message =
                format!("`{text}` is not a value: parameter `{name}` takes one such as 1GiB");
            Failure::with_status(USAGE, message)
        };
        let mut sources = Sources::new();
        let file = sources.add(Source::new("parameter", text));
        let parse = parse_expression(file, text);
        let tree = parse.tree().expression().filter(|_| parse.is_ok()).ok_or_else(wrong)?;
        let expression = Expression::of(file, &tree, &mut Vec::new()).ok_or_else(wrong)?;
        let value = evaluate(&expression, &Words).map_err(|_| wrong())?;
        arguments.insert(name.clone(), value);
    }
    Ok(arguments)
}
