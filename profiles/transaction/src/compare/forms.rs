//! The forms in which kernels show what is in force.

/// The one word between these two characters; none where there is not exactly one.
pub(super) fn enclosed(reading: &str, open: char, close: char) -> Option<&str> {
    let mut found = reading
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix(open)?.strip_suffix(close));
    let one = found.next()?;
    found.next().is_none().then_some(one)
}

/// What a kernel takes for yes and no (`kstrtobool`).
pub(super) fn yes_or_no(text: &str) -> Option<bool> {
    match text {
        "Y" | "y" | "1" | "yes" | "on" | "true" => Some(true),
        "N" | "n" | "0" | "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// A number in hexadecimal, without what may stand in front of it or between its words.
pub(super) fn hex(text: &str) -> Option<String> {
    let digits: String = text.strip_prefix("0x").unwrap_or(text).split(',').collect();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(digits.trim_start_matches('0').to_ascii_lowercase())
}

/// `NAME` or `NO_NAME`, whichever of the two a reading has.
pub(super) fn toggle<'a>(reading: &'a str, wanted: &str) -> Option<&'a str> {
    let bare = |word: &'a str| word.strip_prefix("NO_").unwrap_or(word);
    let name = wanted.strip_prefix("NO_").unwrap_or(wanted);
    reading.split_ascii_whitespace().find(|word| bare(word) == name)
}

/// The line of the same first word as `wanted`; what unsets it where there is none.
pub(super) fn keyed(reading: &str, wanted: &str, unset: &str) -> Option<String> {
    let key = wanted.split_ascii_whitespace().next()?;
    let line = reading
        .lines()
        .map(|line| line.split_ascii_whitespace())
        .find(|words| words.clone().next() == Some(key));
    Some(match line {
        Some(words) => words.collect::<Vec<_>>().join(" "),
        None => format!("{key} {unset}"),
    })
}

/// Whether the line of the same first word has all words of `wanted`.
pub(super) fn line_has(reading: &str, wanted: &str, unset: &str) -> bool {
    keyed(reading, wanted, unset).is_some_and(|line| {
        wanted
            .split_ascii_whitespace()
            .all(|word| line.split_ascii_whitespace().any(|other| other == word))
    })
}

/// Whether a reading begins with the word that `wanted` begins with, and has all its pairs.
pub(super) fn has_pairs(reading: &str, wanted: &str) -> bool {
    let split =
        |text: &str| -> Vec<String> { text.split_ascii_whitespace().map(str::to_owned).collect() };
    let (reading, wanted) = (split(reading), split(wanted));
    match (reading.split_first(), wanted.split_first()) {
        (Some((is, has)), Some((kind, pairs))) => {
            is == kind && pairs.chunks(2).all(|pair| has.chunks(2).any(|own| own == pair))
        }
        _ => false,
    }
}
