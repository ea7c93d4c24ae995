//! The parameters of a profile and its ancestors.

use std::collections::BTreeMap;

use super::conflict::{Candidate, Winner, winner};
use super::library::Family;
use crate::diagnostic::{Diagnostic, Span, codes};
use crate::expression::{Expression, Fault, Names, Scope, Type, Value, evaluate, is_in};
use crate::facts;
use crate::script::{Parameter, Priority};

/// What parameters are given, by name.
pub type Arguments = BTreeMap<String, Value>;

/// The parameters that a family has, and their types.
#[derive(Clone, Debug, Default)]
pub struct Declared(Vec<(String, Type)>);

impl Declared {
    /// Those of a profile and its ancestors.
    pub fn of(family: &Family<'_>) -> Self {
        let all = family.members.iter().flat_map(|member| &member.parameters);
        let typed = |parameter: &Parameter| {
            parameter.of.clone().map(|of| (parameter.name.text.clone(), of))
        };
        Self(all.filter_map(typed).collect())
    }

    /// The type of one.
    pub fn get(&self, name: &str) -> Option<&Type> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, of)| of)
    }
}

impl Names for Declared {
    fn type_of(&self, path: &[String]) -> Option<Type> {
        if let [name] = path
            && let Some(of) = self.get(name)
        {
            return Some(of.clone());
        }
        facts::named(path).map(|fact| fact.of.clone())
    }

    fn nearest(&self, path: &[String]) -> Option<String> {
        let names = facts::ALL.iter().map(|fact| fact.name);
        let parameters = self.0.iter().map(|(name, _)| name.as_str());
        notation::closest(&path.join("."), names.chain(parameters)).map(str::to_owned)
    }
}

/// What all members of a family say of one parameter.
struct Said<'a> {
    of: Option<Type>,
    /// Where it was declared first.
    place: Span,
    said: Vec<(usize, &'a Parameter)>,
}

/// The value of each parameter: what is given, or else its default, the nearest one's.
///
/// Those whose default rests on a fact that is not known are left out. What is wrong goes to
/// `diagnostics`: parameters nobody has, values out of their ranges, parents that disagree.
pub fn parameters(
    family: &Family<'_>,
    given: &Arguments,
    scope: &dyn Scope,
    diagnostics: &mut Vec<Diagnostic>,
) -> Arguments {
    let mut declared: BTreeMap<&str, Said<'_>> = BTreeMap::new();
    // From the ancestors down, so that a type is known before it is used.
    for (member, profile) in family.members.iter().enumerate().rev() {
        for parameter in &profile.parameters {
            let known = declared.entry(&parameter.name.text).or_insert(Said {
                of: None,
                place: parameter.name.span,
                said: Vec::new(),
            });
            known.said.push((member, parameter));
            match (&known.of, &parameter.of) {
                (None, Some(of)) => known.of = Some(of.clone()),
                (Some(known_type), Some(of)) if known_type != of => {
                    let message = format!(
                        "parameter `{}` is {known_type} elsewhere, and {of} here",
                        parameter.name.text
                    );
                    diagnostics.push(
                        Diagnostic::error(codes::PARAMETER, parameter.name.span, message)
                            .related(known.place, "declared here"),
                    );
                }
                _ => {}
            }
        }
    }
    for (name, parameter) in declared.iter().filter(|(_, known)| known.of.is_none()) {
        let message = format!("parameter `{name}` has no type, and no parent has it");
        diagnostics.push(
            Diagnostic::error(codes::PARAMETER, parameter.place, message)
                .help(format!("give it one: `param {name}: bytes = …`")),
        );
    }
    let mut values = Arguments::new();
    for (name, known) in &declared {
        if let Some(value) = value(family, name, known, given.get(*name), scope, diagnostics) {
            values.insert((*name).to_owned(), value);
        }
    }
    if let Some(profile) = family.members.first() {
        for name in given.keys().filter(|name| !declared.contains_key(name.as_str())) {
            let message = format!("profile `{}` has no parameter `{name}`", profile.name.text);
            let told = Diagnostic::error(codes::PARAMETER, profile.name.span, message);
            let nearest = notation::closest(name, declared.keys().copied());
            diagnostics.push(match nearest {
                Some(nearest) => told.help(format!("did you mean `{nearest}`?")),
                None => told,
            });
        }
    }
    values
}

fn value(
    family: &Family<'_>,
    name: &str,
    known: &Said<'_>,
    given: Option<&Value>,
    scope: &dyn Scope,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Value> {
    let mut worth = |expression: &Expression| match evaluate(expression, scope) {
        Ok(value) => Some(value),
        Err(fault) if fault.is_ignorance() => None,
        Err(fault) => {
            diagnostics.push(Fault::diagnostic(&fault));
            None
        }
    };
    let defaults: Vec<Candidate<(Value, Span)>> = known
        .said
        .iter()
        .filter_map(|(member, parameter)| {
            let default = parameter.default.as_ref()?;
            let value = (worth(default)?, default.span);
            Some(Candidate { member: *member, priority: Priority::Plain, value })
        })
        .collect();
    let ranges: Vec<(Value, Span)> = known
        .said
        .iter()
        .filter_map(|(_, parameter)| {
            let allowed = parameter.allowed.as_ref()?;
            Some((worth(allowed)?, allowed.span))
        })
        .collect();
    let (value, span) = match (given, winner(family, &defaults, |a, b| a.0 == b.0)) {
        (Some(value), _) => (value.clone(), known.place),
        (None, Some(Winner::Agreed(agreed))) => agreed.first()?.value.clone(),
        (None, Some(Winner::Conflict(one, other))) => {
            // In the order of the file, so that it does not matter how parents are listed.
            let (one, other) =
                if other.value.1 < one.value.1 { (other, one) } else { (one, other) };
            let message = format!(
                "parameter `{name}` is {} by one parent, and {} by another",
                one.value.0, other.value.0
            );
            diagnostics.push(
                Diagnostic::error(codes::CONFLICT, one.value.1, message)
                    .related(other.value.1, "the other")
                    .help(format!("decide: `param {name} = …`")),
            );
            return None;
        }
        (None, None) => {
            // A default that rests on what is not known is no fault; none at all is.
            if known.said.iter().all(|(_, parameter)| parameter.default.is_none()) {
                let message = format!("parameter `{name}` has no value");
                diagnostics.push(
                    Diagnostic::error(codes::PARAMETER, known.place, message)
                        .help(format!("give one, `--param {name}=…`, or a default")),
                );
            }
            return None;
        }
    };
    let of = known.of.as_ref()?;
    if !value.type_of().fits(of) {
        let message = format!("parameter `{name}` is {of}, and {value} is {}", value.type_of());
        diagnostics.push(Diagnostic::error(codes::TYPE, span, message));
        return None;
    }
    // Each range holds: a child can narrow its parents', not widen them.
    for (allowed, place) in &ranges {
        if is_in(&value, allowed) != Some(true) {
            let message = format!("parameter `{name}` is {value}, which is not in {allowed}");
            diagnostics.push(
                Diagnostic::error(codes::PARAMETER, span, message).related(*place, "allowed here"),
            );
            return None;
        }
    }
    Some(value)
}
