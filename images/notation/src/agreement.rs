//! Our reader reads what the `ron` crate reads.

use proptest::prelude::*;

use crate::reader;
use crate::tree::{Body, Field, Node, Value};
use crate::{Problems, Source};

fn read(text: &str) -> Option<Node> {
    let mut problems = Problems::default();
    let node = reader::read(text, &mut problems);
    reader::check_duplicates(&node, &mut problems);
    problems.is_empty().then_some(node)
}

/// What the `ron` crate makes of the same tree.
fn to_ron(value: &Value) -> ron::Value {
    match value {
        Value::Text(text) => ron::Value::String(text.clone()),
        Value::Bool(bool) => ron::Value::Bool(*bool),
        Value::Integer(number) => number_to_ron(*number),
        Value::Term { name: Some(name), body: Body::None } if name.text == "None" => {
            ron::Value::Option(None)
        }
        Value::Term { name: Some(name), body: Body::Tuple(inner) } if name.text == "Some" => {
            ron::Value::Option(Some(Box::new(to_ron(&inner[0].value))))
        }
        Value::Term { body: Body::None, .. } => ron::Value::Unit,
        Value::Term { body: Body::Tuple(elements), .. } | Value::List(elements) => {
            ron::Value::Seq(elements.iter().map(|node| to_ron(&node.value)).collect())
        }
        Value::Term { body: Body::Fields(fields), .. } | Value::Map(fields) => {
            let pair = |field: &Field| {
                (ron::Value::String(field.name.text.clone()), to_ron(&field.value.value))
            };
            fields.iter().map(pair).collect()
        }
        Value::Unreadable => panic!("the reader accepted what it could not read"),
    }
}

/// `ron::Value` makes a unit of `()` and an empty sequence of `( )` and `Name()`: no difference that
/// a person could mean.
fn alike(value: ron::Value) -> ron::Value {
    match value {
        ron::Value::Unit => ron::Value::Seq(Vec::new()),
        ron::Value::Seq(elements) => elements.into_iter().map(alike).collect(),
        ron::Value::Map(map) => map.into_iter().map(|(key, value)| (key, alike(value))).collect(),
        ron::Value::Option(inner) => ron::Value::Option(inner.map(|inner| Box::new(alike(*inner)))),
        other => other,
    }
}

fn number_to_ron(number: i128) -> ron::Value {
    if number < 0 {
        match number {
            -128.. => (number as i8).into(),
            -32_768.. => (number as i16).into(),
            -2_147_483_648.. => (number as i32).into(),
            _ => (number as i64).into(),
        }
    } else {
        match number {
            0..=0xff => (number as u8).into(),
            0x100..=0xffff => (number as u16).into(),
            0x1_0000..=0xffff_ffff => (number as u32).into(),
            _ => (number as u64).into(),
        }
    }
}

