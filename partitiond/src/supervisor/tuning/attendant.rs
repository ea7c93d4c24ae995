//! What is written down, told and done while one partition's profile is looked after.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use transaction::engine::Report;

use super::super::Supervisor;
use super::{Outcome, Profile};
use crate::api::Phase;
use crate::tuning::steward::Happening;
use crate::tuning::{Errand, ErrandError, Listener};

/// Looks after one partition's profile.
pub(super) struct Attendant {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) handle: Handle,
    pub(super) name: String,
    pub(super) life: u64,
    pub(super) errand: Errand,
    /// Who waits for the profile to be in force.
    pub(super) tell: Option<oneshot::Sender<Outcome>>,
    /// The partition is being ended.
    pub(super) ended: bool,
}

impl Listener for Attendant {
    fn before(&mut self, guarded: bool) {
        // Before it is in force, so that nothing that it does to us leaves it in force.
        self.supervisor.remember(&self.name, |profile| profile.on_trial = guarded);
    }

    fn resumed(&mut self, profile: &str) {
        self.tuned(Ok(profile.to_owned()));
    }

    fn applied(&mut self, report: &Report, guarded: bool) {
        if !guarded {
            self.confirmed();
        }
        let text =
            format!("profile {} is in force (transaction {})", report.profile, report.number);
        let told = match guarded {
            true => format!("{}, to be confirmed", report.profile),
            false => report.profile.clone(),
        };
        self.tuned(Ok(told));
        self.supervisor.events.tell(Some(&self.name), "profile", text, Vec::new());
        if let Some(tell) = self.tell.take() {
            let _ = tell.send(Ok(report.clone()));
        }
    }

    fn happened(&mut self, happening: &Happening) {
        let text = happening.to_string();
        self.supervisor.events.tell(Some(&self.name), "profile", text, Vec::new());
        match happening {
            Happening::Confirmed(_) => {
                self.confirmed();
                let profile = self.errand.profile.clone();
                self.tuned(Ok(profile.unwrap_or_else(|| "confirmed".to_owned())));
            }
            Happening::Undone { why, .. } => {
                self.tuned(Err(format!("it was undone: {why}")));
                self.supervisor.remember(&self.name, |profile| {
                    profile.on_trial = false;
                    profile.wanted = None;
                });
            }
            Happening::Superseded => {
                self.supervisor.remember(&self.name, |profile| profile.on_trial = false);
            }
            Happening::Stuck { error, .. } => {
                self.ended = true;
                self.supervisor.power_cycle(&self.handle, &self.name, self.life, error);
            }
            Happening::Switched { .. }
            | Happening::NotSwitched { .. }
            | Happening::NotAssigned(_) => {}
        }
    }

    fn goes_on(&mut self) -> bool {
        !self.ended
            && self
                .supervisor
                .in_life(&self.name, self.life)
                .is_some_and(|kept| matches!(kept.report.phase, Phase::Ready | Phase::Silent))
    }
}

impl Attendant {
    fn confirmed(&self) {
        // The next start makes its own plan.
        let errand = Errand { plan: None, ..self.errand.clone() };
        self.supervisor.remember(&self.name, |profile| {
            *profile = Profile { confirmed: Some(errand), ..Profile::default() };
        });
    }

    fn tuned(&self, tuned: Result<String, String>) {
        self.supervisor.update_life(&self.name, self.life, |kept| kept.tuned = Some(tuned));
    }

    pub(super) fn failed(&mut self, error: ErrandError) {
        let why = error.to_string();
        match error {
            ErrandError::Refused(_) => {
                self.supervisor.remember(&self.name, |profile| profile.on_trial = false);
            }
            // Half of it may be in force, and nobody is there to say that it is to stay.
            ErrandError::Lost(_) if self.supervisor.profile(&self.name).on_trial => {
                self.supervisor.power_cycle(&self.handle, &self.name, self.life, &why);
            }
            ErrandError::Lost(_) => {}
        }
        self.tuned(Err(why.clone()));
        match self.tell.take() {
            Some(tell) if !tell.is_closed() => drop(tell.send(Err(why))),
            _ => {
                let text = format!("its profile is not in force: {why}");
                self.supervisor.events.tell(Some(&self.name), "warning", text, Vec::new());
            }
        }
    }
}
