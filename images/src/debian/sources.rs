//! Which archives this machine trusts, read from apt's own configuration.
//!
//! Nothing here knows a host name: the archive's addresses, keys and options are those that the
//! machine's administrator gave apt, only the suite is another one.

use std::fmt::Write as _;

use super::control;

/// An entry of apt's sources that names Debian's own archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Addresses, in apt's form.
    pub uris: Vec<String>,
    /// Whether it is the security archive, whose suites are called `SUITE-security`.
    pub security: bool,
    /// `Signed-By`, `Trusted` and the like, to be carried over as they are.
    pub options: Vec<(String, String)>,
}

/// Options that a derived source keeps: they say how the archive is reached and trusted, not what is
/// taken from it.
const KEPT: [&str; 7] = [
    "Signed-By",
    "Trusted",
    "Check-Valid-Until",
    "Valid-Until-Max",
    "Check-Date",
    "Allow-Insecure",
    "By-Hash",
];

/// The keyring that Debian's own archive is signed with, for entries that name none.
pub const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Reads a file of one-line entries (`*.list`).
pub fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(list_line).collect()
}

fn list_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t', '[']) {
        return None;
    }
    rest = rest.trim_start();
    let mut options = Vec::new();
    if let Some(bracket) = rest.strip_prefix('[') {
        let (inside, behind) = bracket.split_once(']')?;
        for option in inside.split_whitespace() {
            let (name, value) = option.split_once('=')?;
            options.push((name.to_owned(), value.to_owned()));
        }
        rest = behind;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let components: Vec<String> = words.collect();
    source(vec![uri], &[suite], &components, &options)
}

/// Reads a file of stanzas (`*.sources`).
pub fn parse_deb822(text: &str) -> Vec<Source> {
    control::stanzas(text)
        .iter()
        .flat_map(|stanza| {
            let words = |name: &str| -> Vec<String> {
                let value = stanza.get(name).unwrap_or_default();
                value.split_whitespace().map(str::to_owned).collect()
            };
            let disabled = stanza
                .get("Enabled")
                .is_some_and(|value| matches!(&*value.to_ascii_lowercase(), "no" | "false" | "0"));
            if disabled || !words("Types").iter().any(|kind| kind == "deb") {
                return Vec::new();
            }
            let options: Vec<_> =
                stanza.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            // One stanza may name suites of both archives where one mirror serves both.
            let (security, main): (Vec<_>, Vec<_>) =
                words("Suites").into_iter().partition(|suite| is_security(suite));
            [main, security]
                .iter()
                .filter_map(|suites| source(words("URIs"), suites, &words("Components"), &options))
                .collect()
        })
        .collect()
}

/// Makes a source of an entry's parts, `None` where it is not Debian's own archive: of that are
/// entries with the component `main`, a suite that Debian has, and Debian's own key; where no key is
/// named, an address with a path element `debian` or `debian-security`.
fn source(
    uris: Vec<String>,
    suites: &[String],
    components: &[String],
    options: &[(String, String)],
) -> Option<Source> {
    let main = components.iter().any(|component| component == "main");
    let ours = suites.iter().find(|suite| is_debian_suite(suite))?;
    let kept: Vec<(String, String)> = options
        .iter()
        .filter_map(|(name, value)| {
            let kept = KEPT.iter().find(|kept| kept.eq_ignore_ascii_case(name))?;
            Some(((*kept).to_owned(), value.clone()))
        })
        .collect();
    let debian = match kept.iter().find(|(name, _)| name == "Signed-By") {
        Some((_, key)) => key.contains("debian-archive") || key.contains("BEGIN PGP"),
        None => uris.iter().any(|uri| {
            uri.split('/').any(|element| matches!(element, "debian" | "debian-security"))
        }),
    };
    (main && debian && !uris.is_empty()).then(|| Source {
        uris,
        security: is_security(ours),
        options: kept,
    })
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

fn is_debian_suite(suite: &str) -> bool {
    const SUITES: [&str; 14] = [
        "oldoldstable",
        "oldstable",
        "stable",
        "testing",
        "unstable",
        "buster",
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
        "sid",
        "experimental",
        "rc-buggy",
    ];
    let base = suite.split(['-', '/']).next().unwrap_or_default();
    let kind = suite.get(base.len()..).unwrap_or_default();
    SUITES.contains(&base)
        && matches!(
            kind,
            "" | "-updates"
                | "-security"
                | "/updates"
                | "-proposed-updates"
                | "-backports"
                | "-backports-sloppy"
        )
}

/// A suite and those that belong to it: what was published for it later, and where what it leaves
/// out comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// The suite that was asked for; it must exist.
    pub suite: String,
    /// Suites that are taken along where the archive has them.
    pub siblings: Vec<String>,
    /// Whether the suite must win over its siblings even with older versions: backports.
    pub preferred: bool,
}

