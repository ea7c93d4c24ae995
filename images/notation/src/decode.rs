//! From tree to types, collecting every error on the way: a decoder that meets one reports it and
//! gives `None`, and its caller goes on with the next field.

use std::fmt::Display;
use std::str::FromStr;

use super::diagnostic::{Diagnostic, Problems, quoted};
use super::suggest::did_you_mean;
use super::tree::{Body, Field, Node, Span, Value, Word};

/// The fields of a struct.
pub struct Fields<'t> {
    span: Span,
    what: &'static str,
    fields: &'t [Field],
}

impl<'t> Fields<'t> {
    /// The field of this name, unless absent or `None`; `Some(x)` stands for `x`.
    pub fn get(&self, name: &str) -> Option<&'t Node> {
        let field = self.fields.iter().find(|field| field.name.text == name)?;
        match &field.value.value {
            Value::Term { name: Some(word), body: Body::None } if word.text == "None" => None,
            Value::Term { name: Some(word), body: Body::Tuple(inner) } if word.text == "Some" => {
                match inner.as_slice() {
                    [one] => Some(one),
                    _ => Some(&field.value),
                }
            }
            _ => Some(&field.value),
        }
    }

    /// The field of this name; its absence is an error.
    pub fn required(&self, name: &str, problems: &mut Problems) -> Option<&'t Node> {
        let node = self.get(name);
        if node.is_none() {
            let message = format!("{} has no `{name}`", self.what);
            let label = format!("expected `{name}: …` in here");
            problems.push(Diagnostic::new(self.opening(), message, label));
        }
        node
    }

    /// The place of a field's name.
    pub fn name_span(&self, name: &str) -> Option<Span> {
        self.fields
            .iter()
            .find(|field| field.name.text == name)
            .map(|field| field.name.span.clone())
    }

    /// The start of the struct: underlining all its lines helps nobody.
    fn opening(&self) -> Span {
        self.span.start..self.span.start + 1
    }
}

/// Reports that a value is of another kind than expected.
pub fn mismatch(node: &Node, expected: &str, problems: &mut Problems) {
    if node.value == Value::Unreadable {
        return;
    }
    let found = node.value.describe();
    problems.push(Diagnostic::new(
        node.span.clone(),
        format!("expected {expected}, found {found}"),
        format!("this is {found}"),
    ));
}

/// A struct with no fields but `known` ones.
pub fn fields<'t>(
    node: &'t Node,
    what: &'static str,
    known: &[&'static str],
    problems: &mut Problems,
) -> Option<Fields<'t>> {
    match &node.value {
        Value::Term { name: None, body } => body_fields(body, &node.span, what, known, problems),
        _ => {
            mismatch(node, &format!("{what}: `(field: value, …)`"), problems);
            None
        }
    }
}

/// The fields between parentheses that are at hand already.
pub fn body_fields<'t>(
    body: &'t Body,
    span: &Span,
    what: &'static str,
    known: &[&'static str],
    problems: &mut Problems,
) -> Option<Fields<'t>> {
    let fields: &[Field] = match body {
        Body::Fields(fields) => fields,
        Body::Tuple(elements) if elements.is_empty() => &[],
        Body::Tuple(elements) => {
            if let Some(element) = elements.iter().find(|node| node.value != Value::Unreadable) {
                mismatch(element, &format!("a field of {what}: `name: value`"), problems);
            }
            return None;
        }
        Body::None => {
            let message = format!("{what} has no fields");
            problems.push(Diagnostic::new(span.clone(), message, "expected `(field: value, …)`"));
            return None;
        }
    };
    for field in fields.iter().filter(|field| !known.contains(&field.name.text.as_str())) {
        unknown(&field.name, &format_args!("field of {what}"), known, problems);
    }
    Some(Fields { span: span.clone(), what, fields })
}

/// Reports a name that is not one of `known`.
pub fn unknown(word: &Word, kind: &dyn Display, known: &[&'static str], problems: &mut Problems) {
    problems.push_with(|| {
        let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let label = did_you_mean(&word.text, known.iter().copied());
        let label = label.unwrap_or_else(|| "not known".to_owned());
        let message = format!("`{}` is not a {kind}", quoted(&word.text));
        Diagnostic::new(word.span.clone(), message, label).help(format!("known are {list}"))
    });
}

/// A map with its entries.
pub fn map<'t>(node: &'t Node, expected: &str, problems: &mut Problems) -> Option<&'t [Field]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        _ => {
            mismatch(node, expected, problems);
            None
        }
    }
}

