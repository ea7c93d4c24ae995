//! The tree that each construct gets.

use super::{TOUR, parsed, tree};
use crate::diagnostic::FileId;
use crate::syntax::ast::{self, AstNode, BinaryOperator, Expression, Statement, Value};
use crate::syntax::parse_expression;

#[test]
fn every_construct() {
    assert!(parsed(TOUR).is_ok(), "{}", super::told(TOUR));
    insta::assert_snapshot!(tree(TOUR));
}

/// An expression with every operation in parentheses.
fn grouped(text: &str) -> String {
    fn show(expression: &Expression) -> String {
        let part = |part: Option<Expression>| part.map_or(String::new(), |part| show(&part));
        match expression {
            Expression::Binary(node) => {
                let operator = node.operator().unwrap();
                format!("({} {operator:?} {})", part(node.left()), part(node.right()))
            }
            Expression::Unary(node) => {
                format!("({:?} {})", node.operator().unwrap(), part(node.operand()))
            }
            Expression::Range(node) => format!("({}..{})", part(node.start()), part(node.end())),
            Expression::Parenthesised(node) => part(node.expression()),
            other => other.syntax().text().to_string(),
        }
    }
    let parse = parse_expression(FileId::default(), text);
    assert!(parse.is_ok(), "{text}: {:#?}", parse.diagnostics());
    show(&parse.tree().expression().unwrap())
}

#[test]
fn operators_bind_as_they_should() {
    assert_eq!(
        grouped("a or b and c == d + e * f"),
        "(a Or (b And (c Equal (d Add (e Multiply f)))))"
    );
    assert_eq!(grouped("a - b - c"), "((a Subtract b) Subtract c)");
    assert_eq!(grouped("a - (b - c)"), "(a Subtract (b Subtract c))");
    assert_eq!(grouped("not a == b and c"), "((Not (a Equal b)) And c)");
    assert_eq!(grouped("-a * -3"), "((Negate a) Multiply (Negate 3))");
    assert_eq!(grouped("x in a + 1..b * 2"), "(x In ((a Add 1)..(b Multiply 2)))");
    assert_eq!(grouped("x not in [1, 2]"), "(x NotIn [1, 2])");
    assert_eq!(grouped("..5.13"), "(..5.13)");
    assert_eq!(grouped("6.6.."), "(6.6..)");
    assert_eq!(grouped("cpus - 2-3,6 & a"), "(cpus Subtract (2-3,6 Intersect a))");
    assert_eq!(grouped("[1,2-3,(4,5)]"), "[1,2-3,(4,5)]");
    assert_eq!(grouped("4GiB/swap"), "(4GiB Divide swap)");
    assert_eq!(grouped("a\n  + b"), "(a Add b)");
}

#[test]
fn lines_end_statements() {
    let text = "profile a {\n x = 1..\n y = 2\n if b { z = batch }\n w = a\n + b; v = 3\n}";
    let parse = parsed(text);
    assert!(parse.is_ok(), "{}", super::told(text));
    let profile = parse.tree().profiles().next().unwrap();
    assert_eq!(profile.statements().count(), 5);
}

#[test]
fn words_of_the_language_are_names_where_no_statement_fits() {
    let text = "profile a {\n kernel.sysrq = 1\n net.core.x = 2\n default = 3\n raw.to = 4\n kernel { y = 5 }\n}";
    let parse = parsed(text);
    assert!(parse.is_ok(), "{}", super::told(text));
    let profile = parse.tree().profiles().next().unwrap();
    let settings = profile.statements().filter(|it| matches!(it, Statement::Setting(_))).count();
    assert_eq!(settings, 4);
}

