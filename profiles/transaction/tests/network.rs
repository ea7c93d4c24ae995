//! Settings of real network devices, in a network namespace of its own. This has a main of its own: a
//! namespace is the process's, and the confined child is this program again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod devices;

use std::process::ExitCode;

use devices::{Veth, features_by_ioctl, mtu_by_ioctl};
use transaction::compare::Compare;
use transaction::engine::{ApplyError, Cause, Outcome};
use transaction::plan::{Class, Origin, PlanError, Undo};
use transaction::sandbox::{Confined, Launch, run_if_asked};
use transaction::{
    Directory, Drifted, Engine, Kernel, Machine, Plan, Step, Store, StoreError, Target, Unrecovered,
};

fn main() -> ExitCode {
    if let Some(code) = run_if_asked() {
        return code;
    }
    devices::own_namespace();
    let tests: [(&str, fn()); 7] = [
        ("what_a_device_has_is_read", what_a_device_has_is_read),
        ("what_it_does_not_have_says_why", what_it_does_not_have_says_why),
        ("a_plan_is_applied_and_undone", a_plan_is_applied_and_undone),
        ("what_an_operator_set_comes_back", what_an_operator_set_comes_back),
        ("what_cannot_come_back_is_not_touched", what_cannot_come_back_is_not_touched),
        ("a_step_that_fails_takes_all_back", a_step_that_fails_takes_all_back),
        ("nonsense_is_refused_by_name", nonsense_is_refused_by_name),
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

fn ethtool(device: &str, attribute: &str) -> Target {
    Target::Ethtool { device: device.into(), attribute: attribute.into() }
}

fn link(device: &str, attribute: &str) -> Target {
    Target::Link { device: device.into(), attribute: attribute.into() }
}

fn step(target: Target, new: &str) -> Step {
    let compare = match &target {
        Target::Link { attribute, .. } if attribute == "qdisc" => Compare::Pairs,
        _ => Compare::Same,
    };
    Step {
        setting: target.to_string(),
        target,
        old: None,
        new: new.into(),
        compare,
        undo: Undo::default(),
        class: Class::Runtime,
        may_change_on_error: true,
        appears: false,
        effect: None,
        origin: Origin::default(),
    }
}

fn plan(steps: &[(Target, &str)]) -> Plan {
    let mut plan = Plan::new("network");
    plan.steps = steps.iter().map(|(target, new)| step(target.clone(), new)).collect();
    plan
}

/// An engine with an empty journal, and a confined store.
fn engine() -> (tempfile::TempDir, Engine<Directory>, Confined) {
    let folder = tempfile::tempdir().unwrap();
    let storage = Directory::lock(folder.path()).unwrap();
    let mut store = Confined::of_kernel(Launch::default());
    let machine = Machine::running().unwrap();
    let (engine, _) = Unrecovered::open(storage, machine).unwrap().recover(&mut store).unwrap();
    (folder, engine, store)
}

fn read(target: &Target) -> Result<String, StoreError> {
    Kernel::running().read(target)
}

fn what_a_device_has_is_read() {
    let veth = Veth::new("a0", "a1");
    assert_eq!(read(&link("a0", "mtu")), Ok("1500".into()));
    assert_eq!(read(&link("a0", "qdisc")), Ok("noqueue handle 0:".into()));
    assert_eq!(read(&ethtool("a0", "features.tx-tcp-segmentation")), Ok("1".into()));
    assert!(features_by_ioctl("a0").tso);
    veth.down();
    assert_eq!(read(&link("lo", "mtu")), Ok("65536".into()));
}

fn what_it_does_not_have_says_why() {
    let _veth = Veth::new("a0", "a1");
    let why = |target: &Target| match read(target) {
        Err(StoreError::Unsupported(why)) => why,
        other => panic!("{target}: {other:?}"),
    };
    assert_eq!(why(&ethtool("a0", "rings.rx")), "the driver of a0 has no rings.rx");
    assert_eq!(
        why(&ethtool("a0", "coalesce.rx-usecs")),
        "the driver of a0 has no coalesce.rx-usecs"
    );
    assert_eq!(
        why(&ethtool("a0", "channels.combined-count")),
        "the driver of a0 has no channels.combined-count"
    );
    assert!(why(&ethtool("lo", "features.loopback")).contains("keeps loopback on"));
    assert!(why(&ethtool("a0", "features.warp-drive")).contains("knows no feature warp-drive"));
    assert_eq!(read(&ethtool("no0", "rings.rx")), Err(StoreError::Absent));
    assert_eq!(read(&link("no0", "qdisc")), Err(StoreError::Absent));
    assert_eq!(read(&link("a0", "color")), Err(StoreError::OutOfReach));
}

fn a_plan_is_applied_and_undone() {
    let _veth = Veth::new("a0", "a1");
    let targets = [
        link("a0", "mtu"),
        link("a0", "qdisc"),
        ethtool("a0", "features.tx-tcp-segmentation"),
        ethtool("a0", "features.rx-gro"),
    ];
    let before: Vec<_> = targets.iter().map(read).collect();
    let gro = features_by_ioctl("a0").gro;
    let flipped = if gro { "0" } else { "1" };
    let [mtu, qdisc, tso, own_gro] = targets.clone();
    let plan =
        plan(&[(mtu.clone(), "1400"), (qdisc, "pfifo limit 77"), (tso, "0"), (own_gro, flipped)]);
    let (_folder, mut engine, mut store) = engine();
    let report = engine.apply(&plan, &mut store).unwrap();
    assert!(report.steps.iter().all(|step| step.outcome == Outcome::Written), "{report:?}");
    let confinement = report.confinement.unwrap();
    assert!(confinement.seccomp.is_ok() && confinement.landlock.is_ok(), "{confinement:?}");
    // By other ways than the engine's own.
    assert_eq!(mtu_by_ioctl("a0"), 1400);
    let features = features_by_ioctl("a0");
    assert_eq!((features.tso, features.gro), (false, !gro));
    assert!(read(&link("a0", "qdisc")).unwrap().ends_with(" limit 77"));
    assert_eq!(engine.verify(report.number, &mut store).unwrap().drifts, []);

    Kernel::running().write(&mtu, "1300").unwrap();
    let drifts = engine.verify(report.number, &mut store).unwrap().drifts;
    assert_eq!(drifts.len(), 1, "{drifts:?}");
    let undone = engine.rollback(report.number, &mut store, Drifted::Overwrite).unwrap();
    assert_eq!(undone.restored.differences, []);
    assert_eq!(targets.iter().map(read).collect::<Vec<_>>(), before);
    assert_eq!((mtu_by_ioctl("a0"), features_by_ioctl("a0").tso), (1500, true));
}

fn what_an_operator_set_comes_back() {
    let _veth = Veth::new("a0", "a1");
    let qdisc = link("a0", "qdisc");
    for set in ["bfifo limit 5000", "pfifo limit 9", "pfifo_fast", "noqueue"] {
        Kernel::running().write(&qdisc, set).unwrap();
        let before = read(&qdisc).unwrap();
        assert!(before.starts_with(set.split(' ').next().unwrap()), "{before}");
        assert!(!before.contains("handle 0:"), "{before}");
        let (_folder, mut engine, mut store) = engine();
        for new in ["pfifo limit 10", "bfifo limit 6000"] {
            let report = engine.apply(&plan(&[(qdisc.clone(), new)]), &mut store).unwrap();
            assert_ne!(read(&qdisc).unwrap(), before);
            let undone = engine.rollback(report.number, &mut store, Drifted::LeaveAlone).unwrap();
            assert_eq!(undone.restored.differences, [], "{set}, {new}");
            assert_eq!(read(&qdisc).unwrap(), before, "{set}, {new}");
        }
    }
    // And the kernel's own, once nothing is in its place.
    Kernel::running().write(&qdisc, "noqueue handle 0:").unwrap();
    assert_eq!(read(&qdisc).unwrap(), "noqueue handle 0:");
}

fn what_cannot_come_back_is_not_touched() {
    let veth = Veth::new("a0", "a1");
    veth.set_up_htb("a0");
    let qdisc = link("a0", "qdisc");
    match read(&qdisc) {
        Err(StoreError::Unsupported(why)) => {
            assert!(why.contains("htb, which somebody set up"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    let (_folder, mut engine, mut store) = engine();
    let both = plan(&[(link("a0", "mtu"), "1400"), (qdisc, "pfifo")]);
    match engine.apply(&both, &mut store) {
        Err(ApplyError::Problems(problems)) => {
            assert!(problems[0].why.contains("could not be put back"), "{problems:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(mtu_by_ioctl("a0"), 1500, "nothing else was written");
}

fn a_step_that_fails_takes_all_back() {
    let _veth = Veth::new("a0", "a1");
    let before = read(&link("a0", "qdisc"));
    let (_folder, mut engine, mut store) = engine();
    let bad = plan(&[
        (link("a0", "qdisc"), "pfifo limit 5"),
        (ethtool("a0", "features.tx-tcp-segmentation"), "0"),
        (link("a0", "mtu"), "70000"),
    ]);
    match engine.apply(&bad, &mut store) {
        Err(ApplyError::RolledBack(failure)) => {
            let Cause::Write { setting, error } = &failure.cause else { panic!("{failure:?}") };
            assert_eq!(setting, "mtu of a0");
            assert!(error.to_string().contains("mtu greater than device maximum"), "{error}");
            assert_eq!(failure.restored.differences, []);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(read(&link("a0", "qdisc")), before);
    assert!(features_by_ioctl("a0").tso);
}

fn nonsense_is_refused_by_name() {
    let refused = |target: Target, new: &str| plan(&[(target, new)]).check().unwrap_err();
    let error = refused(link("a0", "qdisc"), "htb default 10");
    assert!(matches!(error, PlanError::Discipline { .. }));
    assert!(error.to_string().contains("`htb` cannot be set here"), "{error}");
    for target in [link("a0", "color"), ethtool("a0", "rings.color"), link("a/b", "mtu")] {
        assert!(matches!(refused(target, "1"), PlanError::Device { .. }));
    }
}
