//! Where the expressions of a profile are evaluated.

use crate::composition::{Arguments, Declared, Family};
use crate::expression::{Expression, Fault, Found, Scope, Type, Value, evaluate};
use crate::facts::Facts;
use crate::script::Condition;

/// Parameters over facts.
#[derive(Clone, Debug)]
pub struct Environment<'a> {
    facts: &'a Facts,
    parameters: Arguments,
    /// Those that exist, with or without a value.
    declared: Declared,
}

impl<'a> Environment<'a> {
    /// The facts alone.
    pub fn of(facts: &'a Facts) -> Self {
        Self { facts, parameters: Arguments::new(), declared: Declared::default() }
    }

    /// With the parameters of a family.
    pub fn with_parameters(mut self, family: &Family<'_>, parameters: Arguments) -> Self {
        self.declared = Declared::of(family);
        self.parameters = parameters;
        self
    }

    /// The machine.
    pub fn facts(&self) -> &'a Facts {
        self.facts
    }

    /// Whether all conditions hold. One that does not decides, whatever is not known of the others.
    pub fn all_hold(&self, conditions: &[Condition]) -> Result<bool, Fault> {
        let mut unknown = None;
        for condition in conditions {
            match evaluate(&condition.expression, self) {
                Ok(Value::Flag(holds)) if holds == condition.negated => return Ok(false),
                Ok(Value::Flag(_)) => {}
                Ok(other) => {
                    let kind = crate::expression::FaultKind::Wanted {
                        wanted: Type::Flag,
                        found: other.type_of(),
                    };
                    return Err(Fault::new(condition.expression.span, kind));
                }
                Err(fault) if fault.is_ignorance() => unknown = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        unknown.map_or(Ok(true), Err)
    }

    /// What the names in an expression are worth here, for a message.
    pub fn told(&self, expression: &Expression) -> String {
        let worth = |path: &[String]| match self.find(path) {
            Found::Value(value) => Some(format!("{} is {value}", path.join("."))),
            _ => None,
        };
        let mut told: Vec<String> =
            expression.names().into_iter().filter_map(|(path, _)| worth(path)).collect();
        told.dedup();
        told.join(", ")
    }
}

impl Scope for Environment<'_> {
    fn find(&self, path: &[String]) -> Found {
        if let [name] = path {
            if let Some(value) = self.parameters.get(name) {
                return Found::Value(value.clone());
            }
            if self.declared.get(name).is_some() {
                return Found::NotKnownHere;
            }
        }
        self.facts.find(path)
    }
}
