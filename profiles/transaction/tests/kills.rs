//! The same with real processes, real files and `kill -9`: a child applies a plan of 50 settings to a
//! directory that stands in for `/`, and kills itself at each step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use nix::sys::signal::{Signal, raise};
use transaction::compare::Compare;
use transaction::journal::Storage;
use transaction::plan::{Class, Origin, Undo};
use transaction::{Directory, Files, Machine, Plan, Step, Store, StoreError, Target, Unrecovered};

const FOLDER: &str = "TRANSACTION_TEST_FOLDER";
const STEP: &str = "TRANSACTION_TEST_STEP";
const SETTINGS: usize = 50;

fn path(at: usize) -> String {
    // Some are reached through links, as block devices are.
    if at.is_multiple_of(5) {
        format!("/sys/block/vda/setting_{at}")
    } else {
        format!("/proc/sys/vm/setting_{at}")
    }
}

fn plan() -> Plan {
    let step = |at: usize| Step {
        setting: format!("setting_{at}"),
        target: Target::file(path(at)),
        old: Some("old".into()),
        new: "new and longer".into(),
        compare: Compare::Same,
        undo: Undo::default(),
        class: Class::Runtime,
        may_change_on_error: false,
        appears: false,
        effect: None,
        origin: Origin::default(),
    };
    Plan { steps: (0..SETTINGS).map(step).collect(), ..Plan::new("killed") }
}

fn machine() -> Machine {
    Machine { boot: "the only one".into(), release: None }
}

fn lay_out(root: &Path) {
    std::fs::create_dir_all(root.join("proc/sys/vm")).unwrap();
    std::fs::create_dir_all(root.join("sys/devices/vda")).unwrap();
    std::fs::create_dir_all(root.join("sys/block")).unwrap();
    std::os::unix::fs::symlink("../devices/vda", root.join("sys/block/vda")).unwrap();
    for at in 0..SETTINGS {
        std::fs::write(root.join(&path(at)[1..]), "old\n").unwrap();
    }
}

/// What each setting holds.
fn state(root: &Path) -> Vec<String> {
    (0..SETTINGS).map(|at| std::fs::read_to_string(root.join(&path(at)[1..])).unwrap()).collect()
}

/// Kills the process at a step, before or after it is taken: steps count twice.
#[derive(Debug, Clone)]
struct Clock {
    now: Rc<Cell<u32>>,
    kill_at: u32,
}

impl Clock {
    fn around<T>(&self, act: impl FnOnce() -> T) -> T {
        self.tick();
        let result = act();
        self.tick();
        result
    }

    fn tick(&self) {
        if self.now.get() == self.kill_at {
            raise(Signal::SIGKILL).unwrap();
        }
        self.now.set(self.now.get() + 1);
    }
}

struct Clocked<T>(T, Clock);

impl Store for Clocked<Files> {
    fn reaches(&self, target: &Target) -> bool {
        self.0.reaches(target)
    }
    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        self.0.read(target)
    }
    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        self.1.around(|| self.0.write(target, value))
    }
    fn canonical(&mut self, target: &Target) -> Result<Target, StoreError> {
        self.0.canonical(target)
    }
}

impl Storage for Clocked<Directory> {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn read(&mut self, name: &str, limit: usize) -> io::Result<Vec<u8>> {
        self.0.read(name, limit)
    }
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.1.around(|| self.0.write(name, bytes))
    }
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.around(|| self.0.append(name, at, bytes))
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.1.around(|| self.0.sync(name))
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.1.around(|| self.0.rename(from, to))
    }
    fn sync_directory(&mut self) -> io::Result<()> {
        self.1.around(|| self.0.sync_directory())
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.1.around(|| self.0.remove(name))
    }
}

/// Applies the plan; says how many steps there were, if it lives to.
#[test]
#[ignore = "run by the test below, as a process of its own"]
fn child() {
    let folder = std::env::var_os(FOLDER).expect("run by the other test");
    let folder = Path::new(&folder);
    let kill_at = std::env::var(STEP).unwrap().parse().unwrap();
    let clock = Clock { now: Rc::default(), kill_at };
    let storage = Clocked(Directory::lock(&folder.join("journal")).unwrap(), clock.clone());
    let mut store = Clocked(Files::beneath(folder.join("root")), clock.clone());
    let unrecovered = Unrecovered::open(storage, machine()).unwrap();
    let (mut engine, _) = unrecovered.recover(&mut store).unwrap();
    engine.apply(&plan(), &mut store).unwrap();
    std::fs::write(folder.join("steps"), clock.now.get().to_string()).unwrap();
}

/// Whether the child was killed.
fn run(folder: &Path, kill_at: u32) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(STEP, kill_at.to_string())
        .output()
        .unwrap();
    let is_killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
    assert!(is_killed || output.status.success(), "{output:?}");
    is_killed
}

#[test]
fn kill_9_at_any_step_leaves_the_old_or_the_new() {
    let scratch = tempfile::tempdir().unwrap();
    let fresh = |name: String| {
        let folder = scratch.path().join(name);
        lay_out(&folder.join("root"));
        folder
    };
    let folder = fresh("whole".into());
    assert!(!run(&folder, u32::MAX));
    let new = state(&folder.join("root"));
    assert!(new.iter().all(|value| value == "new and longer\n"));
    let steps: u32 = std::fs::read_to_string(folder.join("steps")).unwrap().parse().unwrap();
    assert_eq!(steps, 2 * (50 + 6), "each setting, and six steps of the journal");

    let mut ends = [0, 0];
    for step in 0..steps {
        let folder = fresh(step.to_string());
        assert!(run(&folder, step), "the child lived through step {step}");
        let storage = Directory::lock(&folder.join("journal")).unwrap();
        let mut store = Files::beneath(folder.join("root"));
        let (_, recovery) =
            Unrecovered::open(storage, machine()).unwrap().recover(&mut store).unwrap();
        let is_new = recovery.in_force.is_some();
        let left = state(&folder.join("root"));
        let expected = if is_new { "new and longer\n" } else { "old\n" };
        assert!(left.iter().all(|value| value == expected), "killed at {step}: {left:?}");
        ends[usize::from(is_new)] += 1;
    }
    assert!(ends[0] > 100 && ends[1] >= 2, "both ends were seen: {ends:?}");
}
