//! From a cluster file to a plan. Nothing is changed here.

use std::collections::{BTreeMap, BTreeSet};

use boot::bare::Starter;
use boot::command_line::For;

use super::images::Bootable;
use super::{Supervisor, tuning};
use super::{failed, problem};
use crate::api::{PlanAnswer, Problem, ProblemKind, UpRequest};
use crate::cluster::{
    self, Backend, ClusterFile, Diagnostic, Diagnostics, Partition, Problems, Risk, Source,
    Surroundings, Trust,
};
use crate::doctor::{self, Obstacle};
use crate::inventory::Machine;
use crate::placement::{self, Placement};
use crate::plan::{self, Action, Actual, Desired, Look, Plan, Resolved};

/// A plan and all that it was made of.
pub struct Planned {
    /// The machine.
    pub machine: Machine,
    /// What is to be.
    pub desired: Desired,
    /// What has to happen.
    pub plan: Plan,
    /// How CPUs are started; `None` where there is no way.
    pub starter: Option<Starter>,
    placement: Placement,
    obstacles: Obstacles,
}

/// What keeps each back end from working here.
struct Obstacles {
    bare: Vec<Obstacle>,
    kvm: Vec<Obstacle>,
}

impl Obstacles {
    fn of(&self, backend: Backend) -> &[Obstacle] {
        match backend {
            Backend::Kvm => &self.kvm,
            Backend::Bare | Backend::Auto => &self.bare,
        }
    }
}

impl Planned {
    /// As the API shows it.
    pub fn answer(&self) -> PlanAnswer {
        let lines = |name: &String| {
            Some((name.clone(), placement::explain(&self.machine, &self.placement, name)?))
        };
        PlanAnswer {
            plan: serde_json::to_value(&self.plan).unwrap_or_default(),
            text: self.text(),
            explanations: self.desired.keys().filter_map(lines).collect(),
        }
    }

    /// The plan for people.
    pub fn text(&self) -> String {
        self.plan.render(Look { color: false, ascii: false, width: 100 })
    }

    /// Refuses a plan that starts something on a machine that cannot.
    pub fn refuse_obstacles(&self) -> Result<(), Problem> {
        let starts = self
            .plan
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::Start | Action::Restart));
        let back_ends: BTreeSet<Backend> =
            starts.filter_map(|step| Some(self.desired.get(&step.partition)?.backend)).collect();
        for backend in back_ends {
            let obstacles = self.obstacles.of(backend);
            if obstacles.is_empty() {
                continue;
            }
            let found: Vec<_> = obstacles
                .iter()
                .map(|obstacle| format!("{}: {}", obstacle.name, obstacle.found))
                .collect();
            let remedies: Vec<_> =
                obstacles.iter().map(|obstacle| obstacle.remedy.as_str()).collect();
            let (name, found) = (backend.name(), found.join("; "));
            let message = format!("this machine cannot run {name} partitions: {found}");
            return Err(problem(ProblemKind::Refused, message, Some(remedies.join("; "))));
        }
        Ok(())
    }
}

struct Known {
    images: Vec<String>,
}

impl Surroundings for Known {
    fn stored_images(&self) -> Vec<String> {
        self.images.clone()
    }

    /// The command line has looked, beside the cluster file; here the file may not be.
    fn check_profile(&self, _reference: &str) -> Result<(), String> {
        Ok(())
    }
}

