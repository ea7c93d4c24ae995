//! Settings that go with others.

use std::collections::BTreeMap;

use super::{Goal, Resolution, Resolved};
use crate::catalogue::Couple;
use crate::diagnostic::{Diagnostic, codes};
use crate::expression::Value;

/// Tells what does not go together.
pub fn check(resolution: &mut Resolution<'_>) {
    let by_name: BTreeMap<&str, &Resolved<'_>> =
        resolution.settings.iter().map(|resolved| (resolved.name.as_str(), resolved)).collect();
    let mut told = Vec::new();
    for resolved in &resolution.settings {
        let Some(setting) = resolved.setting else { continue };
        // Devices have their own pairs.
        let device = resolved.name.strip_prefix(setting.name.as_str()).unwrap_or_default();
        for couple in &setting.couples {
            let other = format!("{}{device}", couple.other());
            if let Some(other) = by_name.get(other.as_str()) {
                told.extend(trouble(couple, resolved, other));
            }
        }
    }
    resolution.diagnostics.extend(told);
}

fn trouble(couple: &Couple, one: &Resolved<'_>, other: &Resolved<'_>) -> Option<Diagnostic> {
    let values = match (&one.goal, &other.goal) {
        (Goal::Exactly(one), Goal::Exactly(other)) => Some((one, other)),
        _ => None,
    };
    let amounts = values.and_then(|(one, other)| Some((one.amount()?, other.amount()?)));
    let (here, there) = (one.origins.first()?.span, other.origins.first()?.span);
    let (name, their) = (&one.name, &other.name);
    let error = |message: String| {
        let told = Diagnostic::error(codes::COUPLED, here, message);
        Some(told.related(there, "the other one"))
    };
    match couple {
        // Told once, at the one whose name comes first.
        Couple::Twin(_) if name < their => {
            error(format!("`{name}` and `{their}` are one value in two forms: set one of them"))
        }
        Couple::AtMost(_) if amounts.is_some_and(|(one, other)| one > other) => {
            error(format!("`{name}` is above `{their}`"))
        }
        // The same from the other side, where the other one does not say it itself.
        Couple::AtLeast(_) if amounts.is_some_and(|(one, other)| one < other) => {
            let says_it = other.setting.is_some_and(|setting| {
                setting.couples.iter().any(|couple| matches!(couple, Couple::AtMost(_)))
            });
            if says_it { None } else { error(format!("`{name}` is below `{their}`")) }
        }
        Couple::Agrees(_) if name < their && values.is_some_and(|(one, other)| one != other) => {
            error(format!("`{name}` and `{their}` have to say the same"))
        }
        Couple::Needs(_) => {
            let off = |value: &Value| matches!(value, Value::Flag(false) | Value::Number(0));
            let idle = values.is_some_and(|(one, other)| off(other) && !off(one));
            idle.then(|| {
                let message = format!("`{name}` does nothing while `{their}` is off");
                Diagnostic::warning(codes::COUPLED, here, message).related(there, "off here")
            })
        }
        _ => None,
    }
}
