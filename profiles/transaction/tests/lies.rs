//! A kernel that lies: whatever it does, it ends up as planned or as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::model::{Model, Ways};
use common::plans::*;
use common::{engine, machine, start};
use transaction::compare::Compare;
use transaction::engine::{ApplyError, Cause, Failure, Outcome};
use transaction::plan::Effect;
use transaction::{Drifted, Step, Target};

/// Applies a plan that must fail, and gives what was said of that.
fn failed(model: &mut Model, steps: Vec<Step>) -> Failure {
    match engine().apply(&plan(steps), model) {
        Err(ApplyError::RolledBack(failure)) => *failure,
        other => panic!("not rolled back: {other:?}"),
    }
}

#[test]
fn a_failed_write_that_changed_something_is_undone() {
    let mut model = model();
    let before = model.state();
    let failure = failed(&mut model, vec![known(SWAPPINESS, "10"), known(RMEM, "999999 100 50")]);
    assert!(matches!(failure.cause, Cause::Write { .. }), "{failure}");
    assert_eq!(failure.restored.differences, []);
    assert_eq!(model.state(), before);

    let failure = failed(&mut model, vec![known(LATE, "7")]);
    assert!(failure.to_string().contains("everything was set back as it was"), "{failure}");
    assert_eq!(model.state(), before);
}

#[test]
fn a_void_partition_is_a_failure() {
    let mut model = model();
    let before = model.state();
    let failure = failed(&mut model, vec![known(PARTITION, "isolated")]);
    assert!(failure.to_string().contains("isolated invalid (Cpu list empty)"), "{failure}");
    assert_eq!(model.state(), before);
    // The next kernel can do it.
    let mut model = self::model().with(PARTITION, "member", Ways::Partition { is_void: false });
    engine().apply(&plan([known(PARTITION, "isolated")]), &mut model).unwrap();
}

#[test]
fn junk_that_is_taken_is_found_out() {
    let mut model = model();
    let failure = failed(&mut model, vec![known(SWAPPINESS, "10 junk")]);
    assert!(matches!(failure.cause, Cause::Differs { .. }), "{failure}");
    assert_eq!(model.get(SWAPPINESS).as_deref(), Some("60"));
}

#[test]
fn rounding_is_told_where_it_is_allowed() {
    let mut model = model();
    let report = engine()
        .apply(
            &plan([
                known(READ_AHEAD, "3"),
                known(REQUESTS, "1"),
                known(PIPE, "1"),
                known(POLL, "1"),
            ]),
            &mut model,
        )
        .unwrap();
    let told: Vec<_> =
        report.steps.iter().map(|step| (step.outcome.clone(), step.read.clone())).collect();
    let read = |text: &str| Some(text.to_owned());
    assert_eq!(
        told,
        [
            (Outcome::Rounded, read("0")),
            (Outcome::Rounded, read("4")),
            (Outcome::Rounded, read("4096")),
            (Outcome::Ignored, read("0")),
        ]
    );
    // And is a failure where it is not.
    failed(&mut model, vec![step(READ_AHEAD, "7", Compare::Same)]);
    failed(&mut model, vec![step(POLL, "1", Compare::Same)]);
}

#[test]
fn a_twin_is_brought_back_by_writing_the_other() {
    for (start_bytes, start_ratio) in [("0", "20"), ("104857600", "0"), ("0", "0")] {
        for steps in [
            vec![known(DIRTY_BYTES, "536870912")],
            vec![known(DIRTY_RATIO, "30")],
            vec![known(OVERCOMMIT_KBYTES, "77"), known(DIRTY_BYTES, "536870912")],
        ] {
            let mut model = model();
            model.set(DIRTY_BYTES, start_bytes);
            model.set(DIRTY_RATIO, start_ratio);
            let before = model.state();
            let mut engine = engine();
            let number = engine.apply(&plan(steps.clone()), &mut model).unwrap().number;
            assert_ne!(model.state(), before);
            let undone = engine.rollback(number, &mut model, Drifted::Overwrite).unwrap();
            assert_eq!(undone.restored.differences, []);
            assert_eq!(model.state(), before);
            // And after a failure.
            let with_failure: Vec<Step> = steps.into_iter().chain([known(REFUSED, "1")]).collect();
            failed(&mut model, with_failure);
            assert_eq!(model.state(), before);
        }
    }
}

