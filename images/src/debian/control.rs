//! Debian's control data: stanzas, dependencies, versions.

use std::cmp::Ordering;

/// One stanza: `Field: value` lines with their continuation lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanza {
    fields: Vec<(String, String)>,
}

impl Stanza {
    /// A field's value, its lines joined by `\n`, without regard to the name's case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, v)| &**v)
    }

    /// All fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// The stanzas of a control file. Comment lines and lines that are none of a stanza's are passed
/// over, as apt does.
pub fn stanzas(text: &str) -> Vec<Stanza> {
    let mut all = Vec::new();
    let mut stanza = Stanza::default();
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !stanza.fields.is_empty() {
                all.push(std::mem::take(&mut stanza));
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    if !stanza.fields.is_empty() {
        all.push(stanza);
    }
    all
}

/// A relation between packages, as in `Depends`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The package's name, without an architecture.
    pub package: String,
    /// The version, where exactly one will do (`= VERSION`).
    pub exact: Option<String>,
}

/// The relations of a `Depends` field; of each, its alternatives in order.
pub fn dependencies(field: &str) -> Vec<Vec<Dependency>> {
    field
        .split(',')
        .map(|relation| relation.split('|').filter_map(dependency).collect::<Vec<_>>())
        .filter(|alternatives| !alternatives.is_empty())
        .collect()
}

fn dependency(text: &str) -> Option<Dependency> {
    let text = text.trim();
    let end = text.find(|c: char| c.is_whitespace() || c == '(' || c == '[').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let package = name.split(':').next().filter(|name| !name.is_empty())?.to_owned();
    let exact = rest
        .split_once('(')
        .and_then(|(_, inner)| inner.split_once(')'))
        .and_then(|(inner, _)| inner.trim().strip_prefix('='))
        .map(|version| version.trim().to_owned());
    Some(Dependency { package, exact })
}

/// Compares versions as Debian's policy manual, section 5.6.12, says.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (epoch_a, rest_a) = epoch(a);
    let (epoch_b, rest_b) = epoch(b);
    let (upstream_a, revision_a) = rest_a.rsplit_once('-').unwrap_or((rest_a, "0"));
    let (upstream_b, revision_b) = rest_b.rsplit_once('-').unwrap_or((rest_b, "0"));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_parts(upstream_a, upstream_b))
        .then_with(|| compare_parts(revision_a, revision_b))
}

fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

/// Pieces of other bytes and pieces of digits, in turn.
fn compare_parts(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = a.split_at(a.find(|c: char| c.is_ascii_digit()).unwrap_or(a.len()));
        let (text_b, rest_b) = b.split_at(b.find(|c: char| c.is_ascii_digit()).unwrap_or(b.len()));
        // The end of a piece sorts behind `~` and before everything else; letters before the rest.
        let rank = |byte: Option<&u8>| match byte {
            Some(b'~') => -1,
            None => 0,
            Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
            Some(other) => i32::from(*other) + 256,
        };
        for index in 0..text_a.len().max(text_b.len()) {
            let left = rank(text_a.as_bytes().get(index));
            let right = rank(text_b.as_bytes().get(index));
            if left != right {
                return left.cmp(&right);
            }
        }
        let number = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits_a, next_a) = rest_a.split_at(number(rest_a));
        let (digits_b, next_b) = rest_b.split_at(number(rest_b));
        let (digits_a, digits_b) =
            (digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
        let order = digits_a.len().cmp(&digits_b.len()).then_with(|| digits_a.cmp(digits_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_dpkg_sorts_them() {
        let rising = [
            "1.0~rc1-1",
            "1.0-1",
            "1.0-1+b1",
            "1.0a-1",
            "1.0+x-1",
            "1.2-1",
            "1.10-1~bpo12+1",
            "1.10-1",
            "1:0.1-1",
        ];
        for (index, low) in rising.iter().enumerate() {
            assert_eq!(compare_versions(low, low), Ordering::Equal);
            for high in &rising[index + 1..] {
                assert_eq!(compare_versions(low, high), Ordering::Less, "{low} {high}");
                assert_eq!(compare_versions(high, low), Ordering::Greater, "{high} {low}");
            }
        }
        assert_eq!(compare_versions("1.01", "1.1-0"), Ordering::Equal);
    }

    #[test]
    fn dependencies_are_read_with_alternatives_and_exact_versions() {
        let read = dependencies("linux-base (>= 4.3~), a:any (= 1.2-3) | b [amd64], , c");
        let names: Vec<Vec<_>> =
            read.iter().map(|all| all.iter().map(|one| &*one.package).collect()).collect();
        assert_eq!(names, [vec!["linux-base"], vec!["a", "b"], vec!["c"]]);
        assert_eq!(read[1][0].exact.as_deref(), Some("1.2-3"));
        assert_eq!(read[0][0].exact, None);
    }

    #[test]
    fn stanzas_keep_continuation_lines() {
        let read = stanzas("# c\nA: 1\n 2\n# c\n 3\nB: x\n\n\na: 4\n");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].get("a"), Some("1\n2\n3"));
        assert_eq!(read[0].get("b"), Some("x"));
        assert_eq!(read[1].get("A"), Some("4"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String, other: String) {
            let _ = stanzas(&text);
            let _ = dependencies(&text);
            proptest::prop_assert_eq!(
                compare_versions(&text, &other),
                compare_versions(&other, &text).reverse()
            );
        }
    }
}
