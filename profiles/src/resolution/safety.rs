//! What a kernel takes, and what does not hurt it.
//!
//! A value has to be one that the kernel accepts; then one that is safe, which depends on the machine.
//! Outside of what is safe, a class decides: what kills kernels is refused; what weakens protection,
//! or is merely unwise, takes a waiver that names it; what can cut the machine off takes a guard.

use std::collections::{BTreeMap, BTreeSet};

use super::expressions::expression;
use super::scope::Environment;
use super::{Goal, Resolution, Resolved};
use crate::catalogue::{Class, Kind, Order, Setting};
use crate::composition::Family;
use crate::diagnostic::{Diagnostic, Span, codes};
use crate::expression::{Fault, Found, Scope, Value, evaluate, is_in};

/// Where values of the kernel's own files lie.
const ROOTS: [&str; 2] = ["/proc/sys/", "/sys/"];

/// Classes of danger that a waiver can name.
const WAIVABLE: [&str; 2] = ["range", "security"];

/// Why a file cannot be written by `raw`.
pub fn raw_path(path: &str) -> Result<(), String> {
    if !ROOTS.iter().any(|root| path.starts_with(root)) {
        return Err(format!(
            "{path:?} lies outside of /proc/sys and /sys: `raw` writes only there"
        ));
    }
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if path.len() > 4095 || path.split('/').skip(1).any(odd) || path.chars().any(char::is_control) {
        return Err(format!("{path:?} is not a plain path: write it without `..` and `//`"));
    }
    Ok(())
}

/// Where the catalogue's expressions about one value are evaluated.
struct About<'s> {
    value: &'s Value,
    planned: &'s BTreeMap<String, Value>,
    environment: &'s Environment<'s>,
    /// Modules that settings behind this one need.
    later_modules: &'s [Value],
}

impl About<'_> {
    /// What the kernel will let programs commit when they may not go beyond: CommitLimit with the
    /// plan's ratio or bytes (mm/util.c, `vm_commit_limit`).
    fn committed_limit(&self) -> Option<Found> {
        let fact = |name: &str| match self.environment.facts().find(&path(name)) {
            Found::Value(value) => value.amount(),
            _ => None,
        };
        let planned = |name: &str| self.planned.get(name).and_then(Value::amount);
        let base = match (planned("vm.overcommit_kbytes"), planned("vm.overcommit_ratio")) {
            (Some(bytes), _) if bytes > 0 => Some(bytes),
            (_, Some(percent)) => {
                let free = fact("memory.total")? - fact("memory.huge_total").unwrap_or_default();
                free.checked_mul(percent).map(|share| share / 100)
            }
            _ => return None,
        };
        let limit = base?.checked_add(fact("memory.swap").unwrap_or_default())?;
        Some(Found::Value(Value::Quantity(limit, crate::syntax::literal::Dimension::Size)))
    }
}

fn path(name: &str) -> Vec<String> {
    name.split('.').map(str::to_owned).collect()
}

impl Scope for About<'_> {
    fn find(&self, path: &[String]) -> Found {
        match path {
            [value] if value == "value" => return Found::Value(self.value.clone()),
            [value, part] if value == "value" => {
                if let Value::Record(parts) = self.value
                    && let Some((_, value)) = parts.iter().find(|(name, _)| name == part)
                {
                    return Found::Value(value.clone());
                }
            }
            _ => {}
        }
        match path.join(".").as_str() {
            "plan.later_modules" => return Found::Value(Value::List(self.later_modules.to_vec())),
            "vm.committed_limit" => {
                if let Some(limit) = self.committed_limit() {
                    return limit;
                }
            }
            _ => {}
        }
        // What the plan makes of another setting counts for more than what it is now.
        if let Some(value) = self.planned.get(&path.join(".")) {
            return Found::Value(value.clone());
        }
        match self.environment.facts().find(path) {
            // What another setting is, only the machine knows.
            Found::Nothing if path.len() > 1 => Found::NotKnownHere,
            found => found,
        }
    }
}