#[test]
fn what_moves_along_comes_back() {
    let mut model = model();
    let before = model.state();
    let mut engine = engine();
    let steps = [known(THP, "always"), known(WATCHDOG, "0")];
    let number = engine.apply(&plan(steps), &mut model).unwrap().number;
    assert_eq!(model.get(MIN_FREE).as_deref(), Some("67584"));
    assert_eq!(model.get(SOFT).as_deref(), Some("0"));
    engine.rollback(number, &mut model, Drifted::Overwrite).unwrap();
    assert_eq!(model.state(), before);
}

#[test]
fn what_a_later_step_moves_is_written_again() {
    let mut model = model();
    let steps = [known(MIN_FREE, "50000"), known(THP, "always")];
    engine().apply(&plan(steps), &mut model).unwrap();
    assert_eq!(model.get(MIN_FREE).as_deref(), Some("50000"));
}

#[test]
fn two_steps_that_move_each_other_for_good_are_refused() {
    let mut model = model();
    let before = model.state();
    let failure =
        failed(&mut model, vec![known(DIRTY_BYTES, "536870912"), known(DIRTY_RATIO, "30")]);
    assert!(matches!(failure.cause, Cause::Moved { .. }), "{failure}");
    assert_eq!(model.state(), before);
}

#[test]
fn settings_that_come_with_another_are_written_once_they_are_there() {
    let mut model = model();
    let before = model.state();
    assert_eq!(model.get(EXPIRE), None);
    let mut engine = engine();
    let steps = [known(SCHEDULER, "mq-deadline"), known(EXPIRE, "100")];
    let number = engine.apply(&plan(steps.clone()), &mut model).unwrap().number;
    assert_eq!(model.get(EXPIRE).as_deref(), Some("100"));
    engine.rollback(number, &mut model, Drifted::Overwrite).unwrap();
    assert_eq!(model.state(), before);
    // They go with it, too: what they were before is brought back behind it.
    engine.apply(&plan(steps), &mut model).unwrap();
    let before = model.state();
    failed(&mut model, vec![known(SCHEDULER, "none"), known(EXPIRE, "200")]);
    assert_eq!(model.state(), before);
    // Without the mark, a setting that is not there is an error before anything is written.
    let mut model = self::model();
    let refused = engine.apply(&plan([step(EXPIRE, "1", Compare::Same)]), &mut model).unwrap_err();
    assert!(matches!(refused, ApplyError::Problems(_)), "{refused}");
    assert_eq!(model.writes, 0);
}

#[test]
fn latches_come_last_and_only_once_all_else_holds() {
    let mut model = model();
    // It reads as written, and has no effect.
    let effect = Effect { target: Target::file(NMI), expected: "1".into(), compare: Compare::Same };
    let void = Step { effect: Some(effect), ..step(SOFT, "0", Compare::Same) };
    let failure = failed(&mut model, vec![void, known(LATCH, "1")]);
    assert!(matches!(failure.cause, Cause::NoEffect { .. }), "{failure}");
    assert_eq!(model.get(LATCH).as_deref(), Some("0"));

    let mut engine = engine();
    let number = engine
        .apply(&plan([known(SWAPPINESS, "10"), known(LATCH, "1")]), &mut model)
        .unwrap()
        .number;
    let undone = engine.rollback(number, &mut model, Drifted::Overwrite).unwrap();
    assert_eq!(undone.restored.differences, []);
    assert_eq!(undone.restored.until_next_boot.len(), 1);
    assert_eq!(model.get(SWAPPINESS).as_deref(), Some("60"));
}

#[test]
fn actions_are_done_each_time() {
    let mut model = model();
    let mut engine = engine();
    for round in 1..3 {
        let report = engine.apply(&plan([known(DROP, "3")]), &mut model).unwrap();
        assert_eq!(report.steps[0].outcome, Outcome::Written);
        assert_eq!(model.writes, round);
    }
}

#[test]
fn what_holds_already_is_not_written() {
    let mut model = model();
    let report = engine()
        .apply(&plan([known(SWAPPINESS, "60"), known(THP, "madvise")]), &mut model)
        .unwrap();
    assert!(report.steps.iter().all(|step| step.outcome == Outcome::Unchanged));
    assert_eq!(model.writes, 0);
}

