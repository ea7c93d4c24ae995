//! Values as a script writes them.

use super::name;
use crate::catalogue::Kind;
use crate::expression::Value;
use crate::syntax::literal::Dimension;

/// A [typed](Kind::typed) value of a setting; none where a script cannot write it.
pub fn of(kind: &Kind, value: &Value) -> Option<String> {
    match (kind, value) {
        (Kind::Flag, Value::Number(0)) | (_, Value::Flag(false)) => Some("off".to_owned()),
        (Kind::Flag, Value::Number(1)) | (_, Value::Flag(true)) => Some("on".to_owned()),
        (Kind::Percent, Value::Number(percents)) => {
            let share = u64::try_from(percents.unsigned_abs()).ok()?.checked_mul(10_000);
            Some(if share.is_some() { format!("{percents}%") } else { number(*percents)? })
        }
        (Kind::Rate(unit), Value::Number(rate)) => rated(unit, *rate),
        (_, Value::Number(value)) => number(*value),
        (kind, Value::Quantity(amount, dimension)) => quantity(kind, *amount, *dimension),
        (_, Value::Word(word)) => name::is_text(word).then(|| name::word(word)),
        (_, Value::Text(text)) => name::is_text(text).then(|| name::quoted(text)),
        // There is no way to write no CPUs.
        (_, Value::Cpus(cpus)) => (!cpus.is_empty()).then(|| cpus.to_string()),
        (kind, Value::List(values)) => {
            let values: Option<Vec<String>> = values.iter().map(|value| of(kind, value)).collect();
            Some(format!("[{}]", values?.join(", ")))
        }
        (kind, Value::Record(parts)) => {
            let part =
                |(name, value): &(String, Value)| Some(format!("{name}: {}", of(kind, value)?));
            let parts: Option<Vec<String>> = parts.iter().map(part).collect();
            Some(format!("{{ {} }}", parts?.join(", ")))
        }
        _ => None,
    }
}

/// What one unit of a file is, as a script writes it: `4KiB` for a file that counts in pages.
fn one_unit(kind: &Kind, dimension: Dimension) -> Option<(i128, String)> {
    let factor = match kind {
        Kind::Size(unit) | Kind::Sizes(unit, _) => unit.bytes(),
        Kind::Time(unit) => unit.nanoseconds(),
        Kind::Frequency => 1_000,
        _ => return None,
    };
    Some((factor, Value::Quantity(factor, dimension).to_string()))
}

/// A size, a time, a frequency. What does not fit the 64 bits of a literal is a product.
fn quantity(kind: &Kind, amount: i128, dimension: Dimension) -> Option<String> {
    if u64::try_from(amount.unsigned_abs()).is_ok() {
        return Some(Value::Quantity(amount, dimension).to_string());
    }
    let (factor, unit) = one_unit(kind, dimension)?;
    let count = amount.checked_div(factor).filter(|_| amount % factor == 0)?;
    Some(format!("{} * {unit}", number(count)?))
}

fn number(value: i128) -> Option<String> {
    u64::try_from(value.unsigned_abs()).ok().map(|_| value.to_string())
}

/// A number of events a second. Those that scripts have units for get them.
fn rated(unit: &str, rate: i128) -> Option<String> {
    let factor: u64 = match unit {
        "KiB/s" => 8 << 10,
        "Hz" => 1,
        _ => return number(rate),
    };
    let fits = u64::try_from(rate).ok().and_then(|rate| rate.checked_mul(factor));
    if fits.is_some() { Some(format!("{rate}{unit}")) } else { number(rate) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, SizeUnit, TimeUnit};

    #[test]
    fn units_are_the_largest_that_are_whole() {
        let size = Value::Quantity(64 << 20, Dimension::Size);
        assert_eq!(of(&Kind::Size(SizeUnit::KiB), &size).unwrap(), "64MiB");
        let time = Value::Quantity(-1_000, Dimension::Time);
        assert_eq!(of(&Kind::Time(TimeUnit::Us), &time).unwrap(), "-1us");
        assert_eq!(of(&Kind::Percent, &Value::Number(40)).unwrap(), "40%");
        assert_eq!(of(&Kind::Rate("KiB/s".into()), &Value::Number(1000)).unwrap(), "1000KiB/s");
        assert_eq!(of(&Kind::Flag, &Value::Number(0)).unwrap(), "off");
    }

    #[test]
    fn more_than_64_bits_are_a_product() {
        let setting = Catalogue::built_in().unwrap().get("kernel.shmall").unwrap();
        let value = setting.kind.parsed("18446744073692774399").unwrap();
        assert_eq!(of(&setting.kind, &value).unwrap(), "18446744073692774399 * 4KiB");
        assert_eq!(of(&Kind::Integer, &Value::Number(1 << 70)), None);
    }

    #[test]
    fn what_cannot_be_written_is_none() {
        assert_eq!(of(&Kind::Text(9), &Value::Text("a\tb".into())), None);
        assert_eq!(of(&Kind::Text(9), &Value::Text("a\"b".into())).unwrap(), "\"a\\\"b\"");
    }
}
