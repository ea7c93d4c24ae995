//! Whatever a kernel that lies does with whatever plan: it ends up as planned or as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::engine;
use common::model::Model;
use common::plans::*;
use proptest::prelude::*;
use proptest::sample::subsequence;
use transaction::engine::ApplyError;
use transaction::journal::Summary;
use transaction::{Drifted, Step};

/// Any step for the model: values that it takes, rounds, ignores and refuses.
fn any_step() -> impl Strategy<Value = Vec<Step>> {
    let numbers = || {
        prop_oneof![
            Just("0"),
            Just("1"),
            Just("7"),
            Just("30"),
            Just("4097"),
            Just("536870912"),
            Just("5 junk")
        ]
    };
    let paths = prop_oneof![
        (Just(SWAPPINESS), numbers()),
        (
            Just(RMEM),
            prop_oneof![
                Just("1 2 3"),
                Just("999999 100 50"),
                Just("1 5 3"),
                Just("4096 131072 6291456"),
                Just("9")
            ]
        ),
        (Just(DIRTY_BYTES), numbers()),
        (Just(DIRTY_RATIO), numbers()),
        (Just(OVERCOMMIT_KBYTES), numbers()),
        (Just(OVERCOMMIT_RATIO), numbers()),
        (Just(READ_AHEAD), numbers()),
        (Just(REQUESTS), numbers()),
        (Just(PIPE), numbers()),
        (Just(POLL), numbers()),
        (Just(PARTITION), prop_oneof![Just("isolated"), Just("member"), Just("what")]),
        (Just(THP), prop_oneof![Just("always"), Just("never"), Just("madvise"), Just("what")]),
        (Just(MIN_FREE), numbers()),
        (Just(SCHEDULER), prop_oneof![Just("none"), Just("mq-deadline"), Just("bfq")]),
        (Just(EXPIRE), numbers()),
        (Just(WATCHDOG), numbers()),
        (Just(NMI), numbers()),
        (Just(SOFT), numbers()),
        (Just(DROP), numbers()),
        (prop_oneof![20 => Just(SWAPPINESS), 1 => Just(LATE), 1 => Just(REFUSED)], numbers()),
    ];
    proptest::collection::vec(paths, 1..12).prop_map(|chosen| {
        let mut seen = std::collections::BTreeSet::new();
        chosen
            .into_iter()
            .filter(|(path, _)| seen.insert(*path))
            .map(|(path, new)| known(path, new))
            .collect()
    })
}

/// The model in any state that a kernel could be in.
fn any_model() -> impl Strategy<Value = Model> {
    let changes = vec![
        (SWAPPINESS, "10"),
        (RMEM, "1 2 3"),
        (DIRTY_RATIO, "0"),
        (OVERCOMMIT_RATIO, "0"),
        (READ_AHEAD, "4096"),
        (REQUESTS, "4"),
        (PIPE, "65536"),
        (POLL, "1"),
        (THP, "never"),
        (THP, "always"),
        (MIN_FREE, "90000"),
        (SCHEDULER, "mq-deadline"),
        (NMI, "1"),
        (SOFT, "0"),
    ];
    let all = 0..=changes.len();
    (subsequence(changes, all), any::<bool>(), any::<bool>()).prop_map(
        |(changes, dirty, kbytes)| {
            let mut model = model();
            for (path, value) in changes {
                model.set(path, value);
            }
            if dirty {
                model.set(DIRTY_BYTES, "104857600");
                model.set(DIRTY_RATIO, "0");
            }
            if kbytes {
                model.set(OVERCOMMIT_KBYTES, "4097");
                model.set(OVERCOMMIT_RATIO, "0");
            }
            model
        },
    )
}

fn in_force(history: &[Summary]) -> usize {
    history.iter().filter(|summary| summary.state.is_in_force()).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Applied and rolled back, or failed: in the end everything reads as before.
    #[test]
    fn apply_then_rollback_is_the_identity(model in any_model(), steps in any_step()) {
        let mut model = model;
        let before = model.reversible();
        let mut engine = engine();
        match engine.apply(&plan(steps), &mut model) {
            Ok(report) => {
                let verified = engine.verify(report.number, &mut model).unwrap();
                prop_assert_eq!(verified.drifts, []);
                let undone = engine.rollback(report.number, &mut model, Drifted::Overwrite).unwrap();
                prop_assert_eq!(undone.restored.differences, []);
            }
            Err(ApplyError::RolledBack(failure)) => {
                prop_assert_eq!(failure.restored.differences, []);
            }
            Err(ApplyError::Plan(_) | ApplyError::Problems(_)) => prop_assert_eq!(model.writes, 0),
            Err(other) => prop_assert!(false, "{}", other),
        }
        prop_assert_eq!(model.reversible(), before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Profile after profile, more than are kept apart: each that is undone brings back what was before it,
    /// and the last one what was at first.
    #[test]
    fn a_long_line_leads_back_to_its_beginning(
        model in any_model(),
        line in proptest::collection::vec(any_step(), 9..16),
    ) {
        let mut model = model;
        let before = model.reversible();
        let mut engine = engine();
        let mut states = std::collections::BTreeMap::new();
        for steps in line {
            let is = model.reversible();
            if let Ok(report) = engine.apply(&plan(steps), &mut model) {
                prop_assert_eq!(report.notes, [""; 0]);
                states.insert(report.number, is);
            }
        }
        let apart = in_force(&engine.history());
        prop_assert!(apart <= 8 && (apart >= 4 || apart == states.len()), "{} of {}", apart, states.len());
        let is_folded = apart < states.len();
        while let Some(newest) = engine.in_force().map(|it| it.number) {
            engine.verify(newest, &mut model).unwrap();
            let undone = engine.rollback(newest, &mut model, Drifted::Overwrite).unwrap();
            prop_assert_eq!(undone.restored.differences, []);
            let is_last = in_force(&engine.history()) == 0;
            let wanted = if is_last && is_folded { &before } else { &states[&newest] };
            prop_assert_eq!(&model.reversible(), wanted);
        }
        prop_assert_eq!(model.reversible(), before);
    }
}
