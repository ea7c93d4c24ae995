//! Scripts without errors, in every shape that the grammar allows, with odd spaces, line breaks and
//! comments.

use proptest::prelude::*;

use super::parsed;

/// Spaces where a line break would mean something.
fn gap() -> impl Strategy<Value = String> {
    prop::sample::select(vec![" ", "  ", "\t"]).prop_map(str::to_owned)
}

/// Spaces and comments where lines may be broken.
fn space() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        " ",
        " ",
        " ",
        " ",
        "  ",
        "\n",
        "\r\n\n\n ",
        " // note\n",
        "\n// own line\n",
        "\n/// doc\n",
        "\n\n// apart \n\n",
    ])
    .prop_map(str::to_owned)
}

/// What ends a statement within a block.
fn end() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "\n",
        "\n",
        "\r\n",
        ";",
        "; ",
        ";;\n",
        "\n\n\n",
        " // note\n",
        "\n// own line\n",
        "\n\n/// doc\n",
        "; /// stray\n",
    ])
    .prop_map(str::to_owned)
}

fn word() -> impl Strategy<Value = String> {
    let words =
        vec!["a", "mq-deadline", "x_1", "kernel", "default", "to", "raise", "policy", "B", "s"];
    prop::sample::select(words).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    let parts = vec!["a", "vm", "0.c", "\"eth0.1\"", "in", "2MiB", "block"];
    (word(), prop::collection::vec(prop::sample::select(parts), 0..4))
        .prop_map(|(head, parts)| parts.iter().fold(head, |path, part| format!("{path}.{part}")))
}

fn literal() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "0",
        "4_096",
        "0x1F",
        "5.10",
        "6.1.2",
        "10ms",
        "1.5µs",
        "64KiB",
        "80%",
        "1Gbit/s",
        "9:30",
        "\"\"",
        "\"a \\\" b // c\"",
        "2-3",
    ])
    .prop_map(str::to_owned)
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![literal(), path()];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "/", "&", "and", "or"]);
        let list = || prop::collection::vec((inner.clone(), space(), space()), 0..4);
        let joined = |parts: Vec<(String, String, String)>, comma: bool| {
            let mut out = String::new();
            for (at, (part, before, after)) in parts.iter().enumerate() {
                let comma = if comma || at + 1 < parts.len() { "," } else { "" };
                out += &format!("{before}{part}{after}{comma}");
            }
            out
        };
        prop_oneof![
            (inner.clone(), space(), operator, space(), inner.clone())
                .prop_map(|(a, b, op, c, d)| format!("({a}{b}{op}{c}{d})")),
            (inner.clone(), space(), inner.clone())
                .prop_map(|(a, b, c)| format!("{a}{b}== ({c})"))
                .prop_map(|comparison| format!("({comparison})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a})..({b}))")),
            inner.clone().prop_map(|a| format!("(({a})..)")),
            inner.clone().prop_map(|a| format!("(.. ({a}))")),
            inner.clone().prop_map(|a| format!("- ({a})")),
            (space(), inner.clone(), space()).prop_map(|(a, b, c)| format!("({a}not {b}{c})")),
            (list(), any::<bool>(), space()).prop_map(move |(parts, comma, end)| {
                let comma = comma && !parts.is_empty();
                format!("[{}{end}]", joined(parts, comma))
            }),
            (list(), space())
                .prop_map(move |(parts, end)| format!("min({}{end})", joined(parts, false))),
            Just("(2-3,6, 8)".to_owned()),
        ]
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => expression(),
        1 => (expression(), space(), space()).prop_map(|(a, b, c)| format!("bytes {{{b}limit: {a}{c}}}")),
        1 => (expression(), expression(), space())
            .prop_map(|(a, b, c)| format!("{{ x: {a}{c},{c}y:{b}, }}")),
        1 => (gap(), literal()).prop_map(|(a, b)| format!("batch{a}nice{a}{b} -3")),
        1 => Just("2-3, 6".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 1 => expression().prop_map(|it| format!(" if {it}"))]
}

fn simple_setting() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (path(), gap(), value(), condition()).prop_map(|(a, b, c, d)| format!("{a}{b}={b}{c}{d}")),
        1 => (path(), value()).prop_map(|(a, b)| format!("default x.{a} += {b}")),
        1 => (path(), value()).prop_map(|(a, b)| format!("raise x.{a} to {b}")),
        1 => value().prop_map(|a| format!("required raw \"/proc/x\" = {a}")),
    ]
}

fn block(statement: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::vec((statement, end()), 0..4), space()).prop_map(|(statements, start)| {
        let body: String = statements.iter().map(|(it, end)| format!("{it}{end}")).collect();
        format!("{{{start}{body}}}")
    })
}

fn settings() -> impl Strategy<Value = String> {
    simple_setting().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (space(), block(inner.clone())).prop_map(|(a, b)| format!("block \"x\", \"y\"{a}{b}")),
            (path(), block(inner.clone())).prop_map(|(a, b)| format!("x.{a} {b}")),
            block(inner.clone()).prop_map(|b| format!("cpus 2-3,6 {b}")),
            (expression(), block(inner.clone()), space(), block(inner))
                .prop_map(|(a, b, c, d)| format!("if {a} {b}{c}else {d}")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => settings(),
        1 => expression().prop_map(|a| format!("param y: [bytes] = ({a}) in ({a})")),
        1 => expression().prop_map(|a| format!("require {a}")),
        1 => Just("kernel version >= 5.10 flavour in [rt]".to_owned()),
        1 => Just("waive security mitigations \"why\"".to_owned()),
        1 => (space(), block(simple_setting())).prop_map(|(a, b)| format!("workload w{a}{b}")),
    ]
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (space(), block(statement())).prop_map(|(a, b)| format!("profile p extends q, r{a}{b}")),
        1 => (expression(), space(), space()).prop_map(|(a, b, c)| {
            format!("policy {{ default p\n when ({a}) < 3{b}until > 3 for 3s{c}cooldown 1s{b}-> p }}")
        }),
        1 => (end(), expression())
            .prop_map(|(a, b)| format!("guard p {{ confirm within 3s{a}rollback if {b} for 3s }}")),
    ]
}

/// A script without errors.
pub(in crate::syntax) fn script() -> impl Strategy<Value = String> {
    prop::collection::vec((part(), space()), 0..3)
        .prop_map(|parts| parts.iter().map(|(part, space)| format!("{part}{space}")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn generated_scripts_are_right_and_kept(text in script()) {
        let parse = parsed(&text);
        prop_assert!(parse.is_ok(), "{}\n{text}", super::told(&text));
        prop_assert_eq!(parse.syntax().text().to_string(), text);
    }
}
