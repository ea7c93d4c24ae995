//! The writing process in its cage. This has a main of its own: the child is this program again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use transaction::compare::Compare;
use transaction::engine::{ApplyError, Cause};
use transaction::plan::{Class, Origin, Reach, Undo};
use transaction::sandbox::{Confined, Launch, run_if_asked};
use transaction::store::Confinement;
use transaction::{
    Directory, Drifted, Engine, Files, Machine, Plan, Step, Store, StoreError, Target, Unrecovered,
};

const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
const SCHEDULER: &str = "/sys/block/vda/queue/scheduler";
const EXPIRE: &str = "/sys/block/vda/queue/iosched/read_expire";

fn main() -> ExitCode {
    if let Some(code) = run_if_asked() {
        return code;
    }
    let tests: [(&str, fn()); 6] = [
        ("a_plan_is_applied_by_a_confined_child", a_plan_is_applied_by_a_confined_child),
        ("no_other_path_can_be_written", no_other_path_can_be_written),
        (
            "a_path_that_leads_elsewhere_by_now_is_closed",
            a_path_that_leads_elsewhere_by_now_is_closed,
        ),
        ("what_appears_can_be_written", what_appears_can_be_written),
        (
            "a_child_that_dies_is_replaced_for_the_way_back",
            a_child_that_dies_is_replaced_for_the_way_back,
        ),
        ("a_program_that_is_no_child_is_told", a_program_that_is_no_child_is_told),
    ];
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut passed = 0;
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            // One that fails ends the program, with its message.
            test();
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    println!("test result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::SUCCESS
}

/// A directory that stands in for `/`, an engine with its journal beside it, and a confined store.
fn set_up() -> (tempfile::TempDir, Engine<Directory>, Confined) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for path in ["proc/sys/vm", "sys/devices/vda/queue", "sys/devices/vdb/queue", "sys/block"] {
        fs::create_dir_all(root.join(path)).unwrap();
    }
    std::os::unix::fs::symlink("../devices/vda", root.join("sys/block/vda")).unwrap();
    put(folder.path(), SWAPPINESS, "60\n");
    put(folder.path(), "/proc/sys/vm/other", "other\n");
    put(folder.path(), SCHEDULER, "none\n");
    put(folder.path(), "/sys/devices/vdb/queue/scheduler", "none\n");
    let storage = Directory::lock(&folder.path().join("journal")).unwrap();
    let machine = Machine { boot: "b".into(), release: None };
    let mut files = Files::beneath(&root);
    let (engine, _) = Unrecovered::open(storage, machine).unwrap().recover(&mut files).unwrap();
    let confined = Confined::beneath(Launch::default(), root);
    (folder, engine, confined)
}

fn put(folder: &Path, path: &str, value: &str) {
    fs::write(folder.join("root").join(&path[1..]), value).unwrap();
}

fn get(folder: &Path, path: &str) -> String {
    fs::read_to_string(folder.join("root").join(&path[1..])).unwrap()
}

fn step(path: &str, new: &str) -> Step {
    Step {
        setting: path.rsplit('/').next().unwrap().to_owned(),
        target: Target::file(path),
        old: None,
        new: new.into(),
        compare: Compare::Same,
        undo: Undo::default(),
        class: Class::Runtime,
        may_change_on_error: false,
        appears: false,
        effect: None,
        origin: Origin::default(),
    }
}

fn plan(steps: impl IntoIterator<Item = Step>) -> Plan {
    Plan { steps: steps.into_iter().collect(), ..Plan::new("confined") }
}

fn reach(path: &str, write: bool) -> Reach {
    Reach { target: Target::file(path), write, appears: false }
}

/// Whether this kernel can confine with Landlock; says so where it cannot.
fn has_landlock(confinement: &Confinement) -> bool {
    match &confinement.landlock {
        Ok(_) => true,
        Err(why) => {
            println!("without Landlock: {why}");
            false
        }
    }
}

fn a_plan_is_applied_by_a_confined_child() {
    let (folder, mut engine, mut confined) = set_up();
    let plan = plan([step(SWAPPINESS, "10"), step(SCHEDULER, "bfq")]);
    let report = engine.apply(&plan, &mut confined).unwrap();
    assert_eq!(get(folder.path(), SWAPPINESS), "10\n");
    assert_eq!(get(folder.path(), SCHEDULER), "bfq\n");
    let confinement = report.confinement.unwrap();
    assert_eq!(confinement.seccomp, Ok(()));
    has_landlock(&confinement);
    let status =
        fs::read_to_string(format!("/proc/{}/status", confined.process().unwrap())).unwrap();
    assert!(status.contains("Seccomp:\t2\n") && status.contains("NoNewPrivs:\t1\n"), "{status}");

    let verified = engine.verify(report.number, &mut confined).unwrap();
    assert_eq!((verified.holding, verified.drifts.len()), (2, 0));
    let refused = confined.write(&Target::file(SWAPPINESS), "1").unwrap_err();
    assert_eq!(refused, StoreError::OutOfReach, "to verify, nothing may be written");
    engine.rollback(report.number, &mut confined, Drifted::Overwrite).unwrap();
    assert_eq!(get(folder.path(), SWAPPINESS), "60\n");
    assert_eq!(get(folder.path(), SCHEDULER), "none\n");
}

