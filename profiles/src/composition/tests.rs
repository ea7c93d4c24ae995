use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::diagnostic::FileId;
use crate::expression::{Found, Scope, Value};
use crate::script::{Priority, Script};

fn library(text: &str) -> (Library, Vec<String>) {
    let read = Script::read(FileId::default(), text);
    assert!(read.is_ok(), "{:?}", read.diagnostics);
    let (mut library, mut diagnostics) = (Library::default(), Vec::new());
    library.add(read.script, &mut diagnostics);
    library.check(&mut diagnostics);
    (library, diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect())
}

fn complaints(text: &str) -> Vec<String> {
    library(text).1
}

struct Nothing;

impl Scope for Nothing {
    fn find(&self, path: &[String]) -> Found {
        match path.join(".").as_str() {
            "memory.total" => Found::Value(Value::bytes(16 << 30)),
            "memory.available" => Found::NotKnownHere,
            _ => Found::Nothing,
        }
    }
}

fn values(text: &str, name: &str, given: &[(&str, Value)]) -> (Vec<String>, Vec<String>) {
    let (library, complaints) = library(text);
    assert_eq!(complaints, [""; 0]);
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut diagnostics = Vec::new();
    let family = library.family(name).unwrap();
    let values = parameters(&family, &given, &Nothing, &mut diagnostics);
    (
        values.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect(),
    )
}

#[test]
fn a_family_is_a_profile_before_its_parents() {
    let (library, _) = library(
        "profile a {} profile b extends a {} profile c extends a {} profile d extends b, c {}",
    );
    let family = library.family("d").unwrap();
    let names: Vec<_> = family.members.iter().map(|member| member.name.text.as_str()).collect();
    assert_eq!((names[0], names[3], names.len()), ("d", "a", 4));
    assert!((1..4).all(|other| family.extends(0, other)));
    assert!(family.extends(1, 3) && family.extends(2, 3));
    assert!(!family.extends(1, 2) && !family.extends(3, 0) && !family.extends(0, 0));
}

#[test]
fn names_that_lead_nowhere_are_told() {
    assert_eq!(
        complaints("profile a extends sever {} profile server {}"),
        ["there is no profile `sever`"]
    );
    assert_eq!(
        complaints("profile a {} guard b { confirm within 3s }"),
        ["there is no profile `b`"]
    );
    assert_eq!(complaints("profile a {} policy { default b }"), ["there is no profile `b`"]);
    assert_eq!(complaints("profile a {} profile a {}"), ["profile `a` is there twice"]);
    assert_eq!(complaints("profile a extends a {}"), ["`a` extends itself"]);
    assert_eq!(
        complaints("profile a extends b {} profile b extends c {} profile c extends a {} profile d extends c {}").len(),
        3,
        "each place once"
    );
}

#[test]
fn a_long_line_of_ancestors_ends() {
    let text: String =
        (0..5000).map(|n| format!("profile p{n} extends p{} {{}}\n", n + 1)).collect();
    let (mut library, mut diagnostics) = (Library::default(), Vec::new());
    library.add(Script::read(FileId::default(), &text).script, &mut diagnostics);
    assert!(library.family("p0").unwrap_err().message.contains("more than 256 ancestors"));
    assert_eq!(library.family("p4990").unwrap().members.len(), 10);
}

#[test]
fn parameters_are_the_nearest_ones() {
    let text = "
        profile a { param dirty: bytes = 512MiB in 64MiB..4GiB; param depth: integer = 3 }
        profile b extends a { param dirty = memory.total / 8 }
        profile c extends b { param dirty in 64MiB..1GiB }
        profile d extends a { param dirty = 256MiB }
        profile e extends b, d {}
        profile f extends b, d { param dirty = 1GiB }
        profile g { param spare: bytes = memory.available }";
    assert_eq!(values(text, "a", &[]).0, ["depth=3", "dirty=512MiB"]);
    assert_eq!(values(text, "b", &[]).0, ["depth=3", "dirty=2GiB"]);
    assert_eq!(
        values(text, "c", &[]).1,
        ["parameter `dirty` is 2GiB, which is not in 64MiB..1GiB"]
    );
    assert_eq!(values(text, "c", &[("dirty", Value::bytes(1 << 30))]).0, ["depth=3", "dirty=1GiB"]);
    assert_eq!(
        values(text, "e", &[]).1,
        ["parameter `dirty` is 2GiB by one parent, and 256MiB by another"]
    );
    assert_eq!(values(text, "f", &[]).0, ["depth=3", "dirty=1GiB"]);
    assert_eq!(values(text, "g", &[]), (Vec::new(), Vec::new()));
    assert_eq!(
        values(text, "a", &[("dirt", Value::bytes(1))]).1,
        ["profile `a` has no parameter `dirt`"]
    );
    assert_eq!(
        values(text, "a", &[("depth", Value::bytes(1))]).1,
        ["parameter `depth` is a whole number, and 1B is a size"]
    );
}

