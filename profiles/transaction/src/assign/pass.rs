//! Going through all tasks once, and setting them back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::state::{Known, Met, Task, Was};
use super::{By, Match, Wishes, Workload};
use crate::glob::matches;

/// Where tasks are: the kernel, or a model of one.
pub trait System {
    /// Every process with a program of its own; `images`: with the images of containers.
    fn processes(&mut self, images: bool) -> io::Result<Vec<Process>>;

    /// The threads of a process.
    fn threads(&mut self, pid: u32) -> io::Result<Vec<Task>>;

    /// What a task is, as far as `wishes` are about that; `group`: with its control group.
    fn read(&mut self, task: Task, wishes: &Wishes, group: bool) -> io::Result<Was>;

    /// Makes a task what is said.
    fn write(&mut self, task: Task, to: &Was) -> io::Result<()>;

    /// Puts some of what a process has in small pages into huge ones.
    fn collapse(&mut self, pid: u32) -> io::Result<()>;

    /// Makes a control group with these limits; one that is there keeps its tasks.
    fn make_group(&mut self, path: &str, limits: &[(String, String)]) -> io::Result<()>;

    /// Which of these controllers are off for control groups at the top.
    fn controllers_off(&mut self, wanted: &BTreeSet<String>) -> Vec<String>;

    /// Turns a controller off for control groups at the top.
    fn turn_off(&mut self, controller: &str) -> io::Result<()>;

    /// Removes a control group that is empty.
    fn remove_group(&mut self, path: &str) -> io::Result<()>;
}

/// A process, as matches see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The file that runs.
    pub exe: String,
    /// Its control group.
    pub cgroup: String,
    /// Its user.
    pub user: String,
    /// The image of its container, if it is in one and this was asked for.
    pub image: Option<String>,
}

/// What came of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// How many tasks each workload has, by name.
    pub tasks: Vec<(String, usize)>,
    /// What could not be done.
    pub failed: Vec<String>,
}

/// Goes through tasks.
pub struct Assigner<'s, S> {
    system: &'s mut S,
    known: Known,
}

/// The controller that a file of a control group belongs to.
pub(crate) fn controller_of(file: &str) -> &str {
    file.split('.').next().unwrap_or_default()
}

/// The control group of a workload.
fn group_of(workload: &Workload) -> String {
    format!("/partitiond.{}", workload.name)
}

impl<'s, S: System> Assigner<'s, S> {
    /// With what is known from passes before.
    pub fn new(system: &'s mut S, known: Known) -> Self {
        Self { system, known }
    }

    /// What is known now.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Goes through all tasks once. `save` has what is known on disk before anything is changed.
    ///
    /// # Errors
    /// Where processes cannot be listed, or `save` fails; then nothing was changed.
    pub fn pass(
        &mut self,
        workloads: &[Workload],
        save: &mut dyn FnMut(&Known) -> io::Result<()>,
    ) -> io::Result<Passed> {
        let mut passed = Passed::default();
        let processes = self.system.processes(ask_for_images(workloads))?;
        // What has ended needs no way back.
        let before = self.known.met.len();
        let mut threads: BTreeMap<u32, Vec<Task>> = BTreeMap::new();
        for met in &self.known.met {
            let pid = met.task.pid;
            threads.entry(pid).or_insert_with(|| self.system.threads(pid).unwrap_or_default());
        }
        let is_alive = |met: &Met| {
            threads.get(&met.task.pid).is_some_and(|threads| threads.contains(&met.task))
        };
        self.known.met.retain(is_alive);
        let mut seen: BTreeSet<Task> = self.known.met.iter().map(|met| met.task).collect();
        let mut fresh: Vec<(Met, &Workload)> = Vec::new();
        for workload in workloads {
            let group = !workload.limits.is_empty();
            // One that was met may match no longer, because it is in another control group now.
            let of_workload = |met: &&Met| met.workload == workload.name;
            let ours: BTreeSet<u32> =
                self.known.met.iter().filter(of_workload).map(|met| met.task.pid).collect();
            let mut count = 0;
            for process in &processes {
                if !ours.contains(&process.pid) && !fits(workload, process) {
                    continue;
                }
                if workload.wishes.huge_pages
                    && let Err(error) = self.system.collapse(process.pid)
                    && !is_gone(&error)
                {
                    let (name, pid) = (&workload.name, process.pid);
                    passed.failed.push(format!("{name}: huge pages of process {pid}: {error}"));
                }
                // A process that is gone meanwhile has no threads.
                for task in self.system.threads(process.pid).unwrap_or_default() {
                    count += 1;
                    if seen.contains(&task) {
                        continue;
                    }
                    if let Ok(was) = self.system.read(task, &workload.wishes, group) {
                        seen.insert(task);
                        fresh.push((Met { task, workload: workload.name.clone(), was }, workload));
                    }
                }
            }
            passed.tasks.push((workload.name.clone(), count));
        }
        if fresh.is_empty() && before == self.known.met.len() {
            return Ok(passed);
        }
        self.known.met.extend(fresh.iter().map(|(met, _)| met.clone()));
        for (_, workload) in fresh.iter().filter(|(_, workload)| !workload.limits.is_empty()) {
            let group = group_of(workload);
            if !self.known.groups.contains(&group) {
                self.known.groups.push(group);
            }
        }
        let controllers = fresh.iter().flat_map(|(_, workload)| &workload.limits);
        let controllers = controllers.map(|(file, _)| controller_of(file).to_owned()).collect();
        for controller in self.system.controllers_off(&controllers) {
            if !self.known.controllers.contains(&controller) {
                self.known.controllers.push(controller);
            }
        }
        save(&self.known)?;
        let mut made = BTreeSet::new();
        for (met, workload) in &fresh {
            let group = (!workload.limits.is_empty()).then(|| group_of(workload));
            if let Some(group) = &group
                && made.insert(group.clone())
                && let Err(error) = self.system.make_group(group, &workload.limits)
            {
                passed.failed.push(format!("{}: control group: {error}", workload.name));
            }
            let to = wanted(&workload.wishes, group);
            if let Err(error) = self.system.write(met.task, &to)
                && !is_gone(&error)
            {
                let (name, pid) = (&workload.name, met.task.pid);
                passed.failed.push(format!("{name}: process {pid}: {error}"));
            }
        }
        Ok(passed)
    }