/// Each accessor finds its part in the tour.
#[test]
fn accessors_find_their_parts() {
    let tree = parsed(TOUR).tree();
    let profile = tree.profiles().next().unwrap();
    assert_eq!(
        profile.doc(),
        "PostgreSQL primary: short commits, steady write-back.\nCosts memory."
    );
    assert_eq!(profile.parents().map(|it| it.text()).collect::<Vec<_>>(), ["server", "base-line"]);
    let text = |node: Option<Expression>| node.unwrap().syntax().text().to_string();
    let mut seen = 0;
    for statement in profile.statements() {
        match statement {
            Statement::Parameter(it) if it.name().unwrap().text() == "dirty" => {
                assert_eq!(it.type_ref().unwrap().name().unwrap().text(), "bytes");
                assert_eq!(text(it.default()), "512MiB");
                assert_eq!(text(it.allowed()), "64MiB..4GiB");
                seen += 1;
            }
            Statement::KernelFilter(it) => {
                let operators: Vec<_> =
                    it.clauses().map(|it| it.comparison().unwrap().operator().unwrap()).collect();
                use BinaryOperator::{In, NotEqual};
                assert_eq!(operators, [In, In, NotEqual]);
                seen += 1;
            }
            Statement::Setting(it) if it.path().unwrap().to_string() == "vm.min_free" => {
                let modifiers = it.modifiers();
                assert_eq!((modifiers.priority, modifiers.required), (ast::Priority::Force, true));
                let Some(Value::Expression(Expression::Call(call))) = it.value() else { panic!() };
                assert_eq!(
                    (call.function().unwrap().text().as_str(), call.arguments().count()),
                    ("max", 2)
                );
                seen += 1;
            }
            Statement::Setting(it) if it.path().unwrap().names().contains(&"eth0.100".into()) => {
                assert_eq!(
                    it.path().unwrap().names(),
                    ["net", "ipv4", "conf", "eth0.100", "rp_filter"]
                );
                seen += 1;
            }
            Statement::Bound(it) if it.direction() == ast::Direction::Lower => {
                assert_eq!(it.value().unwrap().syntax().text(), "3ms");
                assert_eq!(text(it.condition().unwrap().expression()), "cpus.count > 64");
                seen += 1;
            }
            Statement::RawSetting(it) => {
                assert_eq!(it.file().unwrap().text().unwrap(), "/proc/sys/vm/unheard_of");
                assert_eq!(it.value().unwrap().syntax().text(), "\"1\"");
                seen += 1;
            }
            Statement::Waiver(it) => {
                assert_eq!(it.class().unwrap().text(), "security");
                assert_eq!(it.path().unwrap().to_string(), "mitigations");
                assert_eq!(it.reason().unwrap().text().unwrap(), "no foreign code runs here");
                seen += 1;
            }
            Statement::Group(it) if it.path().unwrap().is("cpus") => {
                let Some(Expression::CpuList(cpus)) = it.selectors().next() else { panic!() };
                assert_eq!(cpus.ranges().collect::<Vec<_>>(), [2..=3, 6..=6]);
                seen += 1;
            }
            Statement::Group(it) if it.path().unwrap().is("block") => {
                assert!((1..=2).contains(&it.selectors().count()));
                seen += 1;
            }
            Statement::Conditional(it) => {
                let branches: Vec<_> =
                    it.branches().map(|it| (it.is_else(), it.condition().is_some())).collect();
                assert_eq!(branches, [(false, true), (false, true), (true, false)]);
                seen += 1;
            }
            Statement::Workload(it) => {
                let body = it.body().unwrap();
                let mut statements = body.statements();
                let Some(Statement::Match(matched)) = statements.next() else { panic!() };
                assert_eq!(
                    (matched.kind().unwrap().text().as_str(), matched.patterns().count()),
                    ("exec", 2)
                );
                let Some(Statement::Start(start)) = statements.next() else { panic!() };
                assert_eq!(start.command().unwrap().elements().count(), 3);
                let words = statements.filter_map(|it| match it {
                    Statement::Setting(it) => match it.value()? {
                        Value::Words(words) => Some(words.items().count()),
                        _ => None,
                    },
                    _ => None,
                });
                assert_eq!(words.collect::<Vec<_>>(), [3, 2]);
                seen += 1;
            }
            _ => {}
        }
    }
    assert_eq!(seen, 12);
}

#[test]
fn accessors_of_policies_and_guards() {
    let tree = parsed(TOUR).tree();
    let text = |node: Option<Expression>| node.unwrap().syntax().text().to_string();
    let rules: Vec<ast::Rule> = tree
        .policies()
        .flat_map(|it| it.statements())
        .filter_map(|it| match it {
            ast::PolicyStatement::Rule(rule) => Some(rule),
            ast::PolicyStatement::PolicyDefault(_) => None,
        })
        .collect();
    assert_eq!(text(rules[0].hold()), "60s");
    assert_eq!(text(rules[0].cooldown()), "10min");
    let until = rules[0].until().unwrap();
    assert_eq!(until.partial().unwrap().operator(), Some(BinaryOperator::Less));
    assert_eq!(text(until.partial().unwrap().right()), "5%");
    assert_eq!(text(until.hold()), "120s");
    assert_eq!(text(rules[1].dwell()), "1min");
    let target = rules[1].target().unwrap();
    assert_eq!(target.kernel().unwrap().text().unwrap(), "rt");
    assert_eq!(target.profile().unwrap().text(), "trading");
    let guard = tree.guards().next().unwrap();
    assert_eq!(guard.profile().unwrap().text(), "oltp");
    let statements: Vec<_> = guard.statements().collect();
    let ast::GuardStatement::Confirm(confirm) = &statements[0] else { panic!() };
    assert_eq!(text(confirm.within()), "30s");
    let ast::GuardStatement::Rollback(rollback) = &statements[2] else { panic!() };
    assert!(rollback.unreachable());
    assert_eq!(text(rollback.hold()), "3s");
}

/// The scripts in the book's tour are right, and in canonical form.
#[test]
fn the_book_is_right() {
    let book = include_str!("../../../../docs/kernelscript.md");
    // What stands between fences without a language; commands have one.
    let fenced: Vec<&str> = book.split("\n```").skip(1).step_by(2).collect();
    let blocks = fenced.iter().filter_map(|block| block.strip_prefix('\n'));
    let blocks: Vec<String> = blocks.map(|block| format!("{block}\n")).collect();
    assert_eq!(blocks.len(), 6);
    for block in blocks.iter().filter(|block| !block.starts_with("error")) {
        let top = ["///", "policy"].into_iter().any(|word| block.starts_with(word));
        let script = if top { block.clone() } else { format!("profile a {{\n{block}}}\n") };
        let parse = parsed(&script);
        assert!(parse.is_ok(), "{}", super::told(&script));
        let canonical = crate::syntax::fmt::format(&parse).unwrap();
        let lines =
            |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&canonical), lines(&script));
    }
    let wrong = "profile oltp {\n    param dirty: bytes = 512MB\n}\n";
    let told = super::told(wrong).replace("test.ks", "oltp.ks");
    let shown = blocks.iter().find(|block| block.starts_with("error")).unwrap();
    assert!(told.starts_with(shown.as_str()), "{told}");
}
