//! Policies and guards, out of the tree.

use super::of_tree::Reader;
use super::{Guard, Held, Policy, Rollback, Rule, Target};
use crate::syntax::ast;

impl Policy {
    pub(super) fn of(tree: &ast::Policy, reader: &mut Reader) -> Self {
        let mut policy = Self {
            name: reader.name(tree.name()),
            doc: tree.doc(),
            default: None,
            rules: Vec::new(),
        };
        for statement in tree.statements() {
            match statement {
                ast::PolicyStatement::PolicyDefault(tree) => {
                    policy.default = Target::of(tree.target(), reader).or(policy.default);
                }
                ast::PolicyStatement::Rule(tree) => policy.rules.extend(Rule::of(&tree, reader)),
            }
        }
        policy
    }
}

impl Target {
    fn of(tree: Option<ast::Target>, reader: &Reader) -> Option<Self> {
        let tree = tree?;
        Some(Self {
            kernel: reader.text(tree.kernel()),
            profile: reader.name_ref(tree.profile()),
            span: reader.span(&tree),
        })
    }
}

impl Rule {
    fn of(tree: &ast::Rule, reader: &mut Reader) -> Option<Self> {
        let condition = reader.expression(tree.condition());
        let until = tree.until().map(|until| {
            let whole = until.condition().map(|it| reader.expression(Some(it)));
            let part = until.partial().map(|partial| {
                let right = reader.expression(partial.right())?;
                // The left side is that of `when`; that it has one, the parser has checked.
                condition.as_ref()?.with_right(partial.operator()?, right)
            });
            let condition = whole.or(part)?;
            Some(Held { condition: condition?, hold: reader.expression(until.hold()) })
        });
        // An `until` that nobody understands is none to be left out.
        let until = match until {
            Some(None) => return None,
            Some(Some(until)) => Some(until),
            None => None,
        };
        Some(Self {
            doc: tree.doc(),
            when: Held { hold: reader.expression(tree.hold()), condition: condition? },
            until,
            cooldown: reader.expression(tree.cooldown()),
            dwell: reader.expression(tree.dwell()),
            target: Target::of(tree.target(), reader)?,
            span: reader.span(tree),
        })
    }
}

impl Guard {
    pub(super) fn of(tree: &ast::Guard, reader: &mut Reader) -> Option<Self> {
        let mut guard = Self {
            profile: reader.name_ref(tree.profile())?,
            doc: tree.doc(),
            confirm: None,
            rollbacks: Vec::new(),
        };
        for statement in tree.statements() {
            match statement {
                ast::GuardStatement::Confirm(tree) => {
                    guard.confirm = reader.expression(tree.within());
                }
                ast::GuardStatement::Rollback(tree) => {
                    let condition = reader.expression(tree.condition());
                    if condition.is_some() || tree.unreachable() {
                        let hold = reader.expression(tree.hold());
                        guard.rollbacks.push(Rollback {
                            condition,
                            hold,
                            span: reader.span(&tree),
                        });
                    }
                }
            }
        }
        Some(guard)
    }
}