/// The family of a suite: `bookworm` with `-updates` and `-security`; of backports also the release
/// that they are for; the rolling ones stand alone.
pub fn family(suite: &str) -> Family {
    let release = suite.strip_suffix("-sloppy").unwrap_or(suite).strip_suffix("-backports");
    let base = release.unwrap_or(suite);
    let mut siblings = Vec::new();
    if release.is_some() {
        siblings.push(base.to_owned());
    }
    let rolling = matches!(base, "sid" | "unstable" | "experimental" | "rc-buggy");
    if !rolling && !base.contains(['-', '/']) {
        siblings.push(format!("{base}-updates"));
        siblings.push(format!("{base}-security"));
    }
    Family { suite: suite.to_owned(), siblings, preferred: release.is_some() }
}

/// apt's sources (deb822) for one suite, empty where no archive of the right kind is known.
pub fn derive(sources: &[Source], suite: &str) -> String {
    let security = is_security(suite);
    let mut text = String::new();
    let mut seen: Vec<&Source> = Vec::new();
    for source in sources.iter().filter(|source| source.security == security) {
        if seen.contains(&source) {
            continue;
        }
        seen.push(source);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Types: deb\nURIs: {}\nSuites: {suite}", source.uris.join(" "));
        let _ = writeln!(text, "Components: main\nArchitectures: amd64\nTargets: Packages");
        for (name, value) in &source.options {
            let _ = writeln!(text, "{name}: {}", value.replace('\n', "\n "));
        }
        if !source.options.iter().any(|(name, _)| name == "Signed-By") {
            let _ = writeln!(text, "Signed-By: {DEBIAN_KEYRING}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
# a comment
deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg] http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian-security/ bookworm-security main
deb http://other.example/debian bookworm-pgdg main
deb [signed-by=/k/other.gpg] http://other.example/debian bookworm main
deb http://other.example/linux/debian bookworm stable
deb https://tools.example/apt tools-bookworm main
";

    #[test]
    fn only_debians_own_archive_is_taken_from_lists() {
        let sources = parse_list(LIST);
        let uris: Vec<_> =
            sources.iter().map(|source| (&*source.uris[0], source.security)).collect();
        assert_eq!(
            uris,
            [
                ("http://mirror.example/debian", false),
                ("http://mirror.example/debian-security/", true)
            ]
        );
        assert_eq!(
            sources[0].options,
            [("Signed-By".to_owned(), "/k/debian-archive-keyring.gpg".to_owned())]
        );
    }

    #[test]
    fn stanzas_are_read_and_derived_for_another_suite() {
        let sources = parse_deb822(
            "Types: deb deb-src\nURIs: http://mirror.example/debian\n\
             Suites: bookworm bookworm-updates\nComponents: main\nTrusted: yes\n\
             Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n\n\
             Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: sid\n\
             Components: main\n",
        );
        assert_eq!(sources.len(), 1);
        let derived = derive(&sources, "forky");
        let read = control::stanzas(&derived);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].get("Suites"), Some("forky"));
        assert_eq!(read[0].get("Trusted"), Some("yes"));
        assert!(read[0].get("Signed-By").unwrap().ends_with("\n.\nabc"));
        assert_eq!(derive(&sources, "bookworm-security"), "");
    }

    #[test]
    fn one_stanza_for_both_archives_gives_two_sources() {
        let sources = parse_deb822(
            "Types: deb\nURIs: http://m.example/debian\nSuites: sid trixie-security\n\
             Components: main\n",
        );
        assert_eq!(sources.iter().map(|one| one.security).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn families_hold_what_was_published_later() {
        assert_eq!(family("bookworm").siblings, ["bookworm-updates", "bookworm-security"]);
        let backports = family("bookworm-backports");
        assert!(backports.preferred);
        assert_eq!(backports.siblings, ["bookworm", "bookworm-updates", "bookworm-security"]);
        assert!(family("sid").siblings.is_empty());
        assert!(family("bookworm-security").siblings.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = parse_list(&text);
            let _ = parse_deb822(&text);
            let _ = family(&text);
        }
    }
}
