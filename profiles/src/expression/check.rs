//! What can be said of an expression without a machine.

use super::arithmetic;
use super::fault::{Fault, FaultKind};
use super::types::Type;
use super::{Expression, Node};
use crate::syntax::ast::UnaryOperator;

/// The names that are known where an expression stands.
pub trait Names {
    /// The type of a parameter, fact or setting.
    fn type_of(&self, path: &[String]) -> Option<Type>;

    /// The known name that a wrong one most likely means.
    fn nearest(&self, path: &[String]) -> Option<String>;
}

/// The type of an expression. What is wrong with it goes to `faults`. A name without dots that is not
/// known is a word: which ones there are, only who wants the value can say.
pub fn check(expression: &Expression, names: &dyn Names, faults: &mut Vec<Fault>) -> Type {
    let span = expression.span;
    match &expression.node {
        Node::Value(value) => value.type_of(),
        Node::Name(path) => match names.type_of(path) {
            Some(known) => known,
            None if path.len() == 1 => Type::Word,
            None => {
                let kind = FaultKind::NoSuchName(path.join("."), names.nearest(path));
                faults.push(Fault::new(span, kind));
                Type::Unknown
            }
        },
        Node::Call(function, arguments) => {
            let types: Vec<_> =
                arguments.iter().map(|argument| check(argument, names, faults)).collect();
            function.result(&types).unwrap_or_else(|kind| {
                faults.push(Fault::new(span, kind));
                Type::Unknown
            })
        }
        Node::List(elements) => {
            let types: Vec<_> = elements.iter().map(|each| check(each, names, faults)).collect();
            Type::List(Box::new(Type::common(types.into_iter())))
        }
        Node::Unary(operator, operand) => {
            let found = check(operand, names, faults);
            let (fits, wanted) = match operator {
                UnaryOperator::Not => (found.fits(&Type::Flag), Type::Flag),
                UnaryOperator::Negate => (
                    matches!(found, Type::Number | Type::Quantity(_) | Type::Unknown),
                    Type::Number,
                ),
            };
            if fits {
                return found;
            }
            faults.push(Fault::new(operand.span, FaultKind::Wanted { wanted, found }));
            Type::Unknown
        }
        Node::Binary(operator, left, right) => {
            let (left, right) = (check(left, names, faults), check(right, names, faults));
            arithmetic::result(*operator, &left, &right).unwrap_or_else(|| {
                let kind = FaultKind::Operation(*operator, left, right);
                faults.push(Fault::new(span, kind));
                Type::Unknown
            })
        }
        Node::Range(start, end) => {
            let types: Vec<_> =
                start.iter().chain(end).map(|part| check(part, names, faults)).collect();
            if let [start, end] = types.as_slice()
                && !start.fits(end)
                && !end.fits(start)
            {
                let kind = FaultKind::Wanted { wanted: start.clone(), found: end.clone() };
                faults.push(Fault::new(span, kind));
                return Type::Unknown;
            }
            Type::Range(Box::new(Type::common(types.into_iter())))
        }
    }
}
