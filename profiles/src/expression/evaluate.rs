//! What an expression is worth on one machine.

use super::arithmetic;
use super::fault::{Fault, FaultKind};
use super::types::Type;
use super::value::Value;
use super::{Expression, Node};
use crate::syntax::ast::{BinaryOperator, UnaryOperator};

/// What a name leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// This.
    Value(Value),
    /// There is such a fact, but it is not known here.
    NotKnownHere,
    /// There is no such name.
    Nothing,
}

/// Where an expression is evaluated.
pub trait Scope {
    /// What a name leads to. `exists` and `active` with a text behind ask whether there is such a
    /// file, and whether such a unit of systemd runs.
    fn find(&self, path: &[String]) -> Found;
}

/// What an expression is worth.
///
/// `and` and `or` are content with one side that decides where the other is not known.
///
/// # Errors
/// [`Fault`], of which [some](Fault::is_ignorance) say only that a fact is not known here.
pub fn evaluate(expression: &Expression, scope: &dyn Scope) -> Result<Value, Fault> {
    let fault = |kind| Fault::new(expression.span, kind);
    match &expression.node {
        Node::Value(value) => Ok(value.clone()),
        Node::Name(path) => match (scope.find(path), path.as_slice()) {
            (Found::Value(value), _) => Ok(value),
            (Found::Nothing, [word]) => Ok(Value::Word(word.clone())),
            (Found::NotKnownHere, _) => Err(fault(FaultKind::NotKnownHere(path.join(".")))),
            (Found::Nothing, _) => Err(fault(FaultKind::NoSuchName(path.join("."), None))),
        },
        Node::Call(function, arguments) => {
            let arguments = all(arguments, scope)?;
            let Some(question) = function.question(&arguments) else {
                return function.apply(&arguments).map_err(fault);
            };
            let question = question.map_err(fault)?;
            match scope.find(&question) {
                Found::Value(value) => Ok(value),
                _ => Err(fault(FaultKind::NotKnownHere(question.join(" ")))),
            }
        }
        Node::List(elements) => Ok(Value::List(all(elements, scope)?)),
        Node::Unary(operator, operand) => {
            let value = evaluate(operand, scope)?;
            match (operator, value) {
                (UnaryOperator::Not, Value::Flag(flag)) => Ok(Value::Flag(!flag)),
                (UnaryOperator::Negate, Value::Number(number)) => {
                    number.checked_neg().map(Value::Number).ok_or(fault(FaultKind::Overflow))
                }
                (UnaryOperator::Negate, Value::Quantity(amount, of)) => amount
                    .checked_neg()
                    .map(|amount| Value::Quantity(amount, of))
                    .ok_or(fault(FaultKind::Overflow)),
                (operator, value) => {
                    let wanted = match operator {
                        UnaryOperator::Not => Type::Flag,
                        UnaryOperator::Negate => Type::Number,
                    };
                    let kind = FaultKind::Wanted { wanted, found: value.type_of() };
                    Err(Fault::new(operand.span, kind))
                }
            }
        }
        Node::Binary(operator, left, right) => {
            let (left, right) = match decided(*operator, left, right, scope)? {
                Side::Decides(value) => return Ok(value),
                Side::Both(left, right) => (left, right),
            };
            arithmetic::apply(*operator, &left, &right).map_err(fault)
        }
        Node::Range(start, end) => {
            let side = |side: &Option<Box<Expression>>| {
                side.as_ref().map(|side| evaluate(side, scope).map(Box::new)).transpose()
            };
            let (start, end) = (side(start)?, side(end)?);
            let backwards = match (start.as_deref(), end.as_deref()) {
                // Over midnight.
                (Some(Value::TimeOfDay(_)), Some(Value::TimeOfDay(_))) => false,
                (Some(start), Some(end)) => {
                    arithmetic::compare(start, end).is_some_and(|ordering| ordering.is_gt())
                }
                _ => false,
            };
            let range = Value::Range(start, end);
            if backwards {
                return Err(fault(FaultKind::EmptyRange(range.to_string())));
            }
            Ok(range)
        }
    }
}

fn all(expressions: &[Expression], scope: &dyn Scope) -> Result<Vec<Value>, Fault> {
    expressions.iter().map(|expression| evaluate(expression, scope)).collect()
}

enum Side {
    Decides(Value),
    Both(Value, Value),
}

/// Both sides of an operation, unless one of them is enough.
fn decided(
    operator: BinaryOperator,
    left: &Expression,
    right: &Expression,
    scope: &dyn Scope,
) -> Result<Side, Fault> {
    let deciding = match operator {
        BinaryOperator::And => Value::Flag(false),
        BinaryOperator::Or => Value::Flag(true),
        _ => return Ok(Side::Both(evaluate(left, scope)?, evaluate(right, scope)?)),
    };
    let left = evaluate(left, scope);
    match left {
        Ok(value) if value == deciding => return Ok(Side::Decides(value)),
        Err(fault) if !fault.is_ignorance() => return Err(fault),
        _ => {}
    }
    let right = evaluate(right, scope)?;
    if right == deciding { Ok(Side::Decides(right)) } else { Ok(Side::Both(left?, right)) }
}
