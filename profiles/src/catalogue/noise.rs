//! Files that the catalogue leaves out on purpose.

use serde::Deserialize;

/// Files that nobody tunes a workload with, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Names of sysctls with dots, or whole paths; `*` stands for any text within a part.
    pub patterns: Vec<String>,
    /// Why the catalogue has no entry for them.
    pub why: String,
}

impl Noise {
    /// Whether a sysctl's name (with dots), or a path, is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, name))
    }
}

/// Whether a pattern meets a name, or a path, which begins with a slash. `*` stands for any text
/// within a part, and there is some.
pub fn matches(pattern: &str, name: &str) -> bool {
    let between = if name.starts_with('/') { '/' } else { '.' };
    let (patterns, parts) = (pattern.split(between), name.split(between));
    patterns.clone().count() == parts.clone().count()
        && patterns.zip(parts).all(|(pattern, part)| part_matches(pattern, part))
}

fn part_matches(pattern: &str, part: &str) -> bool {
    let Some((before, behind)) = pattern.split_once('*') else { return pattern == part };
    let Some(mut rest) = part.strip_prefix(before) else { return false };
    // Each piece between two stars is taken where it comes first; the last has to end the part.
    let mut pieces = behind.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_part() {
        assert!(matches("net.netfilter.nf_log.*", "net.netfilter.nf_log.10"));
        assert!(matches("kernel.*_nmi", "kernel.panic_on_io_nmi"));
        assert!(matches("a.x*y*z", "a.x1y2z"));
        assert!(!matches("a.x*y*z", "a.x1z"));
        assert!(!matches("net.*", "net.core.somaxconn"));
        assert!(!matches("kernel.panic", "kernel.panic_on_oops"));
        assert!(matches("/sys/block/*/queue/io.x", "/sys/block/vda/queue/io.x"));
        assert!(!matches("/sys/block/*", "/sys/block/vda/queue"));
        assert!(!matches("/sys/a.*", "/sys/a/b"));
    }
}
