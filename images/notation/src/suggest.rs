//! "did you mean …?"

/// The name among `known` that `wrong` is most likely a slip of: other case, one or two letters
/// different (a third of its length at most), or two neighbours exchanged.
pub fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A name is short; the bound keeps the cost of a hostile one small.
    if wrong.len() > 64 {
        return None;
    }
    let lower = wrong.to_lowercase();
    let allowed = (wrong.chars().count() / 3).clamp(1, 2);
    known
        .into_iter()
        .filter(|name| name.len() <= 64)
        .map(|name| (distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// "did you mean …?", if there is something to mean.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(wrong, known).map(|name| format!("did you mean `{name}`?"))
}

/// Edits between two words: insertions, deletions, replacements, exchanges of neighbours (optimal
/// string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, from) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let replace = at(&last, j) + usize::from(from != *to);
            let mut best = replace.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let exchanged = j > 0 && b.get(j - 1) == Some(&from) && previous == Some(*to);
            if exchanged {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(from);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips() {
        let known = ["memory", "image", "cpus", "numa"];
        assert_eq!(closest("memroy", known), Some("memory"));
        assert_eq!(closest("Memory", known), Some("memory"));
        assert_eq!(closest("cpu", known), Some("cpus"));
        assert_eq!(closest("imagee", known), Some("image"));
    }

    #[test]
    fn does_not_guess_wildly() {
        assert_eq!(closest("kernel", ["memory", "image"]), None);
        assert_eq!(closest("xy", ["ab"]), None);
        assert_eq!(closest(&"m".repeat(100_000), ["memory"]), None);
    }

    #[test]
    fn counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