#[test]
fn parameters_have_one_type() {
    let text = "profile a { param x: bytes = 1B } profile b extends a { param x: integer = 1 }
        profile c { param y = 3 }";
    assert_eq!(
        values(text, "b", &[]).1[0],
        "parameter `x` is a size elsewhere, and a whole number here"
    );
    assert_eq!(values(text, "c", &[]).1, ["parameter `y` has no type, and no parent has it"]);
}

/// Who wins, by name.
fn decided(text: &str, candidates: &[(&str, Priority, i32)]) -> Result<i32, (i32, i32)> {
    let (library, _) = library(text);
    let last = library.profiles().last().unwrap().name.text.clone();
    let family = library.family(&last).unwrap();
    let member =
        |name: &str| family.members.iter().position(|member| member.name.text == name).unwrap();
    let candidates: Vec<_> = candidates
        .iter()
        .map(|(name, priority, value)| Candidate {
            member: member(name),
            priority: *priority,
            value: *value,
        })
        .collect();
    match winner(&family, &candidates, |a, b| a == b).unwrap() {
        Winner::Agreed(agreed) => Ok(agreed[0].value),
        Winner::Conflict(one, other) => Err((one.value, other.value)),
    }
}

#[test]
fn the_rules_of_who_decides() {
    use Priority::{Default, Force, Plain};
    let diamond =
        "profile a {} profile b extends a {} profile c extends a {} profile d extends b, c {}";
    assert_eq!(decided(diamond, &[("a", Plain, 1), ("d", Plain, 2)]), Ok(2));
    assert_eq!(decided(diamond, &[("a", Force, 1), ("d", Plain, 2)]), Ok(1));
    assert_eq!(decided(diamond, &[("a", Plain, 1), ("d", Default, 2)]), Ok(1));
    assert_eq!(decided(diamond, &[("b", Plain, 1), ("c", Plain, 2)]), Err((1, 2)));
    assert_eq!(decided(diamond, &[("b", Plain, 1), ("c", Plain, 1)]), Ok(1));
    assert_eq!(decided(diamond, &[("b", Plain, 1), ("c", Plain, 2), ("d", Plain, 3)]), Ok(3));
    // What `c` has from `a` is no contradiction to what `b` made of it.
    assert_eq!(decided(diamond, &[("a", Plain, 1), ("b", Plain, 2)]), Ok(2));
}

proptest! {
    /// Who wins does not depend on the order of parents, nor on that of candidates.
    #[test]
    fn order_says_nothing(
        edges in proptest::collection::vec((0_usize..7, 0_usize..7), 0..12),
        wishes in proptest::collection::vec((0_usize..8, 0_usize..3, 0_i32..3), 1..6),
        turn in any::<bool>(),
    ) {
        let text = |reversed: bool| {
            let mut text = String::new();
            for child in 0..8_usize {
                let mut parents: Vec<usize> = match child {
                    7 => (0..7).collect(),
                    _ => edges.iter().filter(|(a, b)| *a.max(b) == child && a != b).map(|(a, b)| *a.min(b)).collect(),
                };
                parents.sort_unstable();
                parents.dedup();
                if reversed {
                    parents.reverse();
                }
                let parents: Vec<_> = parents.iter().map(|parent| format!("p{parent}")).collect();
                let extends = if parents.is_empty() { String::new() } else { format!("extends {}", parents.join(", ")) };
                text += &format!("profile p{child} {extends} {{}}\n");
            }
            text
        };
        let names: BTreeMap<usize, String> = (0..8).map(|n| (n, format!("p{n}"))).collect();
        let ranks = [Priority::Default, Priority::Plain, Priority::Force];
        let mut wishes: Vec<(&str, Priority, i32)> =
            wishes.iter().map(|(who, rank, value)| (names[who].as_str(), ranks[*rank], *value)).collect();
        let one = decided(&text(false), &wishes);
        if turn {
            wishes.reverse();
        }
        let other = decided(&text(true), &wishes);
        prop_assert_eq!(one.is_ok(), other.is_ok());
        if one.is_ok() {
            prop_assert_eq!(one, other);
        }
    }
}
