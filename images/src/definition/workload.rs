//! Decoding of workloads.

use notation::decode::{body_fields, fields, list, map, mismatch, number, plain, text, variant};
use notation::tree::{Body, Node, Span, Value};
use notation::{Diagnostic, Problems, quoted};

/// The fields of a workload.
pub const FIELDS: &[&str] = &["name", "argv", "env", "cwd", "user", "restart"];
/// Workloads of one partition.
const MAX_WORKLOADS: usize = 256;

/// Reads a list of workloads; names are unique in it.
pub fn workloads(node: &Node, problems: &mut Problems) -> Option<Vec<protocol::Workload>> {
    let elements = list(node, "a list of workloads", problems)?;
    if elements.len() > MAX_WORKLOADS {
        let message = format!("{} workloads in one partition", elements.len());
        let label = format!("expected at most {MAX_WORKLOADS}");
        let opening = node.span.start..node.span.start + 1;
        problems.push(Diagnostic::new(opening, message, label));
        return None;
    }
    let mut names = std::collections::HashMap::new();
    let mut workloads = Vec::new();
    for element in elements {
        let Some(workload) = workload(element, problems) else { continue };
        let span = element.span.start..element.span.start + 1;
        if let Some(first) = names.insert(workload.name.clone(), span.clone()) {
            let message = format!("two workloads are named \"{}\"", quoted(&workload.name));
            problems.push(Diagnostic::new(span, message, "second one").related(first, "first one"));
        }
        workloads.push(workload);
    }
    Some(workloads)
}

fn workload(node: &Node, problems: &mut Problems) -> Option<protocol::Workload> {
    let fields = fields(node, "a workload", FIELDS, problems)?;
    let name = fields.required("name", problems).and_then(|node| name(node, problems));
    let argv = fields.required("argv", problems).and_then(|node| argv(node, problems));
    let env = fields.get("env").and_then(|node| environment(node, problems));
    let cwd = fields.get("cwd").and_then(|node| directory(node, problems));
    let user = fields.get("user").and_then(|node| text(node, "a user's name", problems));
    let restart = fields.get("restart").and_then(|node| restart(node, problems));
    Some(protocol::Workload {
        name: name?,
        argv: argv?,
        env: env.unwrap_or_default(),
        cwd: cwd.unwrap_or_default(),
        user: user.unwrap_or_default(),
        restart: restart.unwrap_or_default(),
    })
}

fn name(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = text(node, "a workload's name", problems)?;
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if (1..=63).contains(&name.len()) && name.bytes().all(allowed) {
        return Some(name);
    }
    let message = format!("\"{}\" cannot be the name of a workload", quoted(&name));
    let label = "expected 1 to 63 of a-z 0-9 - _ .";
    problems.push(Diagnostic::new(node.span.clone(), message, label));
    None
}

fn argv(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    if let Value::Text(_) = node.value {
        let expected = "a list of a program and its arguments, such as [\"sleep\", \"10\"]";
        mismatch(node, expected, problems);
        return None;
    }
    let elements = list(node, "a list of a program and its arguments", problems)?;
    let argv: Vec<String> =
        elements.iter().filter_map(|element| text(element, "a text", problems)).collect();
    if argv.first().is_none_or(String::is_empty) && argv.len() == elements.len() {
        let label = "expected a program first";
        problems.push(Diagnostic::new(node.span.clone(), "no program to run", label));
        return None;
    }
    Some(argv)
}

/// `{"NAME": "value"}`, or a list of pairs.
fn environment(node: &Node, problems: &mut Problems) -> Option<Vec<(String, String)>> {
    let mut environment = Vec::new();
    let mut add = |name: &str, span: &Span, value: &Node, problems: &mut Problems| {
        let value = text(value, "a text", problems);
        if name.is_empty() || name.contains('=') || name.contains('\0') {
            let message = "not the name of an environment variable";
            problems.push(Diagnostic::new(span.clone(), message, "expected a name without `=`"));
        } else if let Some(value) = value {
            environment.push((name.to_owned(), value));
        }
    };
    if let Value::List(elements) = &node.value {
        for element in elements {
            match &element.value {
                Value::Term { name: None, body: Body::Tuple(pair) } => match pair.as_slice() {
                    [Node { value: Value::Text(name), span }, value] => {
                        add(name, span, value, problems);
                    }
                    _ => mismatch(element, "a pair of texts", problems),
                },
                _ => mismatch(element, "a pair `(\"NAME\", \"value\")`", problems),
            }
        }
    } else {
        for entry in map(node, "a map: {\"NAME\": \"value\"}", problems)? {
            add(&entry.name.text, &entry.name.span, &entry.value, problems);
        }
    }
    Some(environment)
}

fn directory(node: &Node, problems: &mut Problems) -> Option<String> {
    let path = text(node, "a directory", problems)?;
    if path.starts_with('/') {
        return Some(path);
    }
    let message = "a working directory begins with `/`";
    let label = "expected a path inside the partition, such as \"/srv\"";
    problems.push(Diagnostic::new(node.span.clone(), message, label));
    None
}

fn restart(node: &Node, problems: &mut Problems) -> Option<protocol::Restart> {
    let (word, body) =
        variant(node, "restart policy", &["Never", "Always", "OnFailure"], problems)?;
    match word {
        "Never" => plain(word, body, &node.span, problems).map(|()| protocol::Restart::Never),
        "Always" => plain(word, body, &node.span, problems).map(|()| protocol::Restart::Always),
        _ => {
            let fields = body_fields(body, &node.span, "OnFailure", &["max"], problems)?;
            let max = fields.required("max", problems)?;
            let max = number(max, "a number of restarts", 1..=1_000_000, problems)?;
            Some(protocol::Restart::OnFailure { max })
        }
    }
}
