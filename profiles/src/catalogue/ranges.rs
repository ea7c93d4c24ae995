//! What kernels take, held against what entries say that they take.

use super::Dump;
use super::dump::{Key, Tried};
use super::setting::{Kind, Reads, Setting};

/// What is wrong with what an entry says of the numbers that were tried.
pub(super) fn complaints(setting: &Setting, dump: &Dump, key: &Key) -> Vec<String> {
    let Some(accepts) = setting.accepts.as_ref().and_then(|accepts| accepts.of(&dump.kernel))
    else {
        return Vec::new();
    };
    let named = |told: String| format!("{}: {}: {told}", setting.name, key.name);
    let same = setting.reads == Reads::Same;
    let told = |tried: &Tried| match (is_inside(tried.value.into(), accepts)?, &tried.reads) {
        (true, None) => Some(named(format!("{} is refused, and is in {accepts}", tried.value))),
        (true, Some(reads)) if same && *reads != tried.value.to_string() => {
            Some(named(format!("{} reads {reads}, and nothing says so", tried.value)))
        }
        // What is taken and made into something else is no more taken than what is refused.
        (false, Some(reads))
            if *reads == tried.value.to_string() && !is_unsafe(setting, dump, tried) =>
        {
            Some(named(format!("{} is taken, and is not in {accepts}", tried.value)))
        }
        _ => None,
    };
    key.tried.iter().filter_map(told).collect()
}

/// Whether nobody could write the number anyway. Of such, the entry may say what the newest kernels of a
/// version take: they refuse more than the first ones did.
fn is_unsafe(setting: &Setting, dump: &Dump, tried: &Tried) -> bool {
    let safe = setting.safe.as_ref().and_then(|safe| safe.of(&dump.kernel));
    let outside = safe.and_then(|safe| is_inside(tried.value.into(), safe)) == Some(false);
    outside || (setting.kind == Kind::Flag && !matches!(tried.value, 0 | 1))
}

/// Whether a number is in a plain range or list; nothing if that is no plain one.
pub(super) fn is_inside(number: i128, range: &str) -> Option<bool> {
    let bound = |text: &str| match text.trim() {
        "int.min" => Some(i128::from(i32::MIN)),
        "int.max" => Some(i128::from(i32::MAX)),
        "uint.max" => Some(i128::from(u32::MAX)),
        "long.max" => Some(i128::from(i64::MAX)),
        "ulong.max" => Some(i128::from(u64::MAX)),
        text => text.parse().ok(),
    };
    let parts = range.trim_matches(['[', ']']).split(',');
    let mut inside = false;
    for part in parts {
        let (low, high) = part.split_once("..").unwrap_or((part, part));
        inside |= (bound(low)?..=bound(high)?).contains(&number);
    }
    Some(inside)
}