/// A list with its elements.
pub fn list<'t>(node: &'t Node, expected: &str, problems: &mut Problems) -> Option<&'t [Node]> {
    match &node.value {
        Value::List(elements) => Some(elements),
        _ => {
            mismatch(node, expected, problems);
            None
        }
    }
}

/// A text without NUL characters, which neither a path nor an argument can hold.
pub fn text(node: &Node, expected: &str, problems: &mut Problems) -> Option<String> {
    match &node.value {
        Value::Text(text) if text.contains('\0') => {
            let message = "a NUL character in a text";
            problems.push(Diagnostic::new(node.span.clone(), message, "remove the `\\0`"));
            None
        }
        Value::Text(text) => Some(text.clone()),
        _ => {
            mismatch(node, expected, problems);
            None
        }
    }
}

/// A text that is the written form of a `T`.
pub fn parsed<T>(node: &Node, expected: &str, problems: &mut Problems) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    match &node.value {
        Value::Text(text) => match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let label = format!("expected {expected}");
                let message = quoted_message(&error.to_string());
                problems.push(Diagnostic::new(node.span.clone(), message, label));
                None
            }
        },
        _ => {
            mismatch(node, expected, problems);
            None
        }
    }
}

/// Messages of parsers quote the file: nothing of it may reach a terminal as control sequence.
fn quoted_message(message: &str) -> String {
    message.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// A whole number in a range.
pub fn number(
    node: &Node,
    expected: &str,
    range: std::ops::RangeInclusive<u32>,
    problems: &mut Problems,
) -> Option<u32> {
    match node.value {
        Value::Integer(number) => {
            let inside = u32::try_from(number).ok().filter(|number| range.contains(number));
            if inside.is_none() {
                let label = format!("expected {} to {}", range.start(), range.end());
                let message = format!("{number} is not {expected}");
                problems.push(Diagnostic::new(node.span.clone(), message, label));
            }
            inside
        }
        _ => {
            mismatch(node, expected, problems);
            None
        }
    }
}

/// A word out of a fixed set, with what follows it in parentheses.
pub fn variant<'t>(
    node: &'t Node,
    kind: &'static str,
    known: &[&'static str],
    problems: &mut Problems,
) -> Option<(&'t str, &'t Body)> {
    match &node.value {
        Value::Term { name: Some(name), body } => {
            if known.contains(&name.text.as_str()) {
                return Some((&name.text, body));
            }
            unknown(name, &kind, known, problems);
            None
        }
        Value::Text(text) if known.contains(&text.as_str()) => {
            let message = format!("a {kind} stands without quotes");
            let label = format!("expected {text} without quotes");
            problems.push(Diagnostic::new(node.span.clone(), message, label));
            None
        }
        _ => {
            let one_of = known.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().join(", ");
            mismatch(node, &format!("a {kind} ({one_of})"), problems);
            None
        }
    }
}

/// A variant that takes nothing in parentheses.
pub fn plain(word: &str, body: &Body, span: &Span, problems: &mut Problems) -> Option<()> {
    match body {
        Body::None => Some(()),
        _ => {
            let message = format!("`{word}` takes nothing in parentheses");
            let label = format!("expected `{word}` alone");
            problems.push(Diagnostic::new(span.clone(), message, label));
            None
        }
    }
}

/// A variant that takes one value in parentheses.
pub fn single<'t>(
    word: &str,
    body: &'t Body,
    span: &Span,
    example: &str,
    problems: &mut Problems,
) -> Option<&'t Node> {
    match body {
        Body::Tuple(elements) if elements.len() == 1 => elements.first(),
        _ => {
            let message = format!("`{word}` takes one value in parentheses");
            let label = format!("expected `{example}`");
            problems.push(Diagnostic::new(span.clone(), message, label));
            None
        }
    }
}

/// A name of a partition or an image: 1 to 63 of `a-z 0-9 -`, not starting with `-`.
pub fn check_name(word: &Word, what: &str, problems: &mut Problems) -> Option<String> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let text = &word.text;
    if (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') {
        return Some(text.clone());
    }
    let message = format!("\"{}\" cannot be the name of {what}", quoted(text));
    problems.push(Diagnostic::new(
        word.span.clone(),
        message,
        "expected 1 to 63 of a-z, 0-9 and -, not starting with -",
    ));
    None
}
