//! What can go wrong with an expression.

use super::types::Type;
use crate::diagnostic::{Diagnostic, Span, codes};
use crate::syntax::ast::BinaryOperator;

/// A fault and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: FaultKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The fact exists, and is not known here: without a machine, most are not.
    NotKnownHere(String),
    /// There is no parameter, fact or setting of that name; perhaps this one is meant.
    NoSuchName(String, Option<String>),
    /// The operation is not there for these types.
    Operation(BinaryOperator, Type, Type),
    /// Something of another type is needed.
    Wanted {
        /// The type that is needed.
        wanted: Type,
        /// The type that is there.
        found: Type,
    },
    /// The number is beyond 128 bits, or a share or decimal cannot be told exactly.
    Overflow,
    /// The number stands where CPUs do, and no CPU has such a number.
    NotACpu(i128),
    /// Something is divided by nothing.
    DivisionByZero,
    /// The range holds nothing.
    EmptyRange(String),
    /// There is no function of that name; perhaps this one is meant.
    NoSuchFunction(String, Option<&'static str>),
    /// The function takes other arguments.
    Arguments(&'static str, &'static str),
}

impl Fault {
    /// A fault at a place.
    pub fn new(span: Span, kind: FaultKind) -> Self {
        Self { span, kind }
    }

    /// Whether it is only that a fact is not known here.
    pub fn is_ignorance(&self) -> bool {
        matches!(self.kind, FaultKind::NotKnownHere(_))
    }

    /// As it is told to the operator.
    pub fn diagnostic(&self) -> Diagnostic {
        let error = |code, message: String| Diagnostic::error(code, self.span, message);
        match &self.kind {
            FaultKind::NotKnownHere(fact) => {
                error(codes::FACT_NOT_KNOWN, format!("`{fact}` is not known without the machine"))
                    .help("look at the machine itself, or say more of it on the command line")
            }
            FaultKind::NoSuchName(name, nearest) => {
                let told = error(codes::UNKNOWN_NAME, format!("there is no `{name}`"));
                match nearest {
                    Some(nearest) => {
                        let help = format!("did you mean `{nearest}`?");
                        told.fix(help, self.span, nearest.clone())
                    }
                    None => told.help("parameters, facts and settings have names here"),
                }
            }
            FaultKind::Operation(operator, left, right) => {
                let sign = sign(*operator);
                error(codes::TYPE, format!("`{sign}` is not there for {left} and {right}"))
            }
            FaultKind::Wanted { wanted, found } => {
                error(codes::TYPE, format!("expected {wanted}, and this is {found}"))
            }
            FaultKind::Overflow => error(codes::OVERFLOW, "the number gets too large".to_owned()),
            FaultKind::NotACpu(number) => {
                error(codes::NOT_A_CPU, format!("{number} is not the number of a CPU"))
            }
            FaultKind::DivisionByZero => {
                error(codes::DIVISION_BY_ZERO, "this divides by zero".to_owned())
            }
            FaultKind::EmptyRange(range) => {
                error(codes::EMPTY_RANGE, format!("nothing lies in {range}"))
                    .help("the lower end stands first")
            }
            FaultKind::NoSuchFunction(name, nearest) => {
                let told = error(codes::UNKNOWN_FUNCTION, format!("there is no function `{name}`"));
                match nearest {
                    Some(nearest) => told.help(format!("did you mean `{nearest}`?")),
                    None => told.help(format!("there are {}", super::function::all())),
                }
            }
            FaultKind::Arguments(name, usage) => {
                error(codes::ARGUMENTS, format!("`{name}` takes other arguments"))
                    .help(format!("it is called {usage}"))
            }
        }
    }
}

fn sign(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "or",
        BinaryOperator::And => "and",
        BinaryOperator::In => "in",
        BinaryOperator::NotIn => "not in",
        BinaryOperator::Equal => "==",
        BinaryOperator::NotEqual => "!=",
        BinaryOperator::Less => "<",
        BinaryOperator::LessOrEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterOrEqual => ">=",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Intersect => "&",
    }
}
