//! `include` as `extends`.
//!
//! TuneD merges options; KernelScript composes statements. Where both come to the same, a profile extends
//! those that it includes and says what it says itself. Where they do not (a child cannot take back what
//! a parent says, and a parent's bound holds for it too) it is written out in full.

use std::collections::BTreeMap;

use super::unit::Profile;
use super::{Effective, start};
use crate::import::Options;
use crate::import::item::{Change, Item, Subject};
use crate::import::remark::{Fate, Remark};

/// How a profile is written.
#[derive(Debug)]
pub struct Inherited {
    pub parents: Vec<String>,
    pub items: Vec<Item>,
    pub remark: Option<Remark>,
}

/// What of a profile's statements is its own.
pub fn inherit(
    profile: &Profile,
    own: &Effective,
    parents: &[(&str, &Effective)],
    options: &Options,
) -> Inherited {
    let in_force = |item: &&Item| options.refused || item.refused.is_none();
    let mut inherited: BTreeMap<&Subject, Vec<&Item>> = BTreeMap::new();
    for (_, parent) in parents {
        for item in parent.items.iter().filter(in_force) {
            inherited.entry(&item.subject).or_default().push(item);
        }
    }
    let mine: BTreeMap<&Subject, &Item> =
        own.items.iter().map(|item| (&item.subject, item)).collect();
    let obstacle = inherited.iter().find(|(subject, said)| {
        let mine = mine.get(*subject).copied();
        let counts = mine.is_none_or(|mine| in_force(&mine));
        !said.iter().all(|inherited| composes(inherited, mine, counts))
    });
    if let Some((_, said)) = obstacle {
        let names: Vec<&str> = parents.iter().map(|(name, _)| *name).collect();
        let said = said.first().map(|item| item.origin.said.clone()).unwrap_or_default();
        let why = format!(
            "written out in full instead of extending {}: it takes back `{said}`",
            names.join(", ")
        );
        let origin =
            profile.include.as_ref().map_or_else(|| start(profile), |it| it.origin.clone());
        return Inherited {
            parents: Vec::new(),
            items: own.items.clone(),
            remark: Some(origin.remark(Fate::Changed, why)),
        };
    }
    let needed = |item: &&Item| {
        let own = item.origin.owner == profile.name;
        if !in_force(item) {
            return own;
        }
        let said = inherited.get(&item.subject).map(Vec::as_slice).unwrap_or_default();
        let same = |other: &&&Item| other.change == item.change && other.weak == item.weak;
        let all_say_it = !said.is_empty() && said.iter().all(|other| same(&other));
        let restates = own && matches!(item.subject, Subject::Setting(..) | Subject::Raw(_));
        restates || !all_say_it
    };
    Inherited {
        parents: parents.iter().map(|(name, _)| (*name).to_owned()).collect(),
        items: own.items.iter().filter(needed).cloned().collect(),
        remark: None,
    }
}

/// Whether a parent's statement and the child's come to what the child says alone.
fn composes(parent: &Item, child: Option<&Item>, in_force: bool) -> bool {
    // What a parent requires, its children do too.
    let requires = matches!(parent.subject, Subject::Requirement(_));
    let Some(child) = child else { return requires };
    if parent.change == child.change && parent.weak == child.weak {
        return true;
    }
    // What is not in force leaves the parent's as it is, which is told.
    if !in_force {
        return true;
    }
    match (&parent.change, &child.change) {
        (Change::Set(_), Change::Set(_)) => !parent.weak && !child.weak,
        // The strictest bound counts.
        (Change::Raise(_), Change::Raise(_)) => amounts(parent, child).is_some_and(|(a, b)| b >= a),
        (Change::Lower(_), Change::Lower(_)) => amounts(parent, child).is_some_and(|(a, b)| b <= a),
        _ => false,
    }
}

fn amounts(parent: &Item, child: &Item) -> Option<(i128, i128)> {
    Some((parent.value.as_ref()?.amount()?, child.value.as_ref()?.amount()?))
}
