//! Policies with their times worked out.

use std::time::Duration;

use crate::diagnostic::{Diagnostic, Sources, codes};
use crate::expression::{Expression, Fault, Found, Scope, Value, evaluate};
use crate::script::{Policy, Rule, Target};
use crate::syntax::literal::Dimension;

/// A policy that can be run.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What runs while no rule does.
    pub default: Option<Target>,
    /// In order: the first that is due counts.
    pub rules: Vec<CompiledRule>,
}

/// A rule that can be run.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// The condition.
    pub when: Expression,
    /// For how long it has to hold.
    pub hold: Duration,
    /// When it is over.
    pub until: Option<Expression>,
    /// For how long that has to hold.
    pub until_hold: Duration,
    /// How long to stay at least.
    pub dwell: Duration,
    /// How long it is not entered again.
    pub cooldown: Duration,
    /// To what.
    pub target: Target,
    /// The condition as it stands in the script.
    pub told: String,
}

/// Times are constants: they rest on no fact.
struct Constants;

impl Scope for Constants {
    fn find(&self, _: &[String]) -> Found {
        Found::NotKnownHere
    }
}

/// Works out a policy's times. Rules with wrong ones are left out, and told.
pub fn compile(policy: &Policy, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> Compiled {
    let rules = policy.rules.iter().filter_map(|rule| compiled(rule, sources, diagnostics));
    Compiled { default: policy.default.clone(), rules: rules.collect() }
}

fn compiled(
    rule: &Rule,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<CompiledRule> {
    let mut time = |expression: &Option<Expression>| match expression {
        None => Some(Duration::ZERO),
        Some(expression) => duration(expression, diagnostics),
    };
    let (hold, cooldown, dwell) = (time(&rule.when.hold), time(&rule.cooldown), time(&rule.dwell));
    let until_hold = time(&rule.until.as_ref().and_then(|until| until.hold.clone()));
    let span = rule.when.condition.span;
    let text = sources.get(span.file).and_then(|source| source.text().get(span.range()));
    Some(CompiledRule {
        when: rule.when.condition.clone(),
        hold: hold?,
        until: rule.until.as_ref().map(|until| until.condition.clone()),
        until_hold: until_hold?,
        dwell: dwell?,
        cooldown: cooldown?,
        target: rule.target.clone(),
        told: text.unwrap_or("a condition").split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// What a constant expression says of time.
pub(crate) fn duration(
    expression: &Expression,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Duration> {
    match evaluate(expression, &Constants) {
        Ok(Value::Quantity(nanoseconds, Dimension::Time)) if nanoseconds >= 0 => {
            u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
        }
        Ok(other) => {
            let message = format!("expected a duration, and this is {other}");
            diagnostics.push(Diagnostic::error(codes::TYPE, expression.span, message));
            None
        }
        Err(fault) => {
            diagnostics.push(Fault::diagnostic(&fault));
            None
        }
    }
}
