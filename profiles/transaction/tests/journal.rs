//! The journal's bytes: what they may say, and what a crash or a stranger may make of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::disk::Disk;
use common::model::Model;
use common::plans::*;
use common::{machine, start};
use proptest::prelude::*;
use transaction::journal::{
    Begin, Committed, Confirmed, DecodeError, Held, Kind, PutAway, Reading, Record, RolledBack,
    State, Storage, Undoing, decode, encode,
};
use transaction::{Target, Unrecovered};

fn begin() -> Begin {
    let held = |path: &str, before| Held {
        setting: "a".into(),
        target: Target::file(path),
        compare: Default::default(),
        before,
    };
    Begin {
        boot: "boot-1".into(),
        when: 1,
        plan: plan([known(SWAPPINESS, "10"), known(DIRTY_BYTES, "1048576"), known(DROP, "1")]),
        held: vec![
            held(SWAPPINESS, Reading::Value("60".into())),
            held(DIRTY_BYTES, Reading::Value("0".into())),
            held(DROP, Reading::WriteOnly),
            held(DIRTY_RATIO, Reading::Absent),
        ],
    }
}

fn record(kind: Kind) -> Record {
    match kind {
        Kind::Begin => Record::Begin(begin()),
        Kind::Committed => {
            Record::Committed(Committed { written: vec![0, 2], after: vec![Reading::Absent; 4] })
        }
        Kind::Undoing => Record::Undoing(Undoing { keep: vec![3] }),
        Kind::RolledBack => Record::RolledBack(RolledBack { differences: vec![] }),
        Kind::PutAway => Record::PutAway(PutAway { found_in: "boot-2".into() }),
        Kind::Confirmed => Record::Confirmed(Confirmed { when: 2 }),
    }
}

fn file(kinds: &[Kind]) -> Vec<u8> {
    kinds.iter().flat_map(|kind| encode(&record(*kind)).unwrap()).collect()
}

/// The transitions of the table in the crate's documentation.
fn documented() -> Vec<(String, String, Option<String>)> {
    let text = include_str!("../src/lib.rs");
    let cells = |line: &str| -> Vec<String> {
        line.trim_start_matches("//! |")
            .trim_end_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let mut lines = text.lines().skip_while(|line| !line.starts_with("//! | state | committed |"));
    let heads = cells(lines.next().unwrap());
    lines
        .skip(1)
        .take_while(|line| line.starts_with("//! |"))
        .flat_map(|line| {
            let row = cells(line);
            let heads = heads.clone();
            (1..row.len()).map(move |at| {
                let to = row[at].strip_prefix("→ ").map(str::to_owned);
                (row[0].clone(), heads[at].clone(), to)
            })
        })
        .collect()
}

fn kind_named(name: &str) -> Kind {
    match name {
        "committed" => Kind::Committed,
        "undoing" => Kind::Undoing,
        "rolled back" => Kind::RolledBack,
        "put away" => Kind::PutAway,
        "confirmed" => Kind::Confirmed,
        other => panic!("no such record: {other}"),
    }
}

#[test]
fn the_documented_table_is_the_one_in_force() {
    let table = documented();
    assert_eq!(table.len(), 6 * 5);
    for (from, record, to) in table {
        let state = State::ALL.into_iter().find(|state| state.to_string() == from).unwrap();
        let next = state.after(kind_named(&record)).map(|state| state.to_string());
        assert_eq!(next, to, "{from}, {record}");
        assert_eq!(state.after(Kind::Begin), None);
    }
}

proptest! {
    /// Any sequence of records is read exactly if the table allows each of them.
    #[test]
    fn a_walk_through_the_table(walk in proptest::collection::vec(0..Kind::ALL.len(), 0..7)) {
        let kinds: Vec<Kind> =
            std::iter::once(Kind::Begin).chain(walk.iter().map(|at| Kind::ALL[*at])).collect();
        let expected = kinds[1..].iter().try_fold(State::Begun, |state, kind| state.after(*kind));
        match (decode(&file(&kinds)), expected) {
            (Ok(entry), Some(state)) => {
                prop_assert_eq!(entry.state, state);
                prop_assert!(!entry.torn);
                prop_assert_eq!(entry.begin, begin());
            }
            (Err(DecodeError::Record { .. }), None) => {}
            (is, expected) => prop_assert!(false, "{is:?}, {expected:?}"),
        }
    }

    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), in_front in any::<bool>()) {
        if in_front {
            let mut whole = file(&[Kind::Begin]);
            whole.append(&mut bytes);
            bytes = whole;
        }
        let _ = decode(&bytes);
    }

    /// A bit that flips is noticed: what is read is a part of what was written, or nothing.
    #[test]
    fn a_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let whole = file(&[Kind::Begin, Kind::Committed, Kind::Undoing]);
        let mut bytes = whole.clone();
        bytes[at.index(whole.len())] ^= 1 << bit;
        match decode(&bytes) {
            Ok(entry) => {
                prop_assert!(entry.torn);
                prop_assert_eq!(entry.begin, begin());
            }
            Err(error) => prop_assert_eq!(error, DecodeError::NoBeginning),
        }
    }
}

