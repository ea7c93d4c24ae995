//! Diagnostics as SARIF 2.1.0, which code hosts and CI systems show beside the lines concerned.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>. Files are named relative to a folder,
//! usually the root of a repository; those of the standard library, which lie nowhere, relative to a base of
//! their own.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::{Code, Diagnostic, Position, Severity, Source, Sources, Span};
use crate::standard;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The base that consumers take for the root of what was checked.
const ROOT: &str = "%SRCROOT%";
/// The base of the standard library.
const STANDARD: &str = "STANDARD";

/// A log file of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: Code,
    short_description: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    rule_id: Code,
    rule_index: usize,
    level: Severity,
    message: Text,
    locations: [Location; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<Fix>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Text {
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    physical_location: Physical,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Text>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

/// Lines and columns from 1; the end is behind the last character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
    byte_offset: u32,
    byte_length: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Fix {
    description: Text,
    artifact_changes: [Change; 1],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    artifact_location: Artifact,
    replacements: [Replacement; 1],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Replacement {
    deleted_region: Region,
    inserted_content: Text,
}

impl Log {
    /// Of what is wrong with these sources. Absolute paths below `root` become relative to it.
    pub fn of(diagnostics: &[Diagnostic], sources: &Sources, root: &Path) -> Self {
        let mut codes: Vec<Code> = diagnostics.iter().map(|told| told.code).collect();
        codes.sort();
        codes.dedup();
        let writer = Writer { sources, root, codes: &codes };
        let results = diagnostics.iter().map(|told| writer.finding(told)).collect();
        let rule = |code: &Code| Rule { id: *code, short_description: text(code.title()) };
        let driver = Driver {
            name: "partitiond",
            version: env!("CARGO_PKG_VERSION"),
            rules: codes.iter().map(rule).collect(),
        };
        let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
        Self { schema: SCHEMA, version: "2.1.0", runs: [run] }
    }
}

struct Writer<'w> {
    sources: &'w Sources,
    root: &'w Path,
    /// The codes of all rules.
    codes: &'w [Code],
}

impl Writer<'_> {
    fn finding(&self, told: &Diagnostic) -> Finding {
        let mut message = told.message.clone();
        let helps = told.help.iter().map(|help| &help.text);
        for more in std::iter::once(&told.primary.text).chain(helps).filter(|it| !it.is_empty()) {
            message.push('\n');
            message.push_str(more);
        }
        let related = told.related.iter().zip(1..).map(|(label, id)| Location {
            id: Some(id),
            physical_location: self.place(label.span),
            message: (!label.text.is_empty()).then(|| text(&label.text)),
        });
        let fixes = told.help.iter().filter_map(|help| {
            let edit = help.edit.as_ref()?;
            let Physical { artifact_location, region } = self.place(edit.span);
            let replacement =
                Replacement { deleted_region: region, inserted_content: text(&edit.text) };
            let change = Change { artifact_location, replacements: [replacement] };
            Some(Fix { description: text(&help.text), artifact_changes: [change] })
        });
        let place = self.place(told.primary.span);
        Finding {
            rule_id: told.code,
            rule_index: self.codes.partition_point(|code| *code < told.code),
            level: told.severity,
            message: text(&message),
            locations: [Location { id: None, physical_location: place, message: None }],
            related_locations: related.collect(),
            fixes: fixes.collect(),
        }
    }

    fn place(&self, span: Span) -> Physical {
        let source = self.sources.get(span.file);
        let none = Position { line: 1, column: 1 };
        let at = |offset| source.map_or(none, |source| source.position(offset));
        let (start, end) = (at(span.start), at(span.end));
        let region = Region {
            start_line: start.line,
            start_column: start.column,
            end_line: end.line,
            end_column: end.column,
            byte_offset: span.start,
            byte_length: span.end.saturating_sub(span.start),
        };
        Physical { artifact_location: self.artifact(source), region }
    }

    fn artifact(&self, source: Option<&Source>) -> Artifact {
        let name = source.map_or("", Source::name);
        let path = Path::new(name);
        if source.is_some_and(standard::is_standard) {
            let uri = escaped(name.strip_prefix("std/").unwrap_or(name));
            return Artifact { uri, uri_base_id: Some(STANDARD) };
        }
        match path.strip_prefix(self.root).ok().or(path.is_relative().then_some(path)) {
            Some(relative) => {
                let relative = relative.strip_prefix(".").unwrap_or(relative);
                Artifact { uri: escaped(&relative.to_string_lossy()), uri_base_id: Some(ROOT) }
            }
            None => Artifact { uri: format!("file://{}", escaped(name)), uri_base_id: None },
        }
    }
}

fn text(text: &str) -> Text {
    Text { text: text.to_owned() }
}

/// A path as it stands in a URI (RFC 3986).
fn escaped(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            // Writing to a string does not fail.
            byte => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::scripts::Scripts;

    fn log(name: &str, text: &str) -> Value {
        let scripts = Scripts::of([Source::new(name, text)]);
        let log = Log::of(&scripts.diagnostics, &scripts.sources, Path::new("/home/me/repo"));
        serde_json::to_value(log).unwrap()
    }

    #[test]
    fn a_log_says_what_where_and_what_to_do() {
        let text = "profile a { vm.dirty_bytes = 64MB }\n// 𝄞 é\nprofile a extends b {}\n";
        let log = log("profiles/größe 1.ks", text);
        insta::assert_snapshot!(serde_json::to_string_pretty(&log).unwrap());
    }

    /// The rules of SARIF's schema that a consumer rests on.
    #[test]
    fn what_a_log_refers_to_is_there() {
        let text = "profile p {{{ vm.swapp = = 3\nprofile p extends q, r { x = min(1s, 2MiB) }\n";
        let log = log("a.ks", text);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        assert!(results.len() > 2, "{results:?}");
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let region = &result["locations"][0]["physicalLocation"]["region"];
            let at = |key: &str| region[key].as_u64().unwrap();
            assert!(at("startLine") >= 1 && at("startColumn") >= 1);
            let (start, end) =
                ((at("startLine"), at("startColumn")), (at("endLine"), at("endColumn")));
            assert!(start <= end, "{region}");
        }
        for rule in rules {
            assert!(!rule["shortDescription"]["text"].as_str().unwrap().is_empty());
        }
    }

    #[test]
    fn files_are_named_from_the_root() {
        let uri = |name: &str| {
            let log = log(name, "profile {");
            let artifact = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
            (artifact["uri"].as_str().unwrap().to_owned(), artifact["uriBaseId"].clone())
        };
        assert_eq!(uri("/home/me/repo/p/a.ks"), ("p/a.ks".to_owned(), ROOT.into()));
        assert_eq!(uri("./a b.ks"), ("a%20b.ks".to_owned(), ROOT.into()));
        assert_eq!(uri("/etc/a#.ks"), ("file:///etc/a%23.ks".to_owned(), Value::Null));
        assert_eq!(uri("std/oltp.ks"), ("std/oltp.ks".to_owned(), ROOT.into()));
    }

    #[test]
    fn the_standard_library_has_a_base_of_its_own() {
        let (name, text) = standard::SCRIPTS[0];
        let mut sources = Sources::new();
        let file = sources.add(Source::new(&format!("std/{name}.ks"), text));
        let span = Span { file, start: 0, end: 1 };
        let told = Diagnostic::warning(super::super::codes::TYPE, span, "m");
        let log = Log::of(&[told], &sources, Path::new("/"));
        let [run] = log.runs;
        let place = &run.results[0].locations[0].physical_location.artifact_location;
        assert_eq!(place.uri_base_id, Some(STANDARD));
        assert_eq!(place.uri, format!("{name}.ks"));
    }
}