/// Checks every setting; `guarded` says whether a guard watches the profile.
pub fn check<'a>(
    settings: &mut [Resolved<'a>],
    family: &Family<'_>,
    environment: &Environment<'_>,
    guarded: bool,
    resolution: &mut Resolution<'a>,
) {
    let mut waivers = Waivers::of(family, resolution);
    let planned: BTreeMap<String, Value> = settings
        .iter()
        .filter_map(|resolved| match &resolved.goal {
            Goal::Exactly(value) => Some((resolved.name.clone(), value.clone())),
            _ => None,
        })
        .collect();
    let modules: Vec<((Order, String), Vec<Value>)> = settings
        .iter()
        .map(|resolved| {
            let (order, name) = super::order(resolved);
            let modules = resolved.modules.iter().map(|module| Value::word(module)).collect();
            ((order, name.to_owned()), modules)
        })
        .collect();
    for resolved in settings.iter_mut() {
        let (order, name) = super::order(resolved);
        let own = (order, name.to_owned());
        let later_modules: Vec<Value> = modules
            .iter()
            .filter(|(other, _)| *other > own)
            .flat_map(|(_, modules)| modules.clone())
            .collect();
        let span = resolved.origins.first().map(|origin| origin.span);
        let (Some(span), Some(setting)) = (span, resolved.setting) else { continue };
        let values: Vec<&Value> = match &resolved.goal {
            Goal::Exactly(value) => vec![value],
            Goal::Within(least, most) => least.iter().chain(most).collect(),
            Goal::Edited { .. } => Vec::new(),
        };
        let mut needs_guard = always_guarded(setting);
        for value in values {
            let about =
                About { value, planned: &planned, environment, later_modules: &later_modules };
            let mut one = One { setting, name: &resolved.name, span, value, about: &about };
            if one.is_accepted(resolution) {
                one.is_safe(&mut waivers, resolution);
                needs_guard = needs_guard.or_else(|| one.takes_a_guard(resolution));
            }
        }
        resolved.needs_guard = needs_guard;
    }
    for resolved in settings.iter().filter(|_| !guarded) {
        let (Some(why), Some(origin)) = (&resolved.needs_guard, resolved.origins.first()) else {
            continue;
        };
        let message = format!("`{}` takes a guard", resolved.name);
        let profile = family.members.first().map(|member| member.name.text.as_str());
        resolution.diagnostics.push(
            Diagnostic::error(codes::NEEDS_GUARD, origin.span, message)
                .label(why.clone())
                .help(format!("guard {} {{ confirm within 60s }}", profile.unwrap_or("profile"))),
        );
    }
    waivers.tell_unused(resolution);
}

fn always_guarded(setting: &Setting) -> Option<String> {
    let why = match setting.class {
        Class::Guarded => "it can cut the machine off from whoever manages it",
        Class::OneWay => "it cannot be undone before the next boot",
        _ => return None,
    };
    Some(setting.danger.clone().unwrap_or_else(|| why.to_owned()))
}

/// One value of one setting.
struct One<'s> {
    setting: &'s Setting,
    name: &'s str,
    span: Span,
    value: &'s Value,
    about: &'s About<'s>,
}

impl One<'_> {
    /// Whether the kernel takes it, as far as that is known.
    fn is_accepted(&mut self, resolution: &mut Resolution<'_>) -> bool {
        let kernel = &self.about.environment.facts().kernel;
        let Some(text) = self.setting.accepts.as_ref().and_then(|accepts| accepts.of(kernel))
        else {
            return true;
        };
        let accepted = match self.worth(text) {
            Ok(accepted) => accepted,
            Err(fault) => {
                self.fault(&fault, resolution);
                return true;
            }
        };
        let written = as_written(&self.setting.kind, self.value);
        let takes = written.iter().all(|value| is_in(value, &accepted) != Some(false));
        if !takes {
            let written = self.setting.kind.written(self.value);
            let message = format!("the kernel does not take {written} for `{}`", self.name);
            let told = Diagnostic::error(codes::NOT_ACCEPTED, self.span, message);
            resolution.diagnostics.push(told.label(format!("it takes {accepted}")));
        }
        takes
    }

    fn is_safe(&mut self, waivers: &mut Waivers, resolution: &mut Resolution<'_>) {
        let kernel = &self.about.environment.facts().kernel;
        let within = self.setting.safe.as_ref().and_then(|safe| safe.of(kernel));
        if let Some(text) = within {
            match self.worth(text) {
                Ok(safe) if is_in(self.value, &safe) == Some(false) => {
                    let why = format!("{} is not within {safe}", self.value);
                    return self.refuse(&why, waivers, resolution);
                }
                Ok(_) => {}
                Err(fault) => self.fault(&fault, resolution),
            }
        }
        let condition = self.setting.condition.as_ref().and_then(|condition| condition.of(kernel));
        if let Some(text) = condition {
            match self.worth(text) {
                Ok(Value::Flag(false)) => {
                    let why = format!("{}: this does not hold: {text}", self.value);
                    self.refuse(&why, waivers, resolution);
                }
                Ok(_) => {}
                Err(fault) => self.fault(&fault, resolution),
            }
        }
    }

    /// What is outside of what is safe.
    fn refuse(&self, why: &str, waivers: &mut Waivers, resolution: &mut Resolution<'_>) {
        let class = match self.setting.class {
            Class::Brick => None,
            Class::Security => Some("security"),
            _ => Some("range"),
        };
        if class.is_some_and(|class| waivers.take(class, &self.setting.name)) {
            return;
        }
        let (code, message) = match class {
            None => (codes::BRICK, format!("this value of `{}` can stop the machine", self.name)),
            Some("security") => {
                (codes::NEEDS_WAIVER, format!("this value of `{}` weakens protection", self.name))
            }
            Some(_) => (codes::UNSAFE, format!("this value of `{}` is not safe", self.name)),
        };
        let mut told = Diagnostic::error(code, self.span, message).label(why.to_owned());
        if let Some(danger) = &self.setting.danger {
            told = told.help(danger.clone());
        }
        resolution.diagnostics.push(match class {
            Some(class) => {
                told.help(format!("to take it: waive {class} {} \"why\"", self.setting.name))
            }
            None => told,
        });
    }

    /// Why this value takes a guard in this kernel, if it does.
    fn takes_a_guard(&mut self, resolution: &mut Resolution<'_>) -> Option<String> {
        let kernel = &self.about.environment.facts().kernel;
        for guarded in &self.setting.guarded {
            if !kernel.is_within(guarded.kernels, &guarded.flavours) {
                continue;
            }
            match self.worth(&guarded.when) {
                Ok(Value::Flag(true)) => {
                    let why = self.setting.danger.clone();
                    return Some(why.unwrap_or_else(|| guarded.when.clone()));
                }
                Ok(_) => {}
                Err(fault) => self.fault(&fault, resolution),
            }
        }
        None
    }

    fn worth(&self, text: &str) -> Result<Value, Fault> {
        match expression(text) {
            Some(expression) => evaluate(&expression, self.about),
            // The tests rule it out.
            None => Ok(Value::Flag(true)),
        }
    }

    /// A fault of the catalogue's expression stands at the value that it is about.
    fn fault(&self, fault: &Fault, resolution: &mut Resolution<'_>) {
        let here = Fault::new(self.span, fault.kind.clone());
        resolution.fault(&here, || format!("whether {} is safe for `{}`", self.value, self.name));
    }
}

