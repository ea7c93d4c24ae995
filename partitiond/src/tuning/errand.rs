//! Bringing a profile into force and looking after it, whoever does it: a process of its own for this
//! machine, the supervisor for a partition.

use std::time::{Duration, Instant};

use profiles::composition::Arguments;
use profiles::diagnostic::{Diagnostic, Source, render};
use profiles::guarding;
use profiles::policy::{Compiled, compile};
use profiles::scripts::{Scripts, arguments};
use serde::{Deserialize, Serialize};
use transaction::Plan;
use transaction::agent::{Question, Reply};
use transaction::engine::Report;
use transaction::journal::{Begin, Summary};

use super::TuningError;
use super::kernel::{Kernel, KernelError, ask};
use super::prepare::{PrepareError, Prepared, Wanted, prepare};
use super::steward::{Happening, INTERVAL, Steward, rule_of};

/// What is to be brought into force and looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Names and texts of the scripts.
    pub scripts: Vec<(String, String)>,
    /// The profile; none: the one that the scripts mean.
    pub profile: Option<String>,
    /// What its parameters are given.
    pub parameters: Vec<(String, String)>,
    /// Whether the scripts' policy is followed.
    pub follow: bool,
    /// The plan, where one was made and shown already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

/// Why a profile is not in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrandError {
    /// nothing was changed, or all of it was undone
    #[error("{0}")]
    Refused(String),
    /// the kernel stopped answering while it was being changed
    #[error("{0}")]
    Lost(String),
}

impl From<String> for ErrandError {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

/// Who hears how it goes, and says when to stop.
pub trait Listener {
    /// The plan is about to be applied; `guarded`: somebody has to look after it.
    fn before(&mut self, _guarded: bool) {}

    /// It was in force already, and is looked after again.
    fn resumed(&mut self, _profile: &str) {}

    /// The plan is in force.
    fn applied(&mut self, report: &Report, guarded: bool);

    /// Something happened afterwards.
    fn happened(&mut self, happening: &Happening);

    /// Whether to go on; asked several times a second.
    fn goes_on(&mut self) -> bool {
        true
    }
}

impl Errand {
    /// Whether the scripts are right, as far as that can be said without a kernel.
    ///
    /// # Errors
    /// All that is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        let scripts = self.read();
        match scripts.is_wrong() {
            true => Err(told(&scripts, &scripts.diagnostics)),
            false => {
                scripts.choose(self.profile.as_deref()).map(drop).map_err(|error| error.to_string())
            }
        }
    }

    fn read(&self) -> Scripts {
        Scripts::of(self.scripts.iter().map(|(name, text)| Source::new(name, text)))
    }

    /// Does it. Returns when there is nothing left to look after.
    ///
    /// # Errors
    /// Why the profile is not in force.
    pub fn carry_out(
        &self,
        kernel: &mut dyn Kernel,
        listener: &mut dyn Listener,
    ) -> Result<(), ErrandError> {
        let Read { scripts, profile, arguments, policy } = self.understood()?;
        let prepared = match &self.plan {
            Some(plan) => {
                let mut wrong = Vec::new();
                let watched = scripts.library.family(&profile).ok().and_then(|family| {
                    let guard = scripts.library.guard(&family)?;
                    Some(guarding::compile(guard, &scripts.sources, &mut wrong))
                });
                let plan = plan.clone();
                Prepared { plan, watched, warnings: Vec::new(), unread: Vec::new() }
            }
            None => {
                let wanted = Wanted { scripts: &scripts, profile: &profile, arguments: &arguments };
                prepare(kernel, &wanted, true).map_err(|error| match error {
                    PrepareError::Refused(diagnostics) => told(&scripts, &diagnostics),
                    other => other.to_string(),
                })?
            }
        };
        let guarded = prepared.watched.is_some();
        listener.before(guarded);
        let report = super::apply(kernel, &prepared).map_err(|error| match error {
            TuningError::Kernel(lost @ KernelError::Unreachable { .. }) => {
                ErrandError::Lost(lost.to_string())
            }
            other => ErrandError::Refused(other.to_string()),
        })?;
        let begun = Instant::now();
        let mut steward = Steward::new(
            &scripts,
            &arguments,
            policy.as_ref(),
            report.number,
            prepared.watched,
            !prepared.plan.workloads.is_empty(),
            Duration::ZERO,
        );
        listener.applied(&report, guarded);
        look_after(&mut steward, begun, kernel, listener);
        Ok(())
    }

