//! Profiles of partitions: brought into force when a partition is ready, watched from here, outside of the
//! kernel that they tune.
//!
//! What a partition was confirmed to be, and whether a profile is on trial in it, is on disk
//! ([`Profile`]). A partition that does not survive a trial, or stops answering in one, is started again
//! whatever its restart policy says, in its last confirmed profile.

mod attendant;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use transaction::agent::{Answer, Question};
use transaction::engine::Report;

use self::attendant::Attendant;
use super::up::Teller;
use super::{Supervisor, failed, problem};
use crate::api::{Phase, Problem, ProblemKind, Progress};
use crate::durable;
use crate::keeper::Request;
use crate::plan::Spec;
use crate::tuning::steward::undo_unwatched;
use crate::tuning::{Errand, ErrandError, Kernel, Listener, Partition};

/// What a partition's kernel is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What the cluster file says, unless it turned out badly.
    pub wanted: Option<Errand>,
    /// What somebody confirmed, or what has no guard.
    pub confirmed: Option<Errand>,
    /// A guarded profile is in force that nobody has confirmed.
    pub on_trial: bool,
}

/// The errand of a partition whose cluster file names this script.
pub(super) fn errand_of(name: &str, text: &str) -> Errand {
    Errand {
        scripts: vec![(name.to_owned(), text.to_owned())],
        profile: None,
        parameters: Vec::new(),
        follow: true,
        plan: None,
    }
}

fn wanted_by(spec: &Spec) -> Option<Errand> {
    Some(errand_of(spec.profile.as_ref()?, spec.script.as_ref()?))
}

/// How long `up` waits for a profile to be in force.
const PATIENCE: Duration = Duration::from_secs(90);

/// What comes of an errand.
type Outcome = Result<Report, String>;

/// What is done with an errand.
type How = fn(&Errand, &mut dyn Kernel, &mut dyn Listener) -> Result<(), ErrandError>;