#[test]
fn a_torn_tail_counts_for_nothing() {
    let kinds = [Kind::Begin, Kind::Committed, Kind::Undoing, Kind::RolledBack];
    let whole = file(&kinds);
    let ends: Vec<usize> = (1..=kinds.len()).map(|count| file(&kinds[..count]).len()).collect();
    for cut in 0..=whole.len() {
        let complete = ends.iter().filter(|end| **end <= cut).count();
        match decode(&whole[..cut]) {
            Ok(entry) => {
                assert_eq!(entry.end, ends[complete - 1]);
                assert_eq!(entry.torn, !ends.contains(&cut));
            }
            Err(error) => assert_eq!((complete, error), (0, DecodeError::NoBeginning)),
        }
    }
}

#[test]
fn a_journal_may_say_no_more_than_a_plan() {
    let mut elsewhere = begin();
    elsewhere.held[0].target = Target::file("/etc/passwd");
    let mut outside = begin();
    outside.plan.steps[0].target = Target::file("/proc/sysrq-trigger");
    let mut unplanned = begin();
    unplanned.held[0].target = Target::file(MIN_FREE);
    for wrong in [elsewhere, outside, unplanned] {
        assert!(decode(&encode(&Record::Begin(wrong)).unwrap()).is_err());
    }
    for wrong in [
        Record::Committed(Committed { written: vec![3], after: vec![Reading::Absent; 4] }),
        Record::Committed(Committed { written: vec![0], after: vec![Reading::Absent; 3] }),
    ] {
        let bytes: Vec<u8> = [file(&[Kind::Begin]), encode(&wrong).unwrap()].concat();
        assert!(decode(&bytes).unwrap_err().to_string().contains("does not fit"));
    }
}

#[test]
fn files_that_are_no_journals_are_put_aside() {
    let mut disk = Disk::default();
    disk.write("00000007.journal", b"what is this").unwrap();
    disk.write("00000009.new", b"not finished").unwrap();
    disk.write("notes.txt", b"somebody's").unwrap();
    disk.write("00000008.journal", &file(&[Kind::Begin, Kind::Committed])).unwrap();
    let mut model = Model::default();
    let (engine, recovery) = start(&disk, 1, &mut model);
    assert_eq!(recovery.damaged.len(), 1);
    assert_eq!(recovery.damaged[0].name, "00000007.damaged");
    assert_eq!(recovery.in_force, Some(8));
    drop(engine);
    assert_eq!(disk.list().unwrap(), ["00000007.damaged", "00000008.journal", "notes.txt"]);
    // Told once; and numbers are never used again.
    let mut model = common::plans::model();
    let (mut engine, recovery) = start(&disk, 1, &mut model);
    assert!(recovery.damaged.is_empty());
    assert_eq!(engine.apply(&plan([known(SWAPPINESS, "10")]), &mut model).unwrap().number, 9);
}

#[test]
fn the_way_back_says_what_it_needs() {
    let mut disk = Disk::default();
    disk.write("00000001.journal", &file(&[Kind::Begin])).unwrap();
    let mut unrecovered = Unrecovered::open(disk.clone(), machine(1)).unwrap();
    let reach = unrecovered.reach().unwrap();
    assert_eq!(reach.len(), 4);
    assert!(reach.iter().all(|reach| reach.write));
    // In another boot there is nothing to be done.
    assert!(Unrecovered::open(disk, machine(2)).unwrap().reach().unwrap().is_empty());
}

/// A fuzzer that begins with rubbish finds little else.
#[test]
fn the_fuzzers_seeds_are_what_they_should_be() {
    let whole = include_bytes!("../../../tests/fuzz/seeds/journal/whole");
    let entry = decode(&whole[1..]).unwrap();
    assert_eq!((entry.state, entry.torn), (State::Undoing, false));
    let torn = include_bytes!("../../../tests/fuzz/seeds/journal/torn");
    let entry = decode(&torn[1..]).unwrap();
    assert_eq!((entry.state, entry.torn), (State::Committed, true));
    let plan = include_bytes!("../../../tests/fuzz/seeds/journal/plan");
    assert_eq!(transaction::Plan::from_json(&plan[1..]).unwrap().steps.len(), 4);
}