#[test]
fn what_cannot_be_brought_back_is_named() {
    let mut model =
        model().with(SWAPPINESS, "60", Ways::Spills(LATE)).with(MIN_FREE, "7", Ways::Latch);
    // 7 is a value that this setting does not take.
    let failure = failed(&mut model, vec![step(MIN_FREE, "1", Compare::Same), known(REFUSED, "1")]);
    let named: Vec<&str> =
        failure.restored.differences.iter().map(|difference| difference.setting.as_str()).collect();
    assert_eq!(named, ["min_free_kbytes"]);
    assert!(
        failure.to_string().contains("except: min_free_kbytes was \"7\" and is \"1\""),
        "{failure}"
    );
}

#[test]
fn verify_names_each_drift() {
    let mut model = model();
    let mut engine = engine();
    let steps =
        [known(SWAPPINESS, "10"), known(READ_AHEAD, "3"), known(THP, "never"), known(DROP, "1")];
    let number = engine.apply(&plan(steps), &mut model).unwrap().number;
    let verified = engine.verify(number, &mut model).unwrap();
    assert_eq!((verified.holding, verified.drifts.len()), (3, 0));
    assert_eq!(verified.unreadable, ["drop_caches"]);
    model.set(READ_AHEAD, "64");
    let verified = engine.verify(number, &mut model).unwrap();
    assert_eq!(verified.drifts[0].to_string(), "read_ahead_kb should be \"0\" and is \"64\"");
    assert_eq!(verified.drifts.len(), 1);
    // Undone, but what somebody else has changed on purpose stays.
    let undone = engine.rollback(number, &mut model, Drifted::LeaveAlone).unwrap();
    assert_eq!(undone.restored.left_alone.len(), 1);
    assert_eq!(model.get(READ_AHEAD).as_deref(), Some("64"));
    assert_eq!(model.get(SWAPPINESS).as_deref(), Some("60"));
    assert!(engine.verify(number, &mut model).is_err(), "it is not in force any more");
}

#[test]
fn only_the_newest_can_be_undone() {
    let mut model = model();
    let before = model.state();
    let mut engine = engine();
    let first = engine.apply(&plan([known(SWAPPINESS, "10")]), &mut model).unwrap().number;
    let second = engine.apply(&plan([known(SWAPPINESS, "20")]), &mut model).unwrap().number;
    let refused = engine.rollback(first, &mut model, Drifted::Overwrite).unwrap_err();
    assert!(refused.to_string().contains(&format!("before {second}")), "{refused}");
    engine.rollback(second, &mut model, Drifted::Overwrite).unwrap();
    assert_eq!(model.get(SWAPPINESS).as_deref(), Some("10"));
    engine.rollback(first, &mut model, Drifted::Overwrite).unwrap();
    assert_eq!(model.state(), before);
}

#[test]
fn the_history_is_bounded_and_survives() {
    let disk = common::disk::Disk::default();
    let mut model = model();
    let (mut engine, _) = start(&disk, 1, &mut model);
    let apply =
        |engine: &mut transaction::Engine<common::disk::Disk>, model: &mut Model, round: u32| {
            engine.apply(&plan([known(SWAPPINESS, &round.to_string())]), model).unwrap().number
        };
    for round in 0..38 {
        let number = apply(&mut engine, &mut model, round);
        engine.rollback(number, &mut model, Drifted::Overwrite).unwrap();
    }
    apply(&mut engine, &mut model, 38);
    apply(&mut engine, &mut model, 39);
    drop(engine);
    let (mut engine, recovery) = start(&disk, 1, &mut model);
    let numbers: Vec<u32> = engine.history().iter().map(|summary| summary.number).collect();
    // The last 32 that have ended, and what is in force.
    assert_eq!(numbers, (7..=40).collect::<Vec<u32>>());
    assert_eq!(recovery.in_force, Some(40));
    engine.rollback(40, &mut model, Drifted::Overwrite).unwrap();
    assert_eq!(model.get(SWAPPINESS).as_deref(), Some("38"));
    // Of what is in force the oldest are made one.
    for round in 0..40 {
        apply(&mut engine, &mut model, round);
    }
    let history = engine.history();
    let in_force = history.iter().filter(|summary| summary.state.is_in_force()).count();
    assert!((4..=8).contains(&in_force), "{in_force}");
    // Another boot: what was in force then is not now.
    drop(engine);
    let (mut engine, recovery) = start(&disk, 2, &mut model);
    assert_eq!(recovery.in_force, None);
    let refused = engine.rollback(80, &mut model, Drifted::Overwrite).unwrap_err();
    assert!(refused.to_string().contains("last boot"), "{refused}");
    assert_ne!(machine(1), machine(2));
}