impl Supervisor {
    /// What has to happen so that the machine is divided as the file says.
    pub(super) fn plan(&self, request: &UpRequest) -> Result<Planned, Problem> {
        let names = self.images()?.into_iter().flat_map(|image| image.names).collect();
        let source = Source::new(&request.path, &request.text);
        let file = cluster::parse(source, &Known { images: names }).map_err(invalid)?;
        let machine = self.machine().map_err(|error| failed(&error))?;
        let kept = self.kept();
        let existing = kept.iter().map(|(name, kept)| (name.clone(), kept.existing()));
        let actual = Actual { partitions: existing.collect() };
        drop(kept);
        let placement = placement::place(&machine, &file.cluster, &actual.assignments())
            .map_err(|refusals| refused(&file, &refusals))?;
        let images = self.images_of(request, &file)?;
        let resolve = |_: &str, partition: &Partition| Resolved {
            backend: file.cluster.backend_of(partition),
            digest: images.get(&partition.image).map(|image| image.digest.clone()),
        };
        let mut desired = plan::desired(&file.cluster, &placement, &resolve);
        let mut problems = Problems::default();
        let (obstacles, starter) = self.obstacles(&machine, &file);
        for (name, spec) in &mut desired {
            let now = actual.partitions.get(name).map(|existing| existing.spec.backend);
            spec.backend = back_end(&file, spec.backend, now, &obstacles);
            if spec.backend == Backend::Kvm && !spec.source.is_from_host() {
                let span = file.places().partition(name, "memory_source").unwrap_or_default();
                let message = "a virtual machine's memory comes from huge pages";
                let label = "its process would have to map physical memory";
                let error = Diagnostic::new(span, message, label);
                problems.push(error.help("leave `memory_source` out, or take `backend: Bare`"));
            }
            if spec.backend == Backend::Bare && spec.shared_cpus.is_some() {
                let span = file.places().partition(name, "cpus").unwrap_or_default();
                let message = "a bare partition needs CPUs of its own";
                let label = "there is nothing that could share one between kernels";
                let error = Diagnostic::new(span, message, label);
                problems.push(error.help("take `backend: Kvm`, or `Count`, `Cores` or `Set`"));
            }
            let virtual_devices = [
                ("disks", spec.disks.is_empty()),
                ("taps", spec.taps.is_empty()),
                ("snapshot", spec.snapshot.is_none()),
            ];
            for (field, none) in virtual_devices {
                if spec.backend == Backend::Bare && !none {
                    let span = file.places().partition(name, field).unwrap_or_default();
                    let message = format!("a bare partition has no virtual {field}");
                    let label =
                        "there is nothing between its kernel and the machine that could offer one";
                    let error = Diagnostic::new(span, message, label);
                    problems.push(error.help("take `backend: Kvm`"));
                }
            }
            let image = images.get(&spec.image.name).map(|image| (&image.command_line, "image"));
            for (words, field) in image.into_iter().chain([(&spec.cmdline, "cmdline")]) {
                let Err(error) = boot::command_line::check(words, kernel_of(spec.backend)) else {
                    continue;
                };
                let span = file.places().partition(name, field).unwrap_or_default();
                problems.push(Diagnostic::new(span, error.to_string(), format!("of \"{name}\"")));
            }
        }
        problems.finish(file.source().clone()).map_err(invalid)?;
        for (name, spec) in &mut desired {
            let Some(profile) = &spec.profile else { continue };
            let missing = || {
                let message =
                    format!("{name}: the text of {profile} did not come with the cluster file");
                problem(ProblemKind::Invalid, message, None)
            };
            let text = request.profiles.get(profile).ok_or_else(missing)?;
            let errand = tuning::errand_of(profile, text);
            errand.check().map_err(|why| problem(ProblemKind::Invalid, why, None))?;
            spec.script = Some(text.clone());
        }
        let plan = plan::plan(&desired, &actual);
        Ok(Planned { machine, desired, plan, starter, placement, obstacles })
    }

    /// What is in the way of each back end, and how CPUs are started.
    fn obstacles(&self, machine: &Machine, file: &ClusterFile) -> (Obstacles, Option<Starter>) {
        let facts = doctor::sys::read(machine);
        let accepted = &file.cluster.accept;
        let mut bare = doctor::bare(machine, &facts);
        bare.retain(|obstacle| {
            let word = obstacle.accept.as_deref();
            !accepted.iter().any(|risk| word == Some(risk.name()))
        });
        let xapic = accepted.contains(&Risk::XApicRegisters) && !facts.x2apic;
        if xapic {
            bare.extend(doctor::xapic(&facts));
        }
        let starter = if xapic { Some(Starter::XApic) } else { self.ledger().starter };
        (Obstacles { bare, kvm: doctor::kvm(machine, &facts) }, starter)
    }

    /// The images of a file's partitions, by the names that the file has for them.
    fn images_of(
        &self,
        request: &UpRequest,
        file: &ClusterFile,
    ) -> Result<BTreeMap<String, Bootable>, Problem> {
        let names: BTreeSet<&String> =
            file.cluster.partitions.values().map(|partition| &partition.image).collect();
        let found = |name: &String| {
            let image = self.image(request.images.get(name).unwrap_or(name))?;
            Ok((name.clone(), image))
        };
        names.into_iter().map(found).collect()
    }
}

/// Which back end a partition gets here: what the file says, else what it has, else `bare` where it may and
/// nothing is in the way, else `kvm`; what is in the way of that is told later.
fn back_end(
    file: &ClusterFile,
    wanted: Backend,
    now: Option<Backend>,
    obstacles: &Obstacles,
) -> Backend {
    let works = |backend| obstacles.of(backend).is_empty();
    match (wanted, file.cluster.trust, now) {
        (Backend::Bare | Backend::Kvm, _, _) => wanted,
        (Backend::Auto, Trust::Isolated, _) => Backend::Kvm,
        (Backend::Auto, Trust::Mutual, Some(now)) => now,
        (Backend::Auto, Trust::Mutual, None) => {
            if works(Backend::Bare) || !works(Backend::Kvm) {
                Backend::Bare
            } else {
                Backend::Kvm
            }
        }
    }
}

/// As the command line knows it.
pub(super) fn kernel_of(backend: Backend) -> For {
    match backend {
        Backend::Kvm => For::Kvm,
        Backend::Bare | Backend::Auto => For::Bare,
    }
}

fn refused(file: &ClusterFile, refusals: &[placement::Refusal]) -> Problem {
    placement::diagnose(file, refusals).map(invalid).unwrap_or_else(|| {
        let all: Vec<_> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
        problem(ProblemKind::Invalid, all.join("\n"), None)
    })
}

/// The errors of a file as a problem.
fn invalid(diagnostics: Diagnostics) -> Problem {
    problem(ProblemKind::Invalid, diagnostics.render(false).trim_end(), None)
}

/// Steps by name.
pub(super) fn by_action(plan: &Plan) -> BTreeMap<Action, Vec<String>> {
    let mut by_action: BTreeMap<Action, Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        by_action.entry(step.action).or_default().push(step.partition.clone());
    }
    by_action
}
