//! From a script to a plan for one kernel: its facts, the resolution, modules, what is there now.

use std::collections::{BTreeSet, HashMap};

use profiles::catalogue::{Catalogue, LoadError};
use profiles::composition::Arguments;
use profiles::diagnostic::Diagnostic;
use profiles::expression::Value;
use profiles::facts::{self, Facts, MachineError};
use profiles::guarding::{self, Watched};
use profiles::planning::{self, Planning};
use profiles::resolution::{Present, Request, resolve};
use profiles::scripts::Scripts;
use transaction::Plan;
use transaction::agent::{Question, Reply};
use transaction::plan::{Guard, Target};

use super::kernel::{Kernel, KernelError, Seen, ask};

/// What a kernel is to be.
pub struct Wanted<'w> {
    /// The scripts.
    pub scripts: &'w Scripts,
    /// The profile's name.
    pub profile: &'w str,
    /// What its parameters are given.
    pub arguments: &'w Arguments,
}

/// A plan that was made for one kernel as it is.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The plan.
    pub plan: Plan,
    /// Its guard.
    pub watched: Option<Watched>,
    /// What there is to tell although it is no error.
    pub warnings: Vec<Diagnostic>,
    /// Settings whose goal rests on what is there, which could not be understood.
    pub unread: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// the script is refused for this kernel
    #[error("the profile is refused for this kernel")]
    Refused(Vec<Diagnostic>),
    /// a fact is missing
    #[error("{what} rests on `{fact}`, which cannot be read here")]
    Undecided {
        /// What could not be decided.
        what: String,
        /// The fact.
        fact: String,
    },
    /// the kernel does not say what it is
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// the kernel does not answer
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// the catalogue in this program is broken
    #[error(transparent)]
    Catalogue(#[from] LoadError),
}

impl Wanted<'_> {
    fn request<'r>(
        &'r self,
        facts: &'r Facts,
        present: &'r Present,
        catalogue: &'static Catalogue,
    ) -> Request<'static, 'r> {
        Request {
            library: &self.scripts.library,
            profile: self.profile,
            arguments: self.arguments,
            facts,
            present,
            catalogue,
        }
    }
}

/// Learns of the files that the script asks for by name: `if exists("/sys/…")`. An answer may lead to the
/// next question, and a script has only so many.
fn learn(
    kernel: &mut dyn Kernel,
    wanted: &Wanted<'_>,
    facts: &mut Facts,
    present: &Present,
    catalogue: &'static Catalogue,
) -> Result<(), PrepareError> {
    loop {
        let resolution = resolve(&wanted.request(facts, present, catalogue))
            .map_err(|diagnostic| PrepareError::Refused(vec![diagnostic]))?;
        let asked = resolution.undecided.iter().filter_map(|it| it.fact.split_once('.'));
        let asked = asked.filter(|(ask, _)| ["exists", "active"].contains(ask));
        let asked: BTreeSet<(String, String)> =
            asked.map(|(ask, of)| (ask.to_owned(), of.to_owned())).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let seen = Seen::new(kernel);
        for (ask, of) in asked {
            facts.know(&format!("{ask}.{of}"), Value::Flag(facts::holds(&seen, &ask, &of)));
        }
    }
}

/// Makes a plan. With `load`, modules that its settings need are loaded first; without, nothing is changed,
/// and settings of modules that are not loaded are named as not there.
///
/// # Errors
/// [`PrepareError`]; no setting was touched.
pub fn prepare(
    kernel: &mut dyn Kernel,
    wanted: &Wanted<'_>,
    load: bool,
) -> Result<Prepared, PrepareError> {
    let catalogue = Catalogue::built_in()?;
    let name = kernel.name().to_owned();
    let (mut facts, present) = facts::machine(&Seen::new(kernel))?;
    if !kernel.is_this_machine() {
        facts.know("partition.name", Value::Text(name));
    }
    learn(kernel, wanted, &mut facts, &present, catalogue)?;
    let resolution = resolve(&wanted.request(&facts, &present, catalogue))
        .map_err(|diagnostic| PrepareError::Refused(vec![diagnostic]))?;
    if !resolution.is_ok() {
        return Err(PrepareError::Refused(resolution.diagnostics));
    }
    if let Some(undecided) = resolution.undecided.first() {
        let (what, fact) = (undecided.what.clone(), undecided.fact.clone());
        return Err(PrepareError::Undecided { what, fact });
    }
    let modules = planning::modules(&resolution);
    let without = match load && !modules.is_empty() {
        false => Vec::new(),
        true => match ask(kernel, &Question::Load(modules))? {
            Reply::NotLoaded(without) => without,
            other => return Err(KernelError::unexpected(&other).into()),
        },
    };
    let in_force = match ask(kernel, &Question::InForce)? {
        Reply::InForce(in_force) => in_force,
        other => return Err(KernelError::unexpected(&other).into()),
    };
    let targets = planning::targets(&resolution, &in_force);
    let readings = match ask(kernel, &Question::Read(targets.clone()))? {
        Reply::Read(readings) => readings,
        other => return Err(KernelError::unexpected(&other).into()),
    };
    let readings: HashMap<Target, _> = targets.into_iter().zip(readings).collect();
    let mut warnings = resolution.diagnostics.clone();
    let family = wanted.scripts.library.family(wanted.profile);
    let watched = family.ok().and_then(|family| {
        let guard = wanted.scripts.library.guard(&family)?;
        Some(guarding::compile(guard, &wanted.scripts.sources, &mut warnings))
    });
    let guard = watched.as_ref().map(|watched| Guard {
        confirm_within: watched
            .confirm_within
            .map(|within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX)),
        reasons: watched.reasons.iter().map(|reason| reason.told.clone()).collect(),
    });
    let planned = Planning {
        profile: wanted.profile,
        facts: &facts,
        catalogue,
        sources: &wanted.scripts.sources,
        readings: &readings,
        without: &without,
        in_force: &in_force,
        guard,
    }
    .plan(&resolution);
    Ok(Prepared { plan: planned.plan, watched, warnings, unread: planned.unread })
}