/// The numbers and words of a value as the file holds them.
fn as_written(kind: &Kind, value: &Value) -> Vec<Value> {
    let one = |kind: &Kind, value: &Value| {
        let text = kind.written(value);
        text.parse().map_or(Value::Word(text), Value::Number)
    };
    match value {
        Value::Record(parts) => parts.iter().map(|(_, part)| one(kind, part)).collect(),
        Value::Cpus(_) | Value::List(_) | Value::Text(_) => Vec::new(),
        value => vec![one(kind, value)],
    }
}

/// The dangers that are taken knowingly.
struct Waivers {
    /// Class, setting and place.
    given: Vec<(String, String, Span)>,
    used: BTreeSet<usize>,
}

impl Waivers {
    fn of(family: &Family<'_>, resolution: &mut Resolution<'_>) -> Self {
        let mut given = Vec::new();
        for waiver in family.members.iter().flat_map(|member| &member.waivers) {
            if !WAIVABLE.contains(&waiver.class.text.as_str()) {
                let message = format!("there is no class of danger `{}`", waiver.class.text);
                let told = Diagnostic::error(codes::WAIVER, waiver.class.span, message);
                resolution
                    .diagnostics
                    .push(told.help(format!("there are {}", WAIVABLE.join(", "))));
                continue;
            }
            let (class, setting) = (waiver.class.text.clone(), waiver.setting.text.clone());
            given.push((class, setting, waiver.span));
        }
        Self { given, used: BTreeSet::new() }
    }

    fn take(&mut self, class: &str, setting: &str) -> bool {
        let fits = |(own, name, _): &(String, String, Span)| own == class && name == setting;
        match self.given.iter().position(fits) {
            Some(at) => {
                self.used.insert(at);
                true
            }
            None => false,
        }
    }

    fn tell_unused(&self, resolution: &mut Resolution<'_>) {
        for (at, (class, setting, span)) in self.given.iter().enumerate() {
            if !self.used.contains(&at) {
                let message = format!("nothing here needs a waiver of {class} for `{setting}`");
                resolution.diagnostics.push(Diagnostic::warning(codes::WAIVER, *span, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_files_are_the_kernels_own() {
        assert_eq!(raw_path("/proc/sys/vm/something_new"), Ok(()));
        assert_eq!(raw_path("/sys/kernel/mm/ksm/run"), Ok(()));
        for path in [
            "/etc/passwd",
            "/proc/sysrq-trigger",
            "/proc/sys/../sysrq-trigger",
            "proc/sys/x",
            "/proc/sys/a//b",
            "/proc/sys/a\n",
            "/proc/sys/",
            "/sys/./x",
        ] {
            assert!(raw_path(path).is_err(), "{path}");
        }
    }
}
