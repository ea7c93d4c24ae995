//! Whether `check` will take a value, as far as that is known without a machine.

use crate::catalogue::{ByKernel, Class, Kind, Setting};
use crate::expression::{Found, Scope, Value, evaluate, is_in};
use crate::facts;
use crate::resolution::expressions::expression;

/// A value, the constants, and nothing else.
struct Alone<'v>(&'v Value);

impl Scope for Alone<'_> {
    fn find(&self, path: &[String]) -> Found {
        match path {
            [value] if value == "value" => return Found::Value(self.0.clone()),
            [value, part] if value == "value" => {
                if let Value::Record(parts) = self.0
                    && let Some((_, value)) = parts.iter().find(|(name, _)| name == part)
                {
                    return Found::Value(value.clone());
                }
            }
            _ => {}
        }
        let constant = match path.join(".").as_str() {
            "int.max" => i128::from(i32::MAX),
            "int.min" => i128::from(i32::MIN),
            "uint.max" => i128::from(u32::MAX),
            "long.max" => i128::from(i64::MAX),
            "ulong.max" => i128::from(u64::MAX),
            _ if path.len() > 1 || facts::named(path).is_some() => return Found::NotKnownHere,
            _ => return Found::Nothing,
        };
        Found::Value(Value::Number(constant))
    }
}

/// What an expression of the catalogue gives; none where it rests on the machine.
fn worth(text: &str, value: &Value) -> Option<Value> {
    evaluate(&*expression(text)?, &Alone(value)).ok()
}

/// Whether no kernel takes what a text that may differ by kernel asks for.
fn fails_everywhere(field: Option<&ByKernel>, fails: impl Fn(&str) -> bool) -> Option<String> {
    let texts = field?.texts();
    texts.iter().all(|text| fails(text)).then(|| texts.join(" or "))
}

/// Why every kernel's `check` refuses a value, with what to do about it. None where it does not, or where
/// that depends on the machine.
pub fn refused(setting: &Setting, value: &Value) -> Option<String> {
    let outside = |text: &str| {
        let within = worth(text, value);
        within.is_some_and(|within| {
            as_written(&setting.kind, value)
                .iter()
                .any(|value| is_in(value, &within) == Some(false))
        })
    };
    if let Some(takes) = fails_everywhere(setting.accepts.as_ref(), outside) {
        return Some(format!("the kernel does not take it, but {takes}"));
    }
    let unsafe_by =
        |text: &str| worth(text, value).is_some_and(|within| is_in(value, &within) == Some(false));
    let broken = |text: &str| worth(text, value) == Some(Value::Flag(false));
    let why = fails_everywhere(setting.safe.as_ref(), unsafe_by)
        .map(|safe| format!("safe is {safe}"))
        .or_else(|| {
            let condition = fails_everywhere(setting.condition.as_ref(), broken);
            condition.map(|condition| format!("safe is only what fulfils {condition}"))
        })?;
    let danger = setting.danger.as_ref().map(|danger| format!(". {danger}")).unwrap_or_default();
    Some(match setting.class {
        Class::Brick => format!("{why}, and nothing waives that{danger}"),
        Class::Security => {
            format!("{why}; to take it: waive security {} \"why\"{danger}", setting.name)
        }
        _ => format!("{why}; to take it: waive range {} \"why\"{danger}", setting.name),
    })
}

/// Why a value takes a guard in some kernel, if it does.
pub fn needs_guard(setting: &Setting, value: Option<&Value>) -> Option<String> {
    let why = match setting.class {
        Class::Guarded => "it can cut the machine off from whoever manages it",
        Class::OneWay => "it cannot be undone before the next boot",
        _ => {
            let holds = |when: &str| match value {
                Some(value) => worth(when, value) != Some(Value::Flag(false)),
                None => true,
            };
            let guarded = setting.guarded.iter().find(|guarded| holds(&guarded.when))?;
            return Some(setting.danger.clone().unwrap_or_else(|| guarded.when.clone()));
        }
    };
    Some(setting.danger.clone().unwrap_or_else(|| why.to_owned()))
}

/// The numbers and words of a value as the file holds them.
fn as_written(kind: &Kind, value: &Value) -> Vec<Value> {
    let one = |value: &Value| {
        let text = kind.written(value);
        text.parse().map_or(Value::Word(text), Value::Number)
    };
    match value {
        Value::Record(parts) => parts.iter().map(|(_, part)| one(part)).collect(),
        Value::Cpus(_) | Value::List(_) | Value::Text(_) => Vec::new(),
        value => vec![one(value)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn refusal(name: &str, text: &str) -> Option<String> {
        let setting = Catalogue::built_in().unwrap().get(name).unwrap();
        let value = setting.kind.typed(&setting.kind.parsed(text).unwrap()).unwrap();
        refused(setting, &value)
    }

    #[test]
    fn what_takes_a_waiver_is_known_before() {
        assert_eq!(refusal("vm.swappiness", "10"), None);
        assert!(refusal("vm.swappiness", "300").unwrap().contains("does not take"));
        assert!(refusal("vm.max_map_count", "0").unwrap().contains("nothing waives"));
        assert!(
            refusal("kernel.dmesg_restrict", "0")
                .unwrap()
                .contains("waive security kernel.dmesg_restrict")
        );
        assert!(refusal("vm.vfs_cache_pressure", "0").unwrap().contains("waive range"));
    }

    #[test]
    fn what_rests_on_the_machine_is_left_to_check() {
        assert_eq!(refusal("vm.dirty_bytes", "536870912"), None);
        assert_eq!(refusal("kernel.pid_max", "4194304"), None);
    }

    #[test]
    fn guards_are_known_before() {
        let get = |name: &str| Catalogue::built_in().unwrap().get(name).unwrap();
        assert!(needs_guard(get("net.ipv4.ip_forward"), None).is_some());
        let unlimited = Value::Quantity(-1_000, crate::syntax::literal::Dimension::Time);
        let limited = Value::Quantity(950_000_000, crate::syntax::literal::Dimension::Time);
        let runtime = get("kernel.sched_rt_runtime_us");
        assert!(needs_guard(runtime, Some(&unlimited)).is_some());
        assert_eq!(needs_guard(runtime, Some(&limited)), None);
        assert_eq!(needs_guard(get("vm.swappiness"), None), None);
    }
}
