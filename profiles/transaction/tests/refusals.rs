//! Plans that are refused before anything is written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::plans::*;
use common::{engine, machine};
use transaction::engine::ApplyError;
use transaction::plan::{Kernel, MAX_BYTES, PlanError};
use transaction::{Plan, Step, Target};

/// Applies a plan that must be refused, and gives the reason.
fn refused(plan: &Plan) -> String {
    let mut model = model();
    let before = model.state();
    let error = engine().apply(plan, &mut model).unwrap_err();
    assert!(!matches!(error, ApplyError::RolledBack(_)), "{error}");
    assert_eq!(model.writes, 0, "{error}");
    assert_eq!(model.state(), before);
    error.to_string()
}

#[test]
fn paths_that_lead_elsewhere() {
    for (path, reason) in [
        ("/etc/passwd", "outside"),
        ("/proc/sysrq-trigger", "outside"),
        ("/proc/1/mem", "outside"),
        ("/proc/sys/../sysrq-trigger", "`..`"),
        ("/proc/sys/vm/./swappiness", "`..`"),
        ("/proc/sys//vm", "empty"),
        ("/proc/sys/vm/", "empty"),
        ("proc/sys/vm/swappiness", "not absolute"),
        ("", "not absolute"),
        ("/proc/sys/vm/a\0b", "NUL"),
        ("/proc/sys/vm/a\nb", "control character"),
    ] {
        let reason_given =
            refused(&plan([known(SWAPPINESS, "10"), step(path, "1", Default::default())]));
        assert!(reason_given.contains(reason), "{path:?}: {reason_given}");
    }
    let long = format!("/proc/sys/{}", "a".repeat(2000));
    assert!(refused(&plan([step(&long, "1", Default::default())])).contains("longer than 1024"));
}

#[test]
fn values_that_are_no_values() {
    for (value, reason) in [
        ("1\n2", "line feed"),
        ("1\0", "NUL"),
        (" 1", "canonical"),
        ("1 ", "canonical"),
        ("1  2", "canonical"),
        ("1\t2", "control character"),
    ] {
        let reason_given = refused(&plan([known(SWAPPINESS, value)]));
        assert!(reason_given.contains(reason), "{value:?}: {reason_given}");
    }
    let long = "1".repeat(1024 * 1024 + 1);
    assert!(refused(&plan([known(SWAPPINESS, &long)])).contains("longer than"));
}

#[test]
fn two_values_for_one_target() {
    let reason =
        refused(&plan([known(SWAPPINESS, "10"), known(MIN_FREE, "1"), known(SWAPPINESS, "20")]));
    assert!(reason.contains("swappiness") && reason.contains("both write"), "{reason}");
    // One value twice is no contradiction.
    let mut model = model();
    engine().apply(&plan([known(SWAPPINESS, "10"), known(SWAPPINESS, "10")]), &mut model).unwrap();
    assert_eq!(model.writes, 1);
}

#[test]
fn latches_in_front_of_what_may_fail() {
    let reason = refused(&plan([known(LATCH, "1"), known(SWAPPINESS, "10")]));
    assert!(reason.contains("has to come last"), "{reason}");
}

#[test]
fn contradictions() {
    let undo = known(DROP, "1").undo;
    let reason = refused(&plan([Step { undo, ..known(SWAPPINESS, "10") }]));
    assert!(reason.contains("contradicts itself"), "{reason}");
    let reason = refused(&plan([Step {
        compare: transaction::compare::Compare::WriteOnly,
        ..known(SWAPPINESS, "10")
    }]));
    assert!(reason.contains("contradicts itself"), "{reason}");
}

#[test]
fn kinds_that_nothing_here_can_change() {
    let target = Target::Ethtool { device: "eth0".into(), attribute: "rings.rx".into() };
    let reason =
        refused(&plan([known(SWAPPINESS, "10"), Step { target, ..known(SWAPPINESS, "10") }]));
    assert!(reason.contains("ethtool rings.rx of eth0 is an ethtool setting"), "{reason}");
}

#[test]
fn settings_that_cannot_be_read() {
    let reason = refused(&plan([
        known(SWAPPINESS, "10"),
        step("/proc/sys/vm/none", "1", Default::default()),
        step("/proc/sys/vm/nor_this", "1", Default::default()),
        step(DROP, "1", Default::default()),
    ]));
    for part in [
        "none: ",
        "nor_this: ",
        "no such setting",
        "drop_caches: ",
        "Permission denied",
        "(test.ks:1)",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn a_snapshot_that_no_longer_holds() {
    let old = |step: Step, old: &str| Step { old: Some(old.into()), ..step };
    let reason = refused(&plan([
        old(known(SWAPPINESS, "10"), "30"),
        old(known(MIN_FREE, "1"), "45056"),
        old(known(THP, "never"), "always"),
    ]));
    assert!(reason.contains("swappiness was \"30\" and is \"60\""), "{reason}");
    assert!(reason.contains("enabled was \"always\""), "{reason}");
    assert!(!reason.contains("min_free"), "{reason}");
    // Old values in either form, as read and as written.
    let mut model = model();
    let plan = plan([
        old(known(SWAPPINESS, "10"), "60"),
        old(known(THP, "never"), "madvise"),
        old(known(RMEM, "1 2 3"), "4096 131072 6291456"),
    ]);
    engine().apply(&plan, &mut model).unwrap();
}

#[test]
fn plans_for_another_kernel() {
    let with = |kernel| Plan { kernel, ..plan([known(SWAPPINESS, "10")]) };
    let other = |release: Option<&str>, boot: Option<&str>| {
        with(Kernel { release: release.map(Into::into), boot: boot.map(Into::into) })
    };
    assert!(refused(&other(Some("6.1.0"), None)).contains("kernel 6.1.0"));
    assert!(refused(&other(None, Some("yesterday"))).contains("boot yesterday"));
    let here = machine(1);
    engine().apply(&other(here.release.as_deref(), Some(&here.boot)), &mut model()).unwrap();
}

#[test]
fn plans_from_outside_are_bounded() {
    let refuse = |bytes: &[u8]| Plan::from_json(bytes).unwrap_err().to_string();
    assert!(refuse(&vec![b' '; MAX_BYTES + 1]).contains("at most"));
    assert!(refuse(br#"{"version": 2, "what": 1}"#).contains("form 2"));
    assert!(
        refuse(br#"{"version": 1, "profile": "a", "steps": [], "extra": 1}"#)
            .contains("unknown field")
    );
    assert!(refuse(br#"{"version": 1"#).contains("no plan"));
    assert!(refuse(&[b'['; 100_000]).contains("no plan"));
    let unknown = br#"{"version":1,"profile":"a","steps":[{"setting":"s","target":{"floppy":"a"},"new":"1","origin":{"profile":"a"}}]}"#;
    assert!(refuse(unknown).contains("floppy"), "{}", refuse(unknown));
    let many =
        plan((0..5000).map(|at| step(&format!("/proc/sys/a/{at}"), "1", Default::default())));
    assert!(matches!(many.check(), Err(PlanError::TooManySteps(5000))));
    let whole = large_plan();
    assert_eq!(Plan::from_json(&whole.to_json().unwrap()).unwrap(), whole);
}