/// White space and comments.
fn blank() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        2 => Just(" ".to_owned()),
        1 => Just("\n\t ".to_owned()),
        1 => Just(" // a comment (\"[\n".to_owned()),
        1 => Just("/* one /* in */ \" another */".to_owned()),
        1 => Just("\u{85}\u{2028}\r\n".to_owned()),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-zA-Z0-9_]{0,6}".prop_filter("words with a meaning of their own", |name| {
        !matches!(name.as_str(), "inf" | "NaN" | "true" | "false" | "None" | "Some")
            && !name.starts_with("inff")
            && !name.starts_with("NaNf")
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 ,():\\[\\]{}/*=.-]{0,12}".prop_map(|text| format!("\"{text}\"")),
        any::<String>().prop_map(|text| format!("{text:?}")),
        "[a-z\"\\\\ ]{0,8}".prop_map(|text| format!("r##\"{text}\"##")),
        Just("\"a\\u{1f980}\\x41\\0\\'\\\"\\\n   b\"".to_owned()),
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u8>().prop_map(|number| format!("+{number}")),
        any::<u32>().prop_map(|number| format!("{number:#x}")),
        any::<u16>().prop_map(|number| format!("{number:#b}")),
        any::<u16>().prop_map(|number| format!("-{number:#o}")),
        (1u32..999, 0u32..999).prop_map(|(high, low)| format!("{high}_{low:03}_")),
    ]
}

fn separated(items: Vec<String>, blanks: &[String], trailing: bool) -> String {
    let blank = |at: usize| blanks.get(at % blanks.len().max(1)).map_or("", String::as_str);
    let mut out = blank(0).to_owned();
    let last = items.len().saturating_sub(1);
    for (at, item) in items.iter().enumerate() {
        out += item;
        out += blank(at);
        if at < last || trailing {
            out.push(',');
        }
        out += blank(at + 1);
    }
    out
}

fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        text(),
        number(),
        name(),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("None".to_owned()),
        Just("()".to_owned()),
    ];
    let blanks = || proptest::collection::vec(blank(), 3);
    let tree = leaf.prop_recursive(4, 48, 6, move |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..6);
        let pairs = proptest::collection::vec((name(), blank(), inner.clone()), 1..6);
        let entries = proptest::collection::vec((text(), blank(), inner.clone()), 0..6);
        prop_oneof![
            (items.clone(), blanks(), any::<bool>()).prop_map(|(items, blanks, trail)| format!(
                "[{}]",
                separated(items, &blanks, trail)
            )),
            (proptest::option::of(name()), blank(), items, blanks(), any::<bool>()).prop_map(
                |(name, blank, items, blanks, trail)| {
                    let name = name.unwrap_or_default();
                    let trail = trail && !items.is_empty();
                    format!("{name}{blank}({})", separated(items, &blanks, trail))
                }
            ),
            (proptest::option::of(name()), pairs, blanks(), any::<bool>()).prop_map(
                |(name, pairs, blanks, trail)| {
                    let fields = pairs.into_iter().map(|(n, b, v)| format!("{n}{b}:{b}{v}"));
                    let fields = separated(fields.collect(), &blanks, trail);
                    format!("{}({fields})", name.unwrap_or_default())
                }
            ),
            (entries, blanks(), any::<bool>()).prop_map(|(entries, blanks, trail)| {
                let entries: Vec<_> =
                    entries.into_iter().map(|(n, b, v)| format!("{n}{b}:{b}{v}")).collect();
                let trail = trail && !entries.is_empty();
                format!("{{{}}}", separated(entries, &blanks, trail))
            }),
            (inner, blank()).prop_map(|(inner, blank)| format!("Some{blank}({blank}{inner})")),
        ]
    });
    (blank(), tree, blank()).prop_map(|(before, tree, after)| format!("{before}{tree}{after}"))
}

/// Compares the readers; whether ours accepted the text.
fn agree(text: &str) -> Result<bool, TestCaseError> {
    let Some(node) = read(text) else { return Ok(false) };
    match ron::from_str::<ron::Value>(text) {
        Ok(value) => {
            prop_assert_eq!(alike(to_ron(&node.value)), alike(value), "in {:?}", text);
        }
        Err(error) => prop_assert!(false, "ron refuses {:?}: {}", text, error),
    }
    Ok(true)
}

/// Texts that were once read otherwise than `ron` reads them.
#[test]
fn found_by_the_property_tests() {
    for text in ["[true ()]", "[true(1)]", "None(1)", "Some", "Some(1,2)", "Some()", "( )", "1 //"]
    {
        agree(text).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whole_documents_read_as_ron_reads_them(text in document()) {
        let duplicates = |text: &str| {
            let mut problems = Problems::default();
            let node = reader::read(text, &mut problems);
            let read_well = problems.is_empty();
            reader::check_duplicates(&node, &mut problems);
            read_well && !problems.is_empty()
        };
        let accepted = agree(&text)?;
        prop_assert!(accepted || duplicates(&text), "refused {text:?}");
    }

    #[test]
    fn damaged_documents_are_never_read_otherwise(
        text in document(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, kind) in damage {
            let at = at.index(chars.len().max(1));
            match kind % 3 {
                0 if at < chars.len() => { chars.remove(at); }
                1 if at < chars.len() => chars[at] = "()[]{}:,\"#/*-._r1a\n\\"
                    .chars().nth(usize::from(kind) % 20).unwrap_or(' '),
                _ => chars.insert(at.min(chars.len()), "()[]{}:,\"#/*-._r1a\n\\"
                    .chars().nth(usize::from(kind) % 20).unwrap_or(' ')),
            }
        }
        agree(&chars.into_iter().collect::<String>())?;
    }

    #[test]
    fn no_text_panics(text: String) {
        agree(&text)?;
        let mut problems = Problems::default();
        reader::read(&text, &mut problems);
        let _ = problems.finish(Source::new("a file", &text)).map_err(|errors| errors.render(true));
    }
}