fn no_other_path_can_be_written() {
    let (folder, _engine, mut confined) = set_up();
    confined.prepare(&[reach(SWAPPINESS, true), reach(SCHEDULER, false)]).unwrap();
    let other = Target::file("/proc/sys/vm/other");
    assert_eq!(confined.write(&other, "1"), Err(StoreError::OutOfReach));
    assert_eq!(confined.read(&other), Err(StoreError::OutOfReach));
    assert_eq!(confined.write(&Target::file(SCHEDULER), "1"), Err(StoreError::OutOfReach));
    assert_eq!(confined.read(&Target::file(SCHEDULER)).unwrap(), "none");
    confined.write(&Target::file(SWAPPINESS), "7").unwrap();
    assert_eq!(get(folder.path(), "/proc/sys/vm/other"), "other\n");
    // Nor is a child made for a path that no plan may name.
    assert_eq!(confined.prepare(&[reach("/etc/passwd", true)]), Err(StoreError::OutOfReach));
}

/// What the child was given the right to is a file, not a name: what takes the name later is closed to
/// it, by the kernel.
fn a_path_that_leads_elsewhere_by_now_is_closed() {
    let (folder, _engine, mut confined) = set_up();
    confined.prepare(&[reach(SCHEDULER, true), reach(SWAPPINESS, true)]).unwrap();
    if !has_landlock(&confined.confinement().unwrap()) {
        return;
    }
    let block = folder.path().join("root/sys/block");
    fs::remove_file(block.join("vda")).unwrap();
    std::os::unix::fs::symlink("../devices/vdb", block.join("vda")).unwrap();
    let target = Target::file(SCHEDULER);
    // Anyone else could: the path is right, and root may.
    Files::beneath(folder.path().join("root")).write(&target, "other").unwrap();
    assert_eq!(confined.write(&target, "bfq"), Err(StoreError::Kernel(13)));
    // It reads the file that it was given.
    assert_eq!(confined.read(&target).unwrap(), "none");
    assert_eq!(get(folder.path(), "/sys/devices/vdb/queue/scheduler"), "other\n");
    assert_eq!(get(folder.path(), "/sys/devices/vda/queue/scheduler"), "none\n");
    confined.write(&Target::file(SWAPPINESS), "7").unwrap();
}

fn what_appears_can_be_written() {
    let (folder, _engine, mut confined) = set_up();
    let appears = Reach { appears: true, ..reach(EXPIRE, true) };
    confined.prepare(&[reach(SCHEDULER, true), appears]).unwrap();
    assert_eq!(confined.read(&Target::file(EXPIRE)), Err(StoreError::Absent));
    fs::create_dir(folder.path().join("root/sys/devices/vda/queue/iosched")).unwrap();
    put(folder.path(), EXPIRE, "500\n");
    assert_eq!(confined.read(&Target::file(EXPIRE)).unwrap(), "500");
    confined.write(&Target::file(EXPIRE), "100").unwrap();
    assert_eq!(get(folder.path(), EXPIRE), "100\n");
}

/// Kills the child before one of its writes.
struct Killing {
    inner: Confined,
    writes: u32,
}

impl Store for Killing {
    fn reaches(&self, target: &Target) -> bool {
        self.inner.reaches(target)
    }
    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        self.inner.read(target)
    }
    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        self.writes += 1;
        if self.writes == 2 {
            let child = nix::unistd::Pid::from_raw(self.inner.process().unwrap().cast_signed());
            nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        self.inner.write(target, value)
    }
    fn prepare(&mut self, reach: &[Reach]) -> Result<(), StoreError> {
        self.inner.prepare(reach)
    }
}

fn a_child_that_dies_is_replaced_for_the_way_back() {
    let (folder, mut engine, confined) = set_up();
    let mut store = Killing { inner: confined, writes: 0 };
    let plan = plan([step(SWAPPINESS, "10"), step(SCHEDULER, "bfq")]);
    let Err(ApplyError::RolledBack(failure)) = engine.apply(&plan, &mut store) else {
        panic!("it went on without its child")
    };
    assert!(
        matches!(failure.cause, Cause::Write { error: StoreError::Writer(_), .. }),
        "{failure}"
    );
    assert_eq!(failure.restored.differences, []);
    assert_eq!(get(folder.path(), SWAPPINESS), "60\n");
    assert_eq!(get(folder.path(), SCHEDULER), "none\n");
}

fn a_program_that_is_no_child_is_told() {
    for (program, reason) in
        [("/bin/true", "does not answer"), ("/nonexistent", "cannot be started")]
    {
        let launch = Launch { program: program.into(), arguments: vec![] };
        let folder = tempfile::tempdir().unwrap();
        let mut confined = Confined::beneath(launch, folder.path());
        let refused = confined.prepare(&[reach(SWAPPINESS, true)]).unwrap_err();
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}
