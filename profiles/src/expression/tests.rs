use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::diagnostic::FileId;
use crate::syntax::literal::{Dimension, Number, Version};
use crate::syntax::parse_expression;

/// A machine of which a few things are known.
struct Machine(BTreeMap<&'static str, Value>);

impl Machine {
    fn new() -> Self {
        let version = Version { major: 6, minor: 12, patch: Some(3) };
        Self(BTreeMap::from([
            ("memory.total", Value::bytes(16 << 30)),
            ("kernel.version", Value::Version(version)),
            ("kernel.flavour", Value::word("rt")),
            ("cpus", Value::Cpus((0..8).collect())),
            ("housekeeping", Value::Cpus((0..2).collect())),
            ("net.routes", Value::Flag(true)),
            ("zero", Value::Number(0)),
            ("time", Value::TimeOfDay(23 * 60)),
        ]))
    }
}

impl Scope for Machine {
    fn find(&self, path: &[String]) -> Found {
        match (self.0.get(path.join(".").as_str()), path.join(".").as_str()) {
            (Some(value), _) => Found::Value(value.clone()),
            (None, "exists./run/maintenance") => Found::Value(Value::Flag(true)),
            (None, "tasks.running") => Found::NotKnownHere,
            _ => Found::Nothing,
        }
    }
}

impl Names for Machine {
    fn type_of(&self, path: &[String]) -> Option<Type> {
        match self.find(path) {
            Found::Value(value) => Some(value.type_of()),
            Found::NotKnownHere => Some(Type::Number),
            Found::Nothing => None,
        }
    }

    fn nearest(&self, path: &[String]) -> Option<String> {
        notation::closest(&path.join("."), self.0.keys().copied()).map(str::to_owned)
    }
}

fn read(text: &str) -> Expression {
    let parse = parse_expression(FileId::default(), text);
    assert!(parse.is_ok(), "{text}: {:?}", parse.diagnostics());
    let mut faults = Vec::new();
    let tree = parse.tree().expression().unwrap();
    let expression = Expression::of(FileId::default(), &tree, &mut faults);
    expression.unwrap_or_else(|| panic!("{text}: {faults:?}"))
}

fn worth(text: &str) -> Result<String, FaultKind> {
    let expression = read(text);
    let mut faults = Vec::new();
    check(&expression, &Machine::new(), &mut faults);
    assert!(faults.is_empty(), "{text}: {faults:?}");
    evaluate(&expression, &Machine::new())
        .map(|value| value.to_string())
        .map_err(|fault| fault.kind)
}

fn complaint(text: &str) -> String {
    let mut faults = Vec::new();
    check(&read(text), &Machine::new(), &mut faults);
    faults.iter().map(|fault| fault.diagnostic().message).collect::<Vec<_>>().join("; ")
}

#[test]
fn values_are_computed_with_their_units() {
    for (text, expected) in [
        ("memory.total / 8", "2GiB"),
        ("memory.total * 80%", "13743895347B"),
        ("memory.total * 0.5", "8GiB"),
        ("memory.total / 512MiB", "32"),
        ("2 * 3 + 4", "10"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("3 / 0.5", "6"),
        ("min(memory.total / 100, 64MiB)", "64MiB"),
        ("align(memory.total / 3, 2MiB)", "5460MiB"),
        ("power_of_two(1000)", "512"),
        ("cpus - housekeeping", "2-7"),
        ("cpus & (1-3,9)", "1-3"),
        ("first(2, cpus - housekeeping)", "2-3"),
        ("count(cpus)", "8"),
        ("64MiB..4GiB", "64MiB..4GiB"),
        ("[a, b] + [c]", "[a, b, c]"),
    ] {
        assert_eq!(worth(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn conditions_hold_or_not() {
    for (text, expected) in [
        ("memory.total >= 4GiB", true),
        ("kernel.version >= 5.10", true),
        ("kernel.version >= 6.12", true),
        ("kernel.version > 6.12", false),
        ("kernel.version > 6.12.2", true),
        ("kernel.version in 5.10..6.6", false),
        ("kernel.flavour in [cloud, generic]", false),
        ("kernel.flavour != cloud and not false", true),
        ("3 in [0, 8..65536]", false),
        ("9 in [0, 8..65536]", true),
        ("(2-3) in cpus", true),
        ("7 in housekeeping", false),
        ("time in 22:00..6:00", true),
        ("time in 9:00..17:00", false),
        ("net.routes or tasks.running > 5", true),
        ("tasks.running > 5 or net.routes", true),
        ("tasks.running > 5 and not net.routes", false),
        ("2 > 1.5", true),
        (r#"exists("/run/maintenance")"#, true),
        (r#"starts_with("abc", "ab") and not starts_with("abc", "b")"#, true),
        ("-3 in cpus", false),
        ("70000 == cpus", false),
    ] {
        assert_eq!(worth(text), Ok(expected.to_string()), "{text}");
    }
}

#[test]
fn what_goes_wrong_is_data() {
    assert_eq!(worth("5 / zero"), Err(FaultKind::DivisionByZero));
    assert_eq!(worth("cpus - 70000"), Err(FaultKind::NotACpu(70000)));
    assert_eq!(worth("align(5, zero)"), Err(FaultKind::DivisionByZero));
    let large = ["18446744073709551615"; 3].join(" * ");
    assert_eq!(worth(&large), Err(FaultKind::Overflow));
    assert_eq!(worth("4GiB..64MiB"), Err(FaultKind::EmptyRange("4GiB..64MiB".into())));
    let ignorance = FaultKind::NotKnownHere("tasks.running".into());
    let no_machine = FaultKind::NotKnownHere("active x.service".into());
    assert_eq!(worth(r#"active("x.service")"#), Err(no_machine));
    assert_eq!(worth("tasks.running * 2"), Err(ignorance.clone()));
    assert_eq!(worth("tasks.running > 5 and net.routes"), Err(ignorance));
}

#[test]
fn types_are_held_apart() {
    assert_eq!(complaint("memory.total >= 10ms"), "`>=` is not there for a size and a duration");
    assert_eq!(complaint("memory.total + 1"), "`+` is not there for a size and a whole number");
    assert_eq!(complaint("not memory.total"), "expected a flag, and this is a size");
    assert_eq!(complaint("memory.totall > 1"), "there is no `memory.totall`");
    assert_eq!(complaint("min(1, 2MiB)"), "`min` takes other arguments");
    assert_eq!(complaint("1..2MiB"), "expected a whole number, and this is a size");
    assert_eq!(complaint("kernel.flavour < cloud"), "`<` is not there for a word and a word");
    // Once is enough.
    assert_eq!(complaint("memory.totall * 2 + 4"), "there is no `memory.totall`");
}

#[test]
fn an_unknown_function_is_named() {
    let parse = parse_expression(FileId::default(), "mim(1, 2)");
    let mut faults = Vec::new();
    assert!(
        Expression::of(FileId::default(), &parse.tree().expression().unwrap(), &mut faults)
            .is_none()
    );
    let kind = FaultKind::NoSuchFunction("mim".into(), Some("min"));
    assert_eq!(faults.iter().map(|fault| &fault.kind).collect::<Vec<_>>(), [&kind]);
}

fn values() -> impl Strategy<Value = Value> {
    let dimension = prop_oneof![
        Just(Dimension::Size),
        Just(Dimension::Time),
        Just(Dimension::Share),
        Just(Dimension::Rate),
    ];
    let amount = prop_oneof![Just(0), Just(1), -3_i128..1000, any::<u64>().prop_map(i128::from)];
    let version = (1_u32..8, 0_u32..20, proptest::option::of(0_u32..9))
        .prop_map(|(major, minor, patch)| Version { major, minor, patch });
    prop_oneof![
        any::<bool>().prop_map(Value::Flag),
        amount.clone().prop_map(Value::Number),
        (amount, dimension).prop_map(|(amount, of)| Value::Quantity(amount, of)),
        version.prop_map(Value::Version),
        (0_u64..1000, 1_u8..4).prop_map(|(digits, scale)| {
            Value::Decimal(Number { digits, scale }, Version { major: 1, minor: 2, patch: None })
        }),
        (0_u16..1440).prop_map(Value::TimeOfDay),
        "[a-c]{1,2}".prop_map(Value::Text),
        "[a-c]{1,2}".prop_map(Value::Word),
        proptest::collection::vec(0_u16..12, 0..4)
            .prop_map(|cpus| Value::Cpus(cpus.into_iter().collect())),
    ]
}

fn expressions() -> impl Strategy<Value = Expression> {
    use BinaryOperator as Op;
    let at = |node| Expression {
        span: crate::diagnostic::Span { file: FileId::default(), start: 0, end: 0 },
        node,
    };
    let operators = prop_oneof![
        Just(Op::Or),
        Just(Op::And),
        Just(Op::In),
        Just(Op::NotIn),
        Just(Op::Equal),
        Just(Op::NotEqual),
        Just(Op::Less),
        Just(Op::GreaterOrEqual),
        Just(Op::Add),
        Just(Op::Subtract),
        Just(Op::Multiply),
        Just(Op::Divide),
        Just(Op::Intersect),
    ];
    let functions = prop_oneof![
        Just(Function::Min),
        Just(Function::Max),
        Just(Function::Count),
        Just(Function::First),
        Just(Function::Align),
        Just(Function::PowerOfTwo),
        Just(Function::StartsWith),
    ];
    let leaf = values().prop_map(move |value| at(Node::Value(value)));
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let some = proptest::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            4 => (operators.clone(), boxed.clone(), boxed.clone())
                .prop_map(move |(operator, left, right)| at(Node::Binary(operator, left, right))),
            1 => (functions.clone(), some.clone())
                .prop_map(move |(function, arguments)| at(Node::Call(function, arguments))),
            1 => some.prop_map(move |elements| at(Node::List(elements))),
            1 => (proptest::option::of(boxed.clone()), proptest::option::of(boxed.clone()))
                .prop_map(move |(start, end)| at(Node::Range(start, end))),
            1 => boxed.clone().prop_map(move |it| at(Node::Unary(UnaryOperator::Not, it))),
            1 => boxed.prop_map(move |it| at(Node::Unary(UnaryOperator::Negate, it))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What was checked evaluates to what the check said, or fails by its numbers.
    #[test]
    fn what_is_well_typed_goes_well(expression in expressions()) {
        let mut faults = Vec::new();
        let said = check(&expression, &Machine::new(), &mut faults);
        let worth = evaluate(&expression, &Machine::new());
        if !faults.is_empty() {
            // About one in seven is well typed; the others only have to end.
            return Ok(());
        }
        match worth {
            Ok(value) => {
                let is = value.type_of();
                prop_assert!(is.fits(&said) || said.fits(&is), "said {said}, and {value} is {is}");
            }
            Err(fault) => prop_assert!(
                matches!(
                    fault.kind,
                    FaultKind::Overflow
                        | FaultKind::NotACpu(_)
                        | FaultKind::DivisionByZero
                        | FaultKind::EmptyRange(_)
                        | FaultKind::Arguments(..)
                ) || says_unknown(&expression),
                "{fault:?}"
            ),
        }
    }
}

/// Whether something of no one type is in it (a mixed list): of that the check says nothing.
fn says_unknown(expression: &Expression) -> bool {
    let is_unknown = |of: &Expression| {
        let of = check(of, &Machine::new(), &mut Vec::new());
        format!("{of:?}").contains("Unknown")
    };
    let parts: Vec<&Expression> = match &expression.node {
        Node::Value(_) | Node::Name(_) => Vec::new(),
        Node::Call(_, parts) | Node::List(parts) => parts.iter().collect(),
        Node::Unary(_, operand) => vec![operand],
        Node::Binary(_, left, right) => vec![left, right],
        Node::Range(start, end) => start.iter().chain(end).map(|part| &**part).collect(),
    };
    is_unknown(expression) || parts.into_iter().any(says_unknown)
}
