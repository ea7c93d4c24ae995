//! Scripts that are read together, with the standard profiles that they speak of.

use std::collections::BTreeSet;

use crate::composition::{Arguments, Library};
use crate::diagnostic::{Diagnostic, FileId, Source, Sources};
use crate::expression::{Expression, Found, Scope, evaluate};
use crate::script::{Policy, Profile, Read, Script};
use crate::syntax::{Parse, parse_expression};
use crate::{standard, typing};

/// What scripts say, and what is wrong with them whatever the kernel.
#[derive(Clone, Debug, Default)]
pub struct Scripts {
    /// The files, those of the standard library included.
    pub sources: Sources,
    /// What they define.
    pub library: Library,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were given; those of the standard library are not among them.
    own: BTreeSet<FileId>,
}

/// Why it cannot be said which profile is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// the named one does not exist
    #[error("there is no profile `{name}`; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// none to choose from
    #[error("the script has no profile")]
    None,
    /// several to choose from
    #[error("the script has several profiles, and none was named: {known}")]
    Several {
        /// Those that there are.
        known: String,
    },
}

impl Scripts {
    /// Reads scripts.
    pub fn of(given: impl IntoIterator<Item = Source>) -> Self {
        let mut scripts = Self::default();
        for source in given {
            let text = source.clone();
            let file = scripts.sources.add(source);
            scripts.take(file, Script::read(file, text.text()));
        }
        scripts.complete(&mut |_| Vec::new())
    }

    /// One script that was parsed already, as the first file, and of others what it speaks of: `others` gives, for
    /// the names of profiles that are missing, the scripts that define them, and is asked until it knows
    /// of no more. What those say of other profiles, and their policies, counts for nothing.
    pub fn among(
        source: Source,
        parse: &Parse,
        others: &mut dyn FnMut(&BTreeSet<String>) -> Vec<Source>,
    ) -> Self {
        let mut scripts = Self::default();
        let file = scripts.sources.add(source);
        scripts.take(file, Script::of(parse));
        scripts.complete(others)
    }

    fn take(&mut self, file: FileId, read: Read) {
        self.own.insert(file);
        self.diagnostics.extend(read.diagnostics);
        self.library.add(read.script, &mut self.diagnostics);
    }

    /// Adds what is spoken of, and checks it all.
    fn complete(mut self, others: &mut dyn FnMut(&BTreeSet<String>) -> Vec<Source>) -> Self {
        loop {
            let missing = self.library.missing();
            let found = if missing.is_empty() { Vec::new() } else { others(&missing) };
            for source in found {
                let text = source.clone();
                let file = self.sources.add(source);
                let mut script = Script::read(file, text.text()).script;
                script.policies.clear();
                self.library.add_standard(script, &mut self.diagnostics);
            }
            // Ends, too, where others are given that do not define what they were asked for.
            if missing.is_superset(&self.library.missing()) {
                break;
            }
        }
        standard::complete(&mut self.library, &mut self.sources, &mut self.diagnostics);
        self.library.check(&mut self.diagnostics);
        typing::check(&self.library, &mut self.diagnostics);
        self
    }

    /// The files that were given.
    pub fn given(&self) -> impl Iterator<Item = &Source> {
        self.own.iter().filter_map(|file| self.sources.get(*file))
    }

    /// Whether a file is one of those that were given.
    pub fn is_own(&self, file: FileId) -> bool {
        self.own.contains(&file)
    }

    /// The profiles of the files that were given.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.library.profiles().filter(|profile| self.own.contains(&profile.name.span.file))
    }

    /// Whether something has to be mended before anything can be resolved.
    pub fn is_wrong(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The policy, where there is exactly one.
    pub fn policy(&self) -> Option<&Policy> {
        match self.library.policies() {
            [policy] => Some(policy),
            _ => None,
        }
    }

    /// The profile that is meant: the named one; or the policy's default; or the only one; or the only one
    /// that no other extends.
    ///
    /// # Errors
    /// [`ChoiceError`]
    pub fn choose(&self, named: Option<&str>) -> Result<String, ChoiceError> {
        let known: Vec<&str> = self.profiles().map(|profile| profile.name.text.as_str()).collect();
        let told = || known.join(", ");
        if let Some(name) = named {
            return match known.contains(&name) {
                true => Ok(name.to_owned()),
                false => Err(ChoiceError::Unknown { name: name.to_owned(), known: told() }),
            };
        }
        let default = self.policy().and_then(|policy| policy.default.as_ref()?.profile.clone());
        if let Some(default) = default {
            return Ok(default.text);
        }
        let parents: Vec<&str> = self
            .profiles()
            .flat_map(|profile| profile.parents.iter().map(|parent| parent.text.as_str()))
            .collect();
        let last: Vec<&&str> = known.iter().filter(|name| !parents.contains(name)).collect();
        match (known.as_slice(), last.as_slice()) {
            ([], _) => Err(ChoiceError::None),
            ([only], _) => Ok((*only).to_owned()),
            (_, [only]) => Ok((**only).to_owned()),
            _ => Err(ChoiceError::Several { known: told() }),
        }
    }
}

/// A text that is not a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a value: parameter `{name}` takes one such as 1GiB")]
pub struct ArgumentError {
    /// The parameter.
    pub name: String,
    /// What it was given.
    pub text: String,
}

/// No names but words.
struct Words;

impl Scope for Words {
    fn find(&self, _: &[String]) -> Found {
        Found::Nothing
    }
}

/// What parameters are given, from names and texts: `dirty`, `1GiB`.
///
/// # Errors
/// The first text that is not a value.
pub fn arguments(parameters: &[(String, String)]) -> Result<Arguments, ArgumentError> {
    let mut arguments = Arguments::new();
    for (name, text) in parameters {
        let wrong = || ArgumentError { name: name.clone(), text: text.clone() };
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
