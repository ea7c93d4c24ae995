//! Expressions as meaning: what is left of the text when spelling is gone.
//!
//! An expression is [made](Expression::of) from the tree once, [checked](check) without a machine, and
//! [evaluated](evaluate) for one. Evaluation always ends: there are no loops and no recursion, and the
//! parser bounds how deep expressions are and how many operations they have.
//!
//! What can go wrong is data ([`Fault`]): numbers that get too large, a division by zero, and facts that
//! are not known where it is evaluated.

mod arithmetic;
mod check;
mod cpus;
mod evaluate;
mod fault;
mod function;
mod of_tree;
mod types;
mod value;

#[cfg(test)]
mod tests;

pub use arithmetic::is_in;
pub use check::{Names, check};
pub use cpus::Cpus;
pub use evaluate::{Found, Scope, evaluate};
pub use fault::{Fault, FaultKind};
pub use types::Type;
pub use value::Value;

use crate::diagnostic::Span;
use crate::syntax::ast::{BinaryOperator, UnaryOperator};
use function::Function;

/// An expression and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// Where it stands.
    pub span: Span,
    node: Node,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// Known already.
    Value(Value),
    /// `memory.total`: a parameter, a fact, a setting, or a word.
    Name(Vec<String>),
    Call(Function, Vec<Expression>),
    List(Vec<Expression>),
    Unary(UnaryOperator, Box<Expression>),
    Binary(BinaryOperator, Box<Expression>, Box<Expression>),
    /// Both ends belong to it.
    Range(Option<Box<Expression>>, Option<Box<Expression>>),
}

/// Every function: its name, and how it is called.
pub fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    function::ALL.iter().map(|(_, name, usage)| (*name, *usage))
}

impl Expression {
    /// A value that is known, as if it stood at `span`.
    pub fn value(span: Span, value: Value) -> Self {
        Self { span, node: Node::Value(value) }
    }

    /// The name, if it is one and nothing else.
    pub fn as_name(&self) -> Option<&[String]> {
        match &self.node {
            Node::Name(path) => Some(path),
            _ => None,
        }
    }

    /// The value, if it is known without a machine and without parameters.
    pub fn as_value(&self) -> Option<&Value> {
        match &self.node {
            Node::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The same comparison of a name below another: of `version >= 5.10` that of `kernel.version`.
    pub(crate) fn with_left_below(mut self, prefix: &str) -> Self {
        if let Node::Binary(_, left, _) = &mut self.node
            && let Node::Name(path) = &mut left.node
        {
            path.insert(0, prefix.to_owned());
        }
        self
    }

    /// A comparison of its left side with something else; none where it is no operation.
    pub(crate) fn with_right(&self, operator: BinaryOperator, right: Self) -> Option<Self> {
        match &self.node {
            Node::Binary(_, left, _) => {
                let span = right.span;
                Some(Self { span, node: Node::Binary(operator, left.clone(), Box::new(right)) })
            }
            _ => None,
        }
    }

    /// Every name in it, with its place.
    pub fn names(&self) -> Vec<(&[String], Span)> {
        let mut names = Vec::new();
        let mut rest = vec![self];
        while let Some(expression) = rest.pop() {
            match &expression.node {
                Node::Value(_) => {}
                Node::Name(path) => names.push((path.as_slice(), expression.span)),
                Node::Call(_, parts) | Node::List(parts) => rest.extend(parts.iter().rev()),
                Node::Unary(_, operand) => rest.push(operand),
                Node::Binary(_, left, right) => rest.extend([&**right, &**left]),
                Node::Range(start, end) => rest.extend(end.iter().chain(start).map(|part| &**part)),
            }
        }
        names
    }
}
