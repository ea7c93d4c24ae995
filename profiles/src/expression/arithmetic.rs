//! What operators do, to types and to values.
//!
//! Both functions have the same rules: what [`result`] allows, [`apply`] does, but for numbers that get
//! too large and divisions by zero. A property test holds them together.

use std::cmp::Ordering;

use super::cpus::Cpus;
use super::fault::FaultKind;
use super::types::Type;
use super::value::Value;
use crate::syntax::ast::BinaryOperator;
use crate::syntax::literal::{Dimension, Number};

/// The type of an operation's result; none where it is not there for these types.
pub fn result(operator: BinaryOperator, left: &Type, right: &Type) -> Option<Type> {
    use BinaryOperator as Op;
    use Type as T;

    let either_fits = left.fits(right) || right.fits(left);
    let unknown = matches!(left, T::Unknown) || matches!(right, T::Unknown);
    match operator {
        Op::Or | Op::And => (left.fits(&T::Flag) && right.fits(&T::Flag)).then_some(T::Flag),
        Op::Equal | Op::NotEqual => either_fits.then_some(T::Flag),
        Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => {
            ordered(left, right).then_some(T::Flag)
        }
        Op::In | Op::NotIn => contains(left, right).then_some(T::Flag),
        _ if unknown => Some(T::Unknown),
        Op::Add | Op::Subtract => match (left, right) {
            (T::Number, T::Number) => Some(T::Number),
            (T::Quantity(left), T::Quantity(right)) if left == right => Some(T::Quantity(*left)),
            (T::Cpus, T::Cpus | T::Number) | (T::Number, T::Cpus) => Some(T::Cpus),
            (T::List(_), T::List(_)) if either_fits && operator == Op::Add => Some(left.clone()),
            _ => None,
        },
        Op::Multiply => match (left, right) {
            (T::Number, T::Number | T::Decimal) | (T::Decimal, T::Number) => Some(T::Number),
            (T::Quantity(of), T::Quantity(Dimension::Share)) => Some(T::Quantity(*of)),
            (T::Quantity(of), T::Number | T::Decimal)
            | (T::Number | T::Decimal | T::Quantity(Dimension::Share), T::Quantity(of)) => {
                Some(T::Quantity(*of))
            }
            _ => None,
        },
        Op::Divide => match (left, right) {
            (T::Number, T::Number | T::Decimal) => Some(T::Number),
            (T::Quantity(left), T::Quantity(right)) if left == right => Some(T::Number),
            (T::Quantity(of), T::Number | T::Decimal) => Some(T::Quantity(*of)),
            _ => None,
        },
        Op::Intersect => (left.fits(&T::Cpus) && right.fits(&T::Cpus)).then_some(T::Cpus),
    }
}

fn ordered(left: &Type, right: &Type) -> bool {
    use Type as T;
    match (left, right) {
        (T::Unknown, _) | (_, T::Unknown) => true,
        (T::Number | T::Decimal, T::Number | T::Decimal) => true,
        (T::Version | T::Decimal, T::Version | T::Decimal) => true,
        (T::Quantity(left), T::Quantity(right)) => left == right,
        (T::TimeOfDay, T::TimeOfDay) => true,
        _ => false,
    }
}

fn contains(left: &Type, right: &Type) -> bool {
    match right {
        Type::Unknown => true,
        Type::Cpus => left.fits(&Type::Cpus),
        Type::List(of) => left.fits(of) || of.fits(left),
        Type::Range(of) => ordered(left, of),
        _ => false,
    }
}

