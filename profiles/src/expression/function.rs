//! The functions that expressions can call.

use std::cmp::Ordering;

use super::arithmetic::compare;
use super::cpus::Cpus;
use super::fault::FaultKind;
use super::types::Type;
use super::value::Value;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Min,
    Max,
    Count,
    First,
    Align,
    PowerOfTwo,
    StartsWith,
    Exists,
    Active,
}

/// Each with its name and how it is called.
pub(super) const ALL: &[(Function, &str, &str)] = &[
    (Function::Min, "min", "min(a, b, …), with values of one type"),
    (Function::Max, "max", "max(a, b, …), with values of one type"),
    (Function::Count, "count", "count(cpus)"),
    (Function::First, "first", "first(how many, cpus)"),
    (Function::Align, "align", "align(value, to): the largest multiple of `to` within value"),
    (Function::PowerOfTwo, "power_of_two", "power_of_two(value): the largest one within value"),
    (Function::StartsWith, "starts_with", "starts_with(text, beginning)"),
    (Function::Exists, "exists", "exists(\"/path\"): whether there is such a file"),
    (Function::Active, "active", "active(\"name.service\"): whether that unit of systemd runs"),
];

/// The names of all, for a message.
pub fn all() -> String {
    Function::names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Function {
    /// The function of a name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, known, _)| *known == name).map(|(function, ..)| *function)
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(_, name, _)| *name)
    }

    /// What to ask the machine, where the answer is not in the arguments.
    pub fn question(self, arguments: &[Value]) -> Option<Result<[String; 2], FaultKind>> {
        let (Self::Exists | Self::Active) = self else { return None };
        let (_, name, _) = ALL.iter().find(|(function, ..)| *function == self)?;
        Some(match arguments {
            [Value::Text(text)] => Ok([(*name).to_owned(), text.clone()]),
            _ => Err(self.wrong()),
        })
    }

    fn wrong(self) -> FaultKind {
        let known = ALL.iter().find(|(function, ..)| *function == self);
        known.map_or(FaultKind::Overflow, |(_, name, usage)| FaultKind::Arguments(name, usage))
    }

    /// What it gives for arguments of these types.
    pub fn result(self, arguments: &[Type]) -> Result<Type, FaultKind> {
        let is_text = |of: &Type| matches!(of, Type::Text | Type::Word | Type::Unknown);
        let ordered = |of: &Type| {
            matches!(of, Type::Number | Type::Quantity(_) | Type::Version | Type::Unknown)
        };
        match (self, arguments) {
            (Self::Min | Self::Max, [first, rest @ ..])
                if ordered(first) && rest.iter().all(|next| next.fits(first)) =>
            {
                Ok(first.clone())
            }
            (Self::Count, [cpus]) if cpus.fits(&Type::Cpus) => Ok(Type::Number),
            (Self::First, [count, cpus]) if count.fits(&Type::Number) && cpus.fits(&Type::Cpus) => {
                Ok(Type::Cpus)
            }
            (Self::Align, [value, to])
                if matches!(value, Type::Number | Type::Quantity(_) | Type::Unknown)
                    && to.fits(value) =>
            {
                Ok(value.clone())
            }
            (Self::PowerOfTwo, [value @ (Type::Number | Type::Quantity(_) | Type::Unknown)]) => {
                Ok(value.clone())
            }
            (Self::StartsWith, [text, beginning]) if is_text(text) && is_text(beginning) => {
                Ok(Type::Flag)
            }
            (Self::Exists | Self::Active, [Type::Text | Type::Unknown]) => Ok(Type::Flag),
            _ => Err(self.wrong()),
        }
    }

    /// What it gives for these arguments.
    pub fn apply(self, arguments: &[Value]) -> Result<Value, FaultKind> {
        let wrong = || self.wrong();
        match (self, arguments) {
            (Self::Min, [first, rest @ ..]) => pick(first, rest, Ordering::Less).ok_or_else(wrong),
            (Self::Max, [first, rest @ ..]) => {
                pick(first, rest, Ordering::Greater).ok_or_else(wrong)
            }
            (Self::Count, [cpus]) => {
                let count = cpus.to_cpus()?.count();
                Ok(Value::Number(count as i128))
            }
            (Self::First, [Value::Number(count), cpus]) => {
                let count = usize::try_from(*count).map_err(|_| wrong())?;
                let cpus = cpus.to_cpus()?;
                Ok(Value::Cpus(cpus.iter().take(count).collect::<Cpus>()))
            }
            (Self::Align, [value, to]) => {
                if value.type_of() != to.type_of() {
                    return Err(wrong());
                }
                let to = to.amount().ok_or_else(wrong)?;
                with_amount(value, |amount| amount.checked_rem_euclid(to).map(|rest| amount - rest))
                    .ok_or_else(wrong)?
                    .ok_or(FaultKind::DivisionByZero)
            }
            (Self::PowerOfTwo, [value]) => with_amount(value, |amount| {
                let amount = u128::try_from(amount).ok().filter(|amount| *amount > 0)?;
                i128::try_from(1_u128 << amount.ilog2()).ok()
            })
            .ok_or_else(wrong)?
            .ok_or_else(wrong),
            (
                Self::StartsWith,
                [Value::Text(text) | Value::Word(text), Value::Text(start) | Value::Word(start)],
            ) => Ok(Value::Flag(text.starts_with(start.as_str()))),
            _ => Err(wrong()),
        }
    }
}

fn pick(first: &Value, rest: &[Value], wanted: Ordering) -> Option<Value> {
    let mut best = first;
    for next in rest {
        if compare(next, best)? == wanted {
            best = next;
        }
    }
    Some(best.clone())
}

/// The value with another amount; the outer `None` says that it has none.
fn with_amount(value: &Value, change: impl Fn(i128) -> Option<i128>) -> Option<Option<Value>> {
    match value {
        Value::Number(number) => Some(change(*number).map(Value::Number)),
        Value::Quantity(amount, of) => {
            Some(change(*amount).map(|amount| Value::Quantity(amount, *of)))
        }
        _ => None,
    }
}
