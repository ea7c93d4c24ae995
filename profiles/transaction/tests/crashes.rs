//! A transaction that is stopped at any step, by a kill or by a power cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;

use common::disk::{Cut, Disk};
use common::model::Model;
use common::mortal::{At, Life, Mortal};
use common::plans::{
    DIRTY_BYTES, OVERCOMMIT_KBYTES, SWAPPINESS, known, large_model, large_plan, model, plan,
};
use common::{machine, start};
use transaction::engine::ApplyError;
use transaction::journal::State;
use transaction::{Drifted, Engine, Plan, Unrecovered};

type Settings = BTreeMap<String, Option<String>>;

/// What a run came to: what there was before and after, and what is left.
struct Run {
    disk: Disk,
    model: Model,
    life: Life,
}

fn open(disk: &Disk, life: &Life) -> Engine<Mortal<Disk>> {
    let storage = Mortal { inner: disk.clone(), life: life.clone() };
    let mut nothing = Model::default();
    Unrecovered::open(storage, machine(1)).unwrap().recover(&mut nothing).unwrap().0
}

/// Applies the plan of 50 settings until the process is stopped.
fn apply(life: Life) -> Run {
    let disk = Disk::default();
    let mut model = large_model();
    let mut engine = open(&disk, &life);
    let result = engine.apply(&large_plan(), &mut Mortal { inner: &mut model, life: life.clone() });
    assert!(result.is_ok() || life.is_over(), "{:?}", result.err().map(|error| error.to_string()));
    Run { disk, model, life }
}

/// Applies it, and undoes it until the process is stopped.
fn roll_back(life: Life) -> Run {
    let run = apply(Life::whole());
    let (disk, mut model) = (run.disk, run.model);
    let mut engine = open(&disk, &life);
    let number = engine.in_force().unwrap().number;
    let _ = engine.rollback(
        number,
        &mut Mortal { inner: &mut model, life: life.clone() },
        Drifted::Overwrite,
    );
    Run { disk, model, life }
}

fn old_and_new() -> (Settings, Settings) {
    (large_model().state(), apply(Life::whole()).model.state())
}

const WHEN: [At; 3] = [At::Before, At::Half, At::After];
const CUTS: [Cut; 4] = [Cut::Lost, Cut::Kept, Cut::Torn, Cut::Zeroed];

#[test]
fn a_kill_at_any_step_leaves_the_old_or_the_new() {
    let (old, new) = old_and_new();
    let steps = apply(Life::whole()).life.steps();
    // A file that is written, synced and named, a directory that is synced; 49 settings at the least;
    // a record that is added and synced.
    assert!(steps >= 4 + 49 + 2, "{steps}");
    let mut ends = [0, 0];
    for step in 0..steps {
        for at in WHEN {
            let Run { disk, mut model, .. } = apply(Life::until(step, at));
            let (engine, recovery) = start(&disk, 1, &mut model);
            let is_new = recovery.in_force.is_some();
            let expected = if is_new { &new } else { &old };
            assert_eq!(&model.state(), expected, "killed {at:?} step {step}");
            ends[usize::from(is_new)] += 1;
            assert!(engine.history().iter().all(|summary| summary.state.is_finished()));
            // Nothing is left to be done.
            let writes = model.writes;
            assert!(start(&disk, 1, &mut model).1.unfinished.is_empty());
            assert_eq!(model.writes, writes);
        }
    }
    assert!(ends[0] > 100 && ends[1] >= 2, "both ends were seen: {ends:?}");
}

#[test]
fn a_kill_while_undoing_leaves_the_old_or_the_new() {
    let (old, new) = old_and_new();
    let steps = roll_back(Life::whole()).life.steps();
    let mut ends = [0, 0];
    for step in 0..steps {
        for at in WHEN {
            let Run { disk, mut model, .. } = roll_back(Life::until(step, at));
            let (_, recovery) = start(&disk, 1, &mut model);
            let is_new = recovery.in_force.is_some();
            assert_eq!(
                &model.state(),
                if is_new { &new } else { &old },
                "killed {at:?} step {step}"
            );
            ends[usize::from(is_new)] += 1;
        }
    }
    assert!(ends[0] > 100 && ends[1] >= 1, "both ends were seen: {ends:?}");
}

#[test]
fn a_kill_while_recovering_leaves_the_old() {
    let old = large_model().state();
    for step in (0..apply(Life::whole()).life.steps() - 2).step_by(5) {
        for again in (0..).step_by(3) {
            let Run { disk, mut model, .. } = apply(Life::until(step, At::After));
            let life = Life::until(again, At::After);
            let storage = Mortal { inner: disk.clone(), life: life.clone() };
            let recovered = Unrecovered::open(storage, machine(1)).map(|unrecovered| {
                unrecovered.recover(&mut Mortal { inner: &mut model, life: life.clone() })
            });
            drop(recovered);
            let (_, recovery) = start(&disk, 1, &mut model);
            assert_eq!(recovery.in_force, None);
            assert_eq!(
                model.state(),
                old,
                "killed after step {step}, and after {again} of recovering"
            );
            if !life.is_over() {
                break;
            }
        }
    }
}

/// The values of the profiles of a line, which is one too long: the oldest are made one.
const LINE: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

fn line_plan(value: &str) -> Plan {
    // Each sets something that the last one did not.
    let other = if value < "4" { DIRTY_BYTES } else { OVERCOMMIT_KBYTES };
    plan(vec![known(SWAPPINESS, value), known(other, &format!("{value}0000000"))])
}

