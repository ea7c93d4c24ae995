//! Who decides.

use super::library::Family;
use crate::script::Priority;

/// A value that somebody wants.
#[derive(Clone, Debug)]
pub struct Candidate<T> {
    /// Whose it is: an index of the family's members.
    pub member: usize,
    /// How much it counts.
    pub priority: Priority,
    /// The value, and what else is known of it.
    pub value: T,
}

/// Who decides about a value.
#[derive(Clone, Debug)]
pub enum Winner<'a, T> {
    /// These, which agree; never none.
    Agreed(Vec<&'a Candidate<T>>),
    /// Nobody: these two differ.
    Conflict(&'a Candidate<T>, &'a Candidate<T>),
}

/// Who decides among candidates (the order of which says nothing); none where there are none.
pub fn winner<'a, T>(
    family: &Family<'_>,
    candidates: &'a [Candidate<T>],
    same: impl Fn(&T, &T) -> bool,
) -> Option<Winner<'a, T>> {
    let rank = candidates.iter().map(|candidate| candidate.priority).max()?;
    let ranking: Vec<_> =
        candidates.iter().filter(|candidate| candidate.priority == rank).collect();
    let overridden = |candidate: &Candidate<T>| {
        ranking.iter().any(|other| family.extends(other.member, candidate.member))
    };
    let left: Vec<_> = ranking.iter().copied().filter(|candidate| !overridden(candidate)).collect();
    let first = left.first()?;
    match left.iter().find(|other| !same(&first.value, &other.value)) {
        Some(other) => Some(Winner::Conflict(first, other)),
        None => Some(Winner::Agreed(left)),
    }
}