impl Supervisor {
    /// What is known of a partition's profile.
    pub(super) fn profile(&self, name: &str) -> Profile {
        let text = fs::read(self.profile_file(name));
        text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    fn profile_file(&self, name: &str) -> PathBuf {
        self.paths.profile(name)
    }

    /// Writes down what a partition's kernel is to be.
    fn remember(&self, name: &str, change: impl FnOnce(&mut Profile)) {
        let mut profile = self.profile(name);
        change(&mut profile);
        let file = self.profile_file(name);
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            durable::replace(&file, &serde_json::to_vec(&profile).unwrap_or_default())
        });
        if let Err(error) = written {
            let text = format!("its profile cannot be written down: {error}");
            self.events.tell(Some(name), "warning", text, Vec::new());
        }
    }

    /// Forgets the profile of a partition that is ended on purpose.
    pub(super) fn forget_profile(&self, name: &str) {
        let _ = fs::remove_file(self.profile_file(name));
    }

    /// Asks a partition's kernel.
    pub(super) async fn question(
        self: Arc<Self>,
        name: &str,
        question: Question,
    ) -> Result<Answer, Problem> {
        self.check_ready(name)?;
        let mut kernel = Partition::new(name, &self.paths.partition(name));
        let answer = tokio::task::spawn_blocking(move || kernel.answer(&question)).await;
        answer.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    fn check_ready(&self, name: &str) -> Result<u64, Problem> {
        let known = self.kept().get(name).map(|kept| (kept.life, kept.report.phase));
        match known {
            Some((life, Phase::Ready | Phase::Silent)) => Ok(life),
            Some((_, phase)) => {
                let message = format!("{name} is not ready ({phase:?})").to_lowercase();
                let hint = format!("partitiond wait {name} --for=ready");
                Err(problem(ProblemKind::Refused, message, Some(hint)))
            }
            None => Err(super::routes::unknown(name)),
        }
    }

    /// Brings a profile into force on a partition, and looks after it from then on.
    pub(super) async fn tune(
        self: Arc<Self>,
        name: &str,
        errand: Errand,
    ) -> Result<Report, Problem> {
        let life = self.check_ready(name)?;
        let outcome = self.send(name, life, errand);
        let refused = |why| problem(ProblemKind::Invalid, why, None);
        let lost =
            |_| problem(ProblemKind::Failed, "whoever looked after the profile is gone", None);
        outcome.await.map_err(lost)?.map_err(refused)
    }

    /// Takes note of what the cluster file says of a partition that is about to be started.
    pub(super) fn want_profile(&self, name: &str, spec: &Spec) {
        let wanted = wanted_by(spec);
        if wanted.is_some() || self.profile(name) != Profile::default() {
            self.remember(name, |profile| {
                *profile = Profile { wanted, ..Profile::default() };
            });
        }
    }

    /// Brings a partition that runs into the profile that its cluster file has now.
    pub(super) async fn tune_as(self: Arc<Self>, name: &str, spec: &Spec, tell: &Teller) {
        let done = match wanted_by(spec) {
            Some(errand) => {
                self.remember(name, |profile| profile.wanted = Some(errand.clone()));
                self.clone().tune(name, errand).await.map(drop)
            }
            None => {
                self.forget_profile(name);
                let question = Question::RollBack { number: None, overwrite: false };
                self.update(name, |kept| kept.tuned = None);
                self.clone().question(name, question).await.map(drop)
            }
        };
        if let Err(problem) = done {
            let text = format!("{name}: its profile is not in force: {}", problem.message);
            let _ = tell.send(Progress::Warning { text });
        }
    }

    /// Waits until it is known of each of these how it stands with its profile.
    pub(super) async fn wait_for_profiles(&self, names: &[String], tell: &Teller) {
        let mut changes = self.changed.subscribe();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for name in names.iter().filter(|name| self.profile(name).wanted.is_some()) {
            let text = loop {
                let tuned = self.kept().get(name).map(|kept| kept.tuned.clone());
                match tuned {
                    None | Some(Some(Ok(_))) => break None,
                    Some(Some(Err(why))) => break Some(why),
                    Some(None) => {}
                }
                let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
                if changed.is_err() {
                    break Some("it did not come into force in time".to_owned());
                }
            };
            if let Some(why) = text {
                let text = format!("{name}: its profile is not in force: {why}");
                let _ = tell.send(Progress::Warning { text });
            }
        }
    }

    /// What is to be done for a partition that has just become ready: what its cluster file says, or after a
    /// trial that ended badly, what was confirmed before.
    pub(super) fn tune_when_ready(self: &Arc<Self>, name: &str, life: u64) {
        let Profile { wanted, confirmed, on_trial } = self.profile(name);
        let errand = if on_trial { confirmed } else { wanted.or(confirmed) };
        if on_trial {
            self.remember(name, |profile| {
                profile.on_trial = false;
                profile.wanted = None;
            });
        }
        if let Some(errand) = errand {
            drop(self.send(name, life, errand));
        }
    }

    /// Takes up the profile of a partition that runs already: a trial that nobody has watched meanwhile is
    /// over, what was confirmed is looked after again, and what never came into force comes now.
    pub(super) fn take_up_profile(self: &Arc<Self>, name: &str, life: u64) {
        let Profile { wanted, confirmed, on_trial } = self.profile(name);
        match (confirmed, wanted) {
            _ if on_trial => self.end_trial(name, life),
            (Some(errand), None) => drop(self.attend(name, life, errand, Errand::resume)),
            (_, Some(errand)) => drop(self.send(name, life, errand)),
            (None, None) => {}
        }
    }

    fn end_trial(self: &Arc<Self>, name: &str, life: u64) {
        let (supervisor, name) = (self.clone(), name.to_owned());
        let handle = Handle::current();
        std::thread::spawn(move || {
            let mut kernel = Partition::new(&name, &supervisor.paths.partition(&name));
            match undo_unwatched(&mut kernel) {
                Ok(undone) => {
                    supervisor.remember(&name, |profile| profile.on_trial = false);
                    if let Some(number) = undone {
                        let text = format!(
                            "transaction {number} is undone: nobody watched it for a while"
                        );
                        supervisor.events.tell(Some(&name), "profile", text, Vec::new());
                    }
                    if let Some(errand) = supervisor.profile(&name).confirmed {
                        let _in_runtime = handle.enter();
                        drop(supervisor.attend(&name, life, errand, Errand::resume));
                    }
                }
                Err(error) => supervisor.power_cycle(&handle, &name, life, &error.to_string()),
            }
        });
    }

    /// Starts a thread that brings a profile into force.
    fn send(self: &Arc<Self>, name: &str, life: u64, errand: Errand) -> oneshot::Receiver<Outcome> {
        self.attend(name, life, errand, Errand::carry_out)
    }

    /// Starts a thread for an errand.
    fn attend(
        self: &Arc<Self>,
        name: &str,
        life: u64,
        errand: Errand,
        how: How,
    ) -> oneshot::Receiver<Outcome> {
        let (tell, hear) = oneshot::channel();
        let mut attendant = Attendant {
            supervisor: self.clone(),
            handle: Handle::current(),
            name: name.to_owned(),
            life,
            errand,
            tell: Some(tell),
            ended: false,
        };
        let spawned =
            std::thread::Builder::new().name(format!("profile of {name}")).spawn(move || {
                let mut kernel = Partition::new(
                    &attendant.name,
                    &attendant.supervisor.paths.partition(&attendant.name),
                );
                let errand = attendant.errand.clone();
                if let Err(why) = how(&errand, &mut kernel, &mut attendant) {
                    attendant.failed(why);
                }
            });
        if let Err(error) = spawned {
            self.events.tell(Some(name), "warning", format!("no thread: {error}"), Vec::new());
        }
        hear
    }

    /// Ends a partition whose kernel cannot be brought back otherwise; it comes back in its last
    /// confirmed profile.
    fn power_cycle(&self, handle: &Handle, name: &str, life: u64, why: &str) {
        if self.in_life(name, life).is_none() {
            return;
        }
        let text = format!("its profile cannot be undone ({why}): it is started again without it");
        self.events.tell(Some(name), "profile", text, Vec::new());
        let Ok(mut request) = serde_json::to_vec(&Request::Stop { force: true, grace_ms: 0 })
        else {
            return;
        };
        request.push(b'\n');
        handle.block_on(async {
            if !self.tell_keeper(name, &request).await {
                let text = "its keeper cannot be told to end it".to_owned();
                self.events.tell(Some(name), "warning", text, Vec::new());
            }
        });
    }
}