    /// Sets every task back that is still there; says what could not be.
    pub fn undo(&mut self) -> Vec<String> {
        let mut failed = Vec::new();
        for met in std::mem::take(&mut self.known.met) {
            if let Err(error) = self.system.write(met.task, &met.was)
                && !is_gone(&error)
            {
                failed.push(format!("{}: process {}: {error}", met.workload, met.task.pid));
            }
        }
        for group in std::mem::take(&mut self.known.groups) {
            if let Err(error) = self.system.remove_group(&group)
                && !is_gone(&error)
            {
                failed.push(format!("control group {group}: {error}"));
            }
        }
        for controller in std::mem::take(&mut self.known.controllers) {
            if let Err(error) = self.system.turn_off(&controller) {
                failed.push(format!("controller {controller} stays on: {error}"));
            }
        }
        failed
    }
}

/// How many processes each workload has.
///
/// # Errors
/// Where processes cannot be listed.
pub fn count(system: &mut dyn System, workloads: &[Workload]) -> io::Result<Vec<(String, usize)>> {
    let processes = system.processes(ask_for_images(workloads))?;
    let of = |workload: &Workload| {
        let count = processes.iter().filter(|process| fits(workload, process)).count();
        (workload.name.clone(), count)
    };
    Ok(workloads.iter().map(of).collect())
}

/// Whether the task, or the group, is not there any more.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn wanted(wishes: &Wishes, cgroup: Option<String>) -> Was {
    Was {
        cpus: wishes.cpus.clone(),
        scheduler: wishes.scheduler,
        nice: wishes.nice,
        io_priority: wishes.io_priority,
        oom_score_adjust: wishes.oom_score_adjust,
        cgroup,
    }
}

/// Images are read from files of runtimes, so only if somebody asks for them.
fn ask_for_images(workloads: &[Workload]) -> bool {
    workloads.iter().flat_map(|workload| &workload.matches).any(|wanted| wanted.by == By::Image)
}

/// Whether a process is one of a workload's.
fn fits(workload: &Workload, process: &Process) -> bool {
    workload.matches.iter().any(|wanted| fits_one(wanted, process))
}

pub(super) fn fits_one(wanted: &Match, process: &Process) -> bool {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    wanted.patterns.iter().any(|pattern| match wanted.by {
        By::Exec if pattern.contains('/') => matches(pattern, &process.exe),
        By::Exec => matches(pattern, &last(&process.exe)),
        By::Cgroup => matches(pattern, &process.cgroup),
        By::Unit => matches(pattern, &last(&process.cgroup)),
        By::User => matches(pattern, &process.user),
        By::Image => process.image.as_deref().is_some_and(|image| fits_image(pattern, image)),
    })
}

/// Whether an image is meant: its whole name where the pattern has a `/`, else the last part of it, which may
/// be said without a tag.
fn fits_image(pattern: &str, image: &str) -> bool {
    if pattern.contains('/') {
        return matches(pattern, image);
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    let untagged = last.split([':', '@']).next().unwrap_or_default();
    matches(pattern, last) || matches(pattern, untagged)
}