    /// Looks after the profile again if it is still in force, with what its policy has put above it; changes
    /// nothing. Returns when there is nothing left to look after, and at once where somebody has taken the
    /// profile back meanwhile.
    ///
    /// # Errors
    /// Why it cannot be looked after.
    pub fn resume(
        &self,
        kernel: &mut dyn Kernel,
        listener: &mut dyn Listener,
    ) -> Result<(), ErrandError> {
        let Read { scripts, profile, arguments, policy } = self.understood()?;
        let in_force = in_force(kernel).map_err(|error| ErrandError::Lost(error.to_string()))?;
        let Some(base) = in_force.iter().rposition(|(summary, _)| summary.profile == profile)
        else {
            return Ok(());
        };
        let stack: Vec<Summary> =
            in_force.iter().skip(base).map(|(summary, _)| summary.clone()).collect();
        let switched = stack.iter().skip(1).all(|above| {
            policy.as_ref().is_some_and(|policy| rule_of(policy, &above.profile).is_some())
        });
        if !switched {
            return Ok(());
        }
        let assigns = in_force.last().is_some_and(|(_, begin)| !begin.plan.workloads.is_empty());
        let begun = Instant::now();
        let mut steward = Steward::resumed(
            &scripts,
            &arguments,
            policy.as_ref(),
            &stack,
            assigns,
            Duration::ZERO,
        );
        listener.resumed(stack.last().map_or(&profile, |top| &top.profile));
        look_after(&mut steward, begun, kernel, listener);
        Ok(())
    }

    fn understood(&self) -> Result<Read, String> {
        let scripts = self.read();
        if scripts.is_wrong() {
            return Err(told(&scripts, &scripts.diagnostics));
        }
        let profile = scripts.choose(self.profile.as_deref()).map_err(|error| error.to_string())?;
        let arguments = arguments(&self.parameters).map_err(|error| error.to_string())?;
        let mut wrong = Vec::new();
        let policy = scripts.policy().filter(|_| self.follow);
        let policy = policy.map(|policy| compile(policy, &scripts.sources, &mut wrong));
        match wrong.is_empty() {
            true => Ok(Read { scripts, profile, arguments, policy }),
            false => Err(told(&scripts, &wrong)),
        }
    }
}

/// An errand's texts, understood.
struct Read {
    scripts: Scripts,
    profile: String,
    arguments: Arguments,
    policy: Option<Compiled>,
}

fn look_after(
    steward: &mut Steward<'_>,
    begun: Instant,
    kernel: &mut dyn Kernel,
    listener: &mut dyn Listener,
) {
    while steward.is_needed() && listener.goes_on() {
        std::thread::sleep(INTERVAL);
        for happening in steward.look(kernel, begun.elapsed()) {
            listener.happened(&happening);
        }
    }
}

/// The transactions in force on a kernel, oldest first.
fn in_force(kernel: &mut dyn Kernel) -> Result<Vec<(Summary, Begin)>, KernelError> {
    let begins = match ask(kernel, &Question::InForce)? {
        Reply::InForce(begins) => begins,
        other => return Err(KernelError::unexpected(&other)),
    };
    let history = match ask(kernel, &Question::History)? {
        Reply::History(history) => history,
        other => return Err(KernelError::unexpected(&other)),
    };
    let Some(boot) = begins.last().map(|begin| begin.boot.clone()) else { return Ok(Vec::new()) };
    let in_force =
        history.into_iter().filter(|summary| summary.state.is_in_force() && summary.boot == boot);
    Ok(in_force.zip(begins).collect())
}

fn told(scripts: &Scripts, diagnostics: &[Diagnostic]) -> String {
    render::render(diagnostics, &scripts.sources, false).trim_end().to_owned()
}
