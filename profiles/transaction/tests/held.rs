//! Who holds a device file open for a profile. This has a main of its own: the holder is this program again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use transaction::compare::Compare;
use transaction::engine::ApplyError;
use transaction::plan::{Class, Origin, Undo};
use transaction::sandbox::{Beside, Confined, Launch, run_if_asked};
use transaction::sys::Held;
use transaction::{
    Directory, Drifted, Engine, Machine, Plan, Step, Store, StoreError, Target, Unrecovered,
};

fn main() -> ExitCode {
    if let Some(code) = run_if_asked() {
        return code;
    }
    let tests: [(&str, fn()); 5] = [
        ("a_plan_holds_and_lets_go", a_plan_holds_and_lets_go),
        ("a_holder_that_is_killed_is_a_drift", a_holder_that_is_killed_is_a_drift),
        ("one_holder_takes_the_place_of_another", one_holder_takes_the_place_of_another),
        ("what_was_left_unfinished_is_let_go", what_was_left_unfinished_is_let_go),
        ("what_cannot_be_held_is_told", what_cannot_be_held_is_told),
    ];
    for (name, test) in tests {
        // One that fails ends the program, with its message.
        test();
        println!("test {name} ... ok");
    }
    println!("test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::SUCCESS
}

/// A folder with a journal, and with a file that stands in for the device.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dev")).unwrap();
        fs::write(folder.path().join("dev/cpu_dma_latency"), "").unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn held(&self) -> Held {
        Held::new(self.path(), Launch::default()).with_devices(self.path().join("dev"))
    }

    fn engine(&self) -> (Engine<Directory>, Beside<Confined>) {
        let storage = Directory::lock(self.path()).unwrap();
        let mut store = Confined::of_kernel(Launch::default()).holding(self.held());
        let machine = Machine::running().unwrap();
        let (engine, _) = Unrecovered::open(storage, machine).unwrap().recover(&mut store).unwrap();
        (engine, store)
    }

    fn reading(&self) -> String {
        self.held().read(&target()).unwrap()
    }

    /// What was written to the device last.
    fn written(&self) -> i32 {
        let bytes = fs::read(self.path().join("dev/cpu_dma_latency")).unwrap();
        i32::from_ne_bytes(bytes.try_into().unwrap())
    }

    /// The processes that hold it, as the process table says.
    fn holders(&self) -> Vec<i32> {
        let lock = self.path().join("cpu_dma_latency.holder");
        let ours = |process: &i32| {
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            words.contains(&"--hold-device-on".as_bytes())
                && words.contains(&lock.as_os_str().as_encoded_bytes())
        };
        let names = fs::read_dir("/proc").unwrap();
        let numbers = names.filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok());
        numbers.filter(ours).collect()
    }

    fn wait_for_holders(&self, count: usize) -> Vec<i32> {
        let begun = Instant::now();
        loop {
            let holders = self.holders();
            if holders.len() == count {
                return holders;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{holders:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that fails leaves nobody behind.
        let _ = self.held().write(&target(), "none");
    }
}

fn target() -> Target {
    Target::Held("cpu_dma_latency".into())
}

fn plan(latency: &str) -> Plan {
    let mut plan = Plan::new("awake");
    plan.steps.push(Step {
        setting: "cpu.dma_latency".into(),
        target: target(),
        old: Some("none".into()),
        new: latency.into(),
        compare: Compare::Same,
        undo: Undo::default(),
        class: Class::Runtime,
        may_change_on_error: true,
        appears: false,
        effect: None,
        origin: Origin::default(),
    });
    plan
}

fn status(process: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

fn a_plan_holds_and_lets_go() {
    let folder = Folder::new();
    assert_eq!(folder.reading(), "none");
    let (mut engine, mut store) = folder.engine();
    let report = engine.apply(&plan("20"), &mut store).unwrap();
    assert_eq!((folder.reading(), folder.written()), ("20".into(), 20));
    let [holder] = folder.wait_for_holders(1)[..] else { panic!() };
    // Nobody's child, and fenced in.
    assert_ne!(status(holder, "PPid"), std::process::id().to_string());
    assert_eq!((status(holder, "NoNewPrivs"), status(holder, "Seccomp")), ("1".into(), "2".into()));
    let open = fs::read_dir(format!("/proc/{holder}/fd")).unwrap();
    let open: Vec<_> = open.map(|fd| fs::read_link(fd.unwrap().path()).unwrap()).collect();
    assert!(open.contains(&folder.path().join("dev/cpu_dma_latency")), "{open:?}");
    // Who started it is gone.
    drop((engine, store));
    let (mut engine, mut store) = folder.engine();
    assert_eq!(engine.verify(report.number, &mut store).unwrap().drifts, []);
    assert_eq!(folder.wait_for_holders(1), [holder]);
    let undone = engine.rollback(report.number, &mut store, Drifted::LeaveAlone).unwrap();
    assert_eq!(undone.restored.differences, []);
    assert_eq!(folder.reading(), "none");
    folder.wait_for_holders(0);
}

fn a_holder_that_is_killed_is_a_drift() {
    let folder = Folder::new();
    let (mut engine, mut store) = folder.engine();
    let report = engine.apply(&plan("20"), &mut store).unwrap();
    let [holder] = folder.wait_for_holders(1)[..] else { panic!() };
    kill(Pid::from_raw(holder), Signal::SIGKILL).unwrap();
    folder.wait_for_holders(0);
    let drifts = engine.verify(report.number, &mut store).unwrap().drifts;
    assert_eq!(drifts.len(), 1, "{drifts:?}");
    let undone = engine.rollback(report.number, &mut store, Drifted::LeaveAlone).unwrap();
    assert_eq!(undone.restored.differences, []);
    assert_eq!(folder.reading(), "none");
}

fn one_holder_takes_the_place_of_another() {
    let folder = Folder::new();
    let mut held = folder.held();
    let mut last = Vec::new();
    for latency in ["20", "0", "2147483647", "1", "20"] {
        held.write(&target(), latency).unwrap();
        assert_eq!(folder.reading(), latency);
        assert_eq!(folder.written().to_string(), latency);
        let holders = folder.wait_for_holders(1);
        assert_ne!(holders, last);
        last = holders;
    }
    // What is held already needs nobody new.
    held.write(&target(), "20").unwrap();
    assert_eq!(folder.wait_for_holders(1), last);
    held.write(&target(), "none").unwrap();
    assert_eq!(folder.reading(), "none");
    folder.wait_for_holders(0);
}

fn what_was_left_unfinished_is_let_go() {
    let folder = Folder::new();
    let (mut engine, mut store) = folder.engine();
    let mut failing = plan("20");
    let mut bad = failing.steps[0].clone();
    bad.setting = "nothing".into();
    bad.target = Target::Link { device: "lo".into(), attribute: "mtu".into() };
    (bad.old, bad.new) = (None, "much".into());
    failing.steps.push(bad);
    match engine.apply(&failing, &mut store) {
        Err(ApplyError::RolledBack(failure)) => {
            assert_eq!(failure.restored.differences, []);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(folder.written(), 20, "it was held for a moment");
    assert_eq!(folder.reading(), "none");
    folder.wait_for_holders(0);
}

fn what_cannot_be_held_is_told() {
    let folder = Folder::new();
    let mut held = folder.held();
    for bad in ["-1", "2147483648", "much", ""] {
        let error = held.write(&target(), bad).unwrap_err();
        assert!(matches!(error, StoreError::Unsupported(_)), "{bad}: {error}");
    }
    assert_eq!(held.read(&Target::Held("kmsg".into())), Err(StoreError::OutOfReach));
    fs::remove_file(folder.path().join("dev/cpu_dma_latency")).unwrap();
    let error = held.read(&target()).unwrap_err();
    assert_eq!(error.to_string(), "this kernel has no /dev/cpu_dma_latency");
    fs::create_dir(folder.path().join("dev/cpu_dma_latency")).unwrap();
    let error = held.write(&target(), "20").unwrap_err();
    assert!(error.to_string().contains("Is a directory"), "{error}");
    folder.wait_for_holders(0);
}
