use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::*;

/// A machine whose tasks are numbers in a table.
#[derive(Default)]
struct Model {
    processes: Vec<Process>,
    tasks: BTreeMap<Task, Was>,
    groups: BTreeMap<String, Vec<(String, String)>>,
    /// Writes to tasks of this process fail.
    stubborn: Option<u32>,
    /// Controllers that are on.
    controllers: Vec<String>,
    /// Whose memory was put into huge pages, each time.
    collapsed: Vec<u32>,
}

impl Model {
    fn start(&mut self, pid: u32, exe: &str, threads: u32) {
        let cgroup = "/user.slice".to_owned();
        let process = Process {
            pid,
            exe: exe.into(),
            cgroup: cgroup.clone(),
            user: "ann".into(),
            image: None,
        };
        self.processes.push(process);
        for tid in pid..pid + threads {
            let was = Was {
                cpus: Some("0-3".into()),
                scheduler: Some(Scheduler { policy: 0, priority: 0 }),
                nice: Some(0),
                io_priority: Some(0),
                oom_score_adjust: Some(0),
                cgroup: Some(cgroup.clone()),
            };
            self.tasks.insert(Task { pid, tid, started: 7 }, was);
        }
    }

    fn end(&mut self, pid: u32) {
        self.processes.retain(|process| process.pid != pid);
        self.tasks.retain(|task, _| task.pid != pid);
    }

    fn of(&self, pid: u32) -> Was {
        self.tasks.iter().find(|(task, _)| task.pid == pid).unwrap().1.clone()
    }
}

impl System for Model {
    fn processes(&mut self, _images: bool) -> io::Result<Vec<Process>> {
        Ok(self.processes.clone())
    }

    fn threads(&mut self, pid: u32) -> io::Result<Vec<Task>> {
        Ok(self.tasks.keys().filter(|task| task.pid == pid).copied().collect())
    }

    fn read(&mut self, task: Task, wishes: &Wishes, group: bool) -> io::Result<Was> {
        let is = self.tasks.get(&task).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(Was {
            cpus: is.cpus.filter(|_| wishes.cpus.is_some()),
            scheduler: is.scheduler.filter(|_| wishes.scheduler.is_some()),
            nice: is.nice.filter(|_| wishes.nice.is_some()),
            io_priority: is.io_priority.filter(|_| wishes.io_priority.is_some()),
            oom_score_adjust: is.oom_score_adjust.filter(|_| wishes.oom_score_adjust.is_some()),
            cgroup: is.cgroup.filter(|_| group),
        })
    }

    fn collapse(&mut self, pid: u32) -> io::Result<()> {
        self.collapsed.push(pid);
        Ok(())
    }

    fn write(&mut self, task: Task, to: &Was) -> io::Result<()> {
        if self.stubborn == Some(task.pid) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let is = self.tasks.get_mut(&task).ok_or(io::ErrorKind::NotFound)?;
        let to = to.clone();
        is.cpus = to.cpus.or(is.cpus.take());
        is.scheduler = to.scheduler.or(is.scheduler);
        is.nice = to.nice.or(is.nice);
        is.io_priority = to.io_priority.or(is.io_priority);
        is.oom_score_adjust = to.oom_score_adjust.or(is.oom_score_adjust);
        if let Some(cgroup) = to.cgroup {
            let process = self.processes.iter_mut().find(|process| process.pid == task.pid);
            process.ok_or(io::ErrorKind::NotFound)?.cgroup.clone_from(&cgroup);
            is.cgroup = Some(cgroup);
        }
        Ok(())
    }

    fn make_group(&mut self, path: &str, limits: &[(String, String)]) -> io::Result<()> {
        self.groups.insert(path.to_owned(), limits.to_vec());
        let off = self.controllers_off(&BTreeSet::from(["memory".to_owned()]));
        self.controllers.extend(off);
        Ok(())
    }