/// Applies one profile after the other, the last one until the process is stopped.
fn line(life: Life) -> Run {
    let (disk, mut model) = (Disk::default(), model());
    let (last, others) = LINE.split_last().unwrap();
    for value in others {
        open(&disk, &Life::whole()).apply(&line_plan(value), &mut model).unwrap();
    }
    let mut engine = open(&disk, &life);
    let _ = engine.apply(&line_plan(last), &mut Mortal { inner: &mut model, life: life.clone() });
    Run { disk, model, life }
}

#[test]
fn a_kill_while_old_ones_are_made_one_loses_no_way_back() {
    let before = model().reversible();
    let steps = line(Life::whole()).life.steps();
    let mut ends = BTreeMap::new();
    for step in 0..=steps {
        for at in WHEN {
            let Run { disk, mut model, .. } = line(Life::until(step, at));
            let (mut engine, recovery) = start(&disk, 1, &mut model);
            assert!(recovery.damaged.is_empty(), "{recovery:?}");
            let in_force = engine.history().iter().filter(|it| it.state.is_in_force()).count();
            *ends.entry(in_force).or_insert(0) += 1;
            while let Some(newest) = engine.in_force().map(|it| it.number) {
                let undone = engine.rollback(newest, &mut model, Drifted::Overwrite).unwrap();
                assert_eq!(undone.restored.differences, [], "killed {at:?} step {step}");
            }
            assert_eq!(model.reversible(), before, "killed {at:?} step {step}");
        }
    }
    // Before it was committed, before, amid and behind the making of one.
    assert_eq!(ends.keys().copied().collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9], "{ends:?}");
}

#[test]
fn a_power_cut_at_any_step_leaves_the_next_kernel_alone() {
    let steps = apply(Life::whole()).life.steps();
    for step in 0..=steps {
        for at in WHEN {
            let disk = apply(Life::until(step, at)).disk;
            for cut in CUTS {
                let disk = disk.cut(cut);
                let mut kernel = large_model();
                let begins_with = kernel.state();
                let (mut engine, recovery) = start(&disk, 2, &mut kernel);
                assert_eq!(kernel.writes, 0, "cut {at:?} step {step}, {cut:?}");
                assert_eq!(recovery.in_force, None);
                assert!(recovery.unfinished.iter().all(|found| found.restored.is_none()));
                assert!(recovery.damaged.is_empty(), "{recovery:?}");
                assert!(engine.history().iter().all(|summary| summary.state.is_finished()));
                // It can be used as if nothing had been.
                let number = engine.apply(&large_plan(), &mut kernel).unwrap().number;
                engine.rollback(number, &mut kernel, Drifted::Overwrite).unwrap();
                assert_eq!(kernel.state(), begins_with);
            }
        }
    }
}

/// Power can be cut and the machine come back in the same boot only in a test; but this shows that
/// nothing is written before the way back is on disk.
#[test]
fn no_setting_is_written_before_the_way_back_is_on_disk() {
    let old = large_model().state();
    for step in 0..apply(Life::whole()).life.steps() {
        let Run { disk, mut model, .. } = apply(Life::until(step, At::After));
        let (_, recovery) = start(&disk.cut(Cut::Lost), 1, &mut model);
        if recovery.in_force.is_none() {
            assert_eq!(model.state(), old, "cut after step {step}");
        }
    }
}

#[test]
fn a_journal_that_fails_writes_nothing_or_undoes_all() {
    let old = large_model().state();
    let steps = apply(Life::whole()).life.steps();
    for step in 0..steps {
        // Only the journal's disk dies: the process lives and settings can be written.
        let life = Life::until(step, At::Before);
        let disk = Disk::default();
        let mut model = large_model();
        let mut engine = open(&disk, &life);
        match engine.apply(&large_plan(), &mut model) {
            Ok(_) => assert!(step >= 6),
            Err(ApplyError::Journal(_)) => assert_eq!(model.writes, 0),
            Err(ApplyError::RolledBack(failure)) => {
                assert_eq!(failure.restored.differences, []);
                assert_eq!(failure.notes.len(), 1, "it is told that the record failed: {failure}");
            }
            Err(other) => panic!("{other}"),
        }
        if !life.is_over() {
            continue;
        }
        assert_eq!(model.state(), old, "failed at {step}");
        // Nothing more is begun on such a disk.
        assert!(engine.apply(&large_plan(), &mut model).is_err());
        assert_eq!(model.state(), old);
    }
}

#[test]
fn few_syncs_are_needed() {
    let run = apply(Life::whole());
    assert_eq!(run.disk.syncs(), 3);
}

#[test]
fn what_was_found_is_told() {
    let steps = apply(Life::whole()).life.steps();
    let Run { disk, mut model, .. } = apply(Life::until(steps / 2, At::After));
    let (engine, recovery) = start(&disk.copy(), 1, &mut model);
    let [found] = recovery.unfinished.as_slice() else { panic!("{recovery:?}") };
    assert_eq!(found.restored.as_ref().map(|restored| restored.differences.len()), Some(0));
    assert_eq!(engine.history()[0].state, State::RolledBack);
    let (engine, recovery) = start(&disk, 2, &mut large_model());
    assert_eq!(recovery.unfinished[0].restored, None);
    assert_eq!(engine.history()[0].state, State::PutAway);
}