/// What an operation gives.
pub fn apply(operator: BinaryOperator, left: &Value, right: &Value) -> Result<Value, FaultKind> {
    use BinaryOperator as Op;

    let mismatch = || FaultKind::Operation(operator, left.type_of(), right.type_of());
    let ordering = || compare(left, right).ok_or_else(mismatch);
    match operator {
        Op::Or | Op::And => match (left, right) {
            (Value::Flag(left), Value::Flag(right)) => Ok(Value::Flag(match operator {
                Op::Or => *left || *right,
                _ => *left && *right,
            })),
            _ => Err(mismatch()),
        },
        Op::Equal => equal(left, right).map(Value::Flag).ok_or_else(mismatch),
        Op::NotEqual => equal(left, right).map(|same| Value::Flag(!same)).ok_or_else(mismatch),
        Op::Less => Ok(Value::Flag(ordering()?.is_lt())),
        Op::LessOrEqual => Ok(Value::Flag(ordering()?.is_le())),
        Op::Greater => Ok(Value::Flag(ordering()?.is_gt())),
        Op::GreaterOrEqual => Ok(Value::Flag(ordering()?.is_ge())),
        Op::In => is_in(left, right).map(Value::Flag).ok_or_else(mismatch),
        Op::NotIn => is_in(left, right).map(|is| Value::Flag(!is)).ok_or_else(mismatch),
        Op::Add | Op::Subtract => add(operator, left, right),
        Op::Multiply => multiply(left, right).unwrap_or_else(|| Err(mismatch())),
        Op::Divide => divide(left, right).unwrap_or_else(|| Err(mismatch())),
        Op::Intersect => {
            let (left, right) = both_cpus(operator, left, right)?;
            Ok(Value::Cpus(left.intersection(&right)))
        }
    }
}

fn both_cpus(
    operator: BinaryOperator,
    left: &Value,
    right: &Value,
) -> Result<(Cpus, Cpus), FaultKind> {
    let mismatch = || FaultKind::Operation(operator, left.type_of(), right.type_of());
    let cpus = |value: &Value| match value {
        Value::Cpus(_) | Value::Number(_) => value.to_cpus(),
        _ => Err(mismatch()),
    };
    Ok((cpus(left)?, cpus(right)?))
}

fn add(operator: BinaryOperator, left: &Value, right: &Value) -> Result<Value, FaultKind> {
    let adds = operator == BinaryOperator::Add;
    let sum = |left: i128, right: i128| {
        let sum = if adds { left.checked_add(right) } else { left.checked_sub(right) };
        sum.ok_or(FaultKind::Overflow)
    };
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => sum(*left, *right).map(Value::Number),
        (Value::Quantity(left, of), Value::Quantity(right, other)) if of == other => {
            sum(*left, *right).map(|amount| Value::Quantity(amount, *of))
        }
        (Value::List(left), Value::List(right)) if adds => {
            Ok(Value::List(left.iter().chain(right).cloned().collect()))
        }
        (Value::Cpus(_), _) | (_, Value::Cpus(_)) => {
            let (left, right) = both_cpus(operator, left, right)?;
            Ok(Value::Cpus(if adds { left.union(&right) } else { left.difference(&right) }))
        }
        _ => Err(FaultKind::Operation(operator, left.type_of(), right.type_of())),
    }
}

/// `amount` × `by` / `per`, towards zero.
fn scale(amount: i128, by: i128, per: i128) -> Result<i128, FaultKind> {
    let product = amount.checked_mul(by).ok_or(FaultKind::Overflow)?;
    product.checked_div(per).ok_or(FaultKind::DivisionByZero)
}

/// A decimal as a fraction.
fn fraction(number: &Number) -> Result<(i128, i128), FaultKind> {
    let per = 10_i128.checked_pow(u32::from(number.scale)).ok_or(FaultKind::Overflow)?;
    Ok((number.digits.into(), per))
}

/// A whole of a share: 100 %.
const WHOLE: i128 = 1_000_000;

fn multiply(left: &Value, right: &Value) -> Option<Result<Value, FaultKind>> {
    use Value as V;
    let product = |left: i128, right| left.checked_mul(right).ok_or(FaultKind::Overflow);
    Some(match (left, right) {
        (V::Number(left), V::Number(right)) => product(*left, *right).map(V::Number),
        (V::Quantity(amount, of), V::Quantity(share, Dimension::Share))
        | (V::Quantity(share, Dimension::Share), V::Quantity(amount, of)) => {
            scale(*amount, *share, WHOLE).map(|amount| V::Quantity(amount, *of))
        }
        (V::Quantity(amount, of), V::Number(by)) | (V::Number(by), V::Quantity(amount, of)) => {
            product(*amount, *by).map(|amount| V::Quantity(amount, *of))
        }
        (V::Number(number), V::Decimal(by, _)) | (V::Decimal(by, _), V::Number(number)) => {
            fraction(by).and_then(|(by, per)| scale(*number, by, per)).map(V::Number)
        }
        (V::Quantity(amount, of), V::Decimal(by, _))
        | (V::Decimal(by, _), V::Quantity(amount, of)) => fraction(by)
            .and_then(|(by, per)| scale(*amount, by, per))
            .map(|amount| V::Quantity(amount, *of)),
        _ => return None,
    })
}