    fn controllers_off(&mut self, wanted: &BTreeSet<String>) -> Vec<String> {
        wanted
            .iter()
            .filter(|controller| !self.controllers.contains(*controller))
            .cloned()
            .collect()
    }

    fn turn_off(&mut self, controller: &str) -> io::Result<()> {
        assert!(self.groups.is_empty(), "it is in use");
        self.controllers.retain(|on| on != controller);
        Ok(())
    }

    fn remove_group(&mut self, path: &str) -> io::Result<()> {
        assert!(self.processes.iter().all(|process| process.cgroup != path), "it is in use");
        self.groups.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn database() -> Workload {
    Workload {
        name: "db".into(),
        matches: vec![Match { by: By::Exec, patterns: vec!["postgres*".into()] }],
        wishes: Wishes { cpus: Some("2-3".into()), nice: Some(-5), ..Wishes::default() },
        limits: vec![("memory.high".into(), "1048576".into())],
    }
}

fn pass(model: &mut Model, known: Known, workloads: &[Workload]) -> (Known, Passed) {
    let mut saved = known.clone();
    let mut assigner = Assigner::new(model, known);
    let passed = assigner.pass(workloads, &mut |known| {
        saved = known.clone();
        Ok(())
    });
    let known = assigner.known().clone();
    assert_eq!(saved, known, "what is known is on disk");
    (known, passed.unwrap())
}

#[test]
fn what_runs_and_what_starts_later_is_assigned_and_set_back() {
    let mut model = Model::default();
    model.start(10, "/usr/bin/postgres", 3);
    model.start(20, "/usr/bin/vi", 1);
    let before = model.tasks.clone();
    let (known, passed) = pass(&mut model, Known::default(), &[database()]);
    assert_eq!(passed, Passed { tasks: vec![("db".into(), 3)], failed: vec![] });
    assert_eq!((model.of(10).cpus.unwrap(), model.of(10).nice), ("2-3".into(), Some(-5)));
    assert_eq!(model.of(10).cgroup.unwrap(), "/partitiond.db");
    assert_eq!(model.of(20), before.values().last().unwrap().clone());

    // One that starts later; what was met already is left as it is, whatever became of it since.
    model.start(30, "/usr/bin/postgres-worker", 1);
    let first = Task { pid: 10, tid: 10, started: 7 };
    model.tasks.get_mut(&first).unwrap().nice = Some(3);
    let (known, passed) = pass(&mut model, known, &[database()]);
    assert_eq!(passed.tasks, [("db".to_owned(), 4)]);
    assert_eq!(model.of(30).nice, Some(-5));
    assert_eq!(model.tasks.get(&first).unwrap().nice, Some(3));

    // One that ends is forgotten.
    model.end(30);
    let (known, _) = pass(&mut model, known, &[database()]);
    assert_eq!(known.met.len(), 3);

    assert_eq!(model.controllers, ["memory"]);
    assert_eq!(known.controllers, ["memory"]);
    let failed = Assigner::new(&mut model, known).undo();
    assert_eq!(failed, [""; 0]);
    assert_eq!(model.tasks, before);
    assert!(model.groups.is_empty() && model.controllers.is_empty());
}

#[test]
fn a_group_that_is_left_is_no_reason_to_forget() {
    let mut model = Model::default();
    model.start(10, "/usr/bin/thing", 1);
    let before = model.tasks.clone();
    let mut workload = database();
    workload.matches = vec![Match { by: By::Cgroup, patterns: vec!["/user*".into()] }];
    let (known, _) = pass(&mut model, Known::default(), std::slice::from_ref(&workload));
    let (known, passed) = pass(&mut model, known, &[workload]);
    assert_eq!(passed.tasks, [("db".to_owned(), 1)], "it is in another group now, because of us");
    Assigner::new(&mut model, known).undo();
    assert_eq!(model.tasks, before);
}

#[test]
fn what_cannot_be_done_is_told() {
    let mut model = Model::default();
    model.start(10, "/usr/bin/postgres", 1);
    model.stubborn = Some(10);
    let (known, passed) = pass(&mut model, Known::default(), &[database()]);
    assert_eq!(passed.failed, ["db: process 10: permission denied"]);
    let failed = Assigner::new(&mut model, known).undo();
    assert_eq!(failed.len(), 1);
}

#[test]
fn nothing_is_changed_where_it_cannot_be_written_down() {
    let mut model = Model::default();
    model.start(10, "/usr/bin/postgres", 1);
    let before = model.tasks.clone();
    let mut assigner = Assigner::new(&mut model, Known::default());
    let full = &mut |_: &Known| Err(io::ErrorKind::StorageFull.into());
    assert!(assigner.pass(&[database()], full).is_err());
    assert_eq!(model.tasks, before);
}

#[test]
fn programs_are_known_by_what_is_said() {
    let process = Process {
        pid: 1,
        exe: "/usr/lib/postgresql/15/bin/postgres".into(),
        cgroup: "/system.slice/postgresql.service".into(),
        user: "postgres".into(),
        image: None,
    };
    for (by, pattern, fits) in [
        (By::Exec, "postgres", true),
        (By::Exec, "post*", true),
        (By::Exec, "postgre", false),
        (By::Exec, "/usr/lib/*/postgres", true),
        (By::Exec, "/opt/*/postgres", false),
        (By::Unit, "postgresql.service", true),
        (By::Unit, "nginx.service", false),
        (By::Cgroup, "/system.slice/*", true),
        (By::User, "postgres", true),
        (By::User, "root", false),
    ] {
        let wanted = Match { by, patterns: vec!["nothing".into(), pattern.into()] };
        assert_eq!(pass::fits_one(&wanted, &process), fits, "{by:?} {pattern}");
    }
}

#[test]
fn classes_and_levels_are_those_of_the_system_call() {
    assert_eq!(io_priority("best-effort", 2), Some(2 << 13 | 2));
    assert_eq!(io_priority("best-effort", 8), None);
    assert_eq!(io_priority("fast", 0), None);
    assert_eq!(Scheduler::policy_of("batch"), Some(3));
}

#[test]
fn images_are_known_by_name_with_and_without_tag() {
    let process = |image: Option<&str>| Process {
        pid: 7,
        exe: "/bin/x".into(),
        cgroup: "/".into(),
        user: "ann".into(),
        image: image.map(str::to_owned),
    };
    let fits = |pattern: &str, image: &str| {
        let wanted = Match { by: By::Image, patterns: vec![pattern.into()] };
        pass::fits_one(&wanted, &process(Some(image)))
    };
    for pattern in ["postgres", "postgres:16", "post*", "docker.io/library/*", "*/postgres:16"] {
        assert!(fits(pattern, "docker.io/library/postgres:16"), "{pattern}");
    }
    for pattern in ["postgres:15", "library", "postgres/16", "quay.io/*"] {
        assert!(!fits(pattern, "docker.io/library/postgres:16"), "{pattern}");
    }
    let wanted = Match { by: By::Image, patterns: vec!["*".into()] };
    assert!(!pass::fits_one(&wanted, &process(None)), "it is in no container");
}

#[test]
fn memory_is_put_together_in_each_pass() {
    let mut model = Model::default();
    model.start(10, "/bin/db", 2);
    model.start(20, "/bin/other", 1);
    let mut workload = database();
    workload.matches = vec![Match { by: By::Exec, patterns: vec!["db".into()] }];
    workload.wishes.huge_pages = true;
    let (known, passed) = pass(&mut model, Known::default(), std::slice::from_ref(&workload));
    assert_eq!(passed.failed, [""; 0]);
    pass(&mut model, known, &[workload]);
    assert_eq!(model.collapsed, [10, 10]);
}
