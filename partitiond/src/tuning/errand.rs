//! Bringing a profile into force and looking after it, whoever does it: a process of its own for this
//! machine, the supervisor for a partition.

use std::time::{Duration, Instant};

use profiles::diagnostic::{Diagnostic, Source, render};
use profiles::guarding;
use profiles::policy::compile;
use profiles::scripts::{Scripts, arguments};
use serde::{Deserialize, Serialize};
use transaction::Plan;
use transaction::engine::Report;

use super::TuningError;
use super::kernel::{Kernel, KernelError};
use super::prepare::{PrepareError, Prepared, Wanted, prepare};
use super::steward::{Happening, INTERVAL, Steward};

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
        let scripts = self.read();
        if scripts.is_wrong() {
            return Err(told(&scripts, &scripts.diagnostics).into());
        }
        let profile = scripts.choose(self.profile.as_deref()).map_err(|error| error.to_string())?;
        let arguments = arguments(&self.parameters).map_err(|error| error.to_string())?;
        let mut wrong = Vec::new();
        let policy = scripts.policy().filter(|_| self.follow);
        let policy = policy.map(|policy| compile(policy, &scripts.sources, &mut wrong));
        if !wrong.is_empty() {
            return Err(told(&scripts, &wrong).into());
        }
        let prepared = match &self.plan {
            Some(plan) => {
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
        while steward.is_needed() && listener.goes_on() {
            std::thread::sleep(INTERVAL);
            for happening in steward.look(kernel, begun.elapsed()) {
                listener.happened(&happening);
            }
        }
        Ok(())
    }
}

fn told(scripts: &Scripts, diagnostics: &[Diagnostic]) -> String {
    render::render(diagnostics, &scripts.sources, false).trim_end().to_owned()
}