fn divide(left: &Value, right: &Value) -> Option<Result<Value, FaultKind>> {
    use Value as V;
    Some(match (left, right) {
        (V::Number(left), V::Number(right)) => scale(*left, 1, *right).map(V::Number),
        (V::Quantity(left, of), V::Quantity(right, other)) if of == other => {
            scale(*left, 1, *right).map(V::Number)
        }
        (V::Quantity(amount, of), V::Number(by)) => {
            scale(*amount, 1, *by).map(|amount| V::Quantity(amount, *of))
        }
        (V::Number(number), V::Decimal(by, _)) => {
            fraction(by).and_then(|(by, per)| scale(*number, per, by)).map(V::Number)
        }
        (V::Quantity(amount, of), V::Decimal(by, _)) => fraction(by)
            .and_then(|(by, per)| scale(*amount, per, by))
            .map(|amount| V::Quantity(amount, *of)),
        _ => return None,
    })
}

/// How two values lie to each other; none where they do not.
pub fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    use Value as V;
    match (left, right) {
        (V::Number(left), V::Number(right)) => Some(left.cmp(right)),
        (V::Quantity(left, of), V::Quantity(right, other)) if of == other => Some(left.cmp(right)),
        (V::TimeOfDay(left), V::TimeOfDay(right)) => Some(left.cmp(right)),
        (V::Number(left), V::Decimal(right, _)) => {
            let (right, per) = fraction(right).ok()?;
            Some(left.checked_mul(per)?.cmp(&right))
        }
        (V::Decimal(..), V::Number(_)) => compare(right, left).map(Ordering::reverse),
        // Of a version that leaves its last number out, all are meant: 6.12.3 is not above 6.12.
        _ => {
            let (left, right) = (left.version()?, right.version()?);
            let both = left.patch.and(right.patch).is_some();
            let of = |version: crate::syntax::literal::Version| {
                (version.major, version.minor, version.patch.filter(|_| both))
            };
            Some(of(left).cmp(&of(right)))
        }
    }
}

fn equal(left: &Value, right: &Value) -> Option<bool> {
    if let Some(ordering) = compare(left, right) {
        return Some(ordering.is_eq());
    }
    match (left, right) {
        // A number that no CPU has is none of them.
        (Value::Cpus(_), Value::Number(_)) | (Value::Number(_), Value::Cpus(_)) => {
            Some(left.to_cpus().is_ok_and(|left| Ok(left) == right.to_cpus()))
        }
        _ if left.type_of().fits(&right.type_of()) || right.type_of().fits(&left.type_of()) => {
            Some(left == right)
        }
        _ => None,
    }
}

/// Whether a value is one of a list, lies in a range, or is within a set of CPUs. A range of times of
/// day that runs backwards goes over midnight.
pub fn is_in(value: &Value, within: &Value) -> Option<bool> {
    match within {
        Value::List(values) => {
            let is = |each: &Value| match each {
                Value::Range(..) => is_in(value, each),
                each => equal(value, each),
            };
            // What cannot be compared is not it, but somebody has to be comparable.
            let found: Vec<_> = values.iter().filter_map(is).collect();
            (values.is_empty() || !found.is_empty()).then(|| found.contains(&true))
        }
        Value::Range(start, end) => {
            let behind = start.as_ref().map(|start| compare(value, start));
            let before = end.as_ref().map(|end| compare(value, end));
            let behind = behind.map_or(Some(true), |ordering| ordering.map(Ordering::is_ge))?;
            let before = before.map_or(Some(true), |ordering| ordering.map(Ordering::is_le))?;
            match (start.as_deref(), end.as_deref()) {
                (Some(Value::TimeOfDay(start)), Some(Value::TimeOfDay(end))) if start > end => {
                    Some(behind || before)
                }
                _ => Some(behind && before),
            }
        }
        Value::Cpus(cpus) => match value {
            Value::Cpus(_) | Value::Number(_) => {
                Some(value.to_cpus().is_ok_and(|value| value.is_subset(cpus)))
            }
            _ => None,
        },
        _ => None,
    }
}
