//! Quantities as people write them: a whole number and a unit.

use std::fmt;

/// Names of units with what each is worth, the largest first; the last one is worth 1.
pub type Units = [(&'static str, u64)];

/// The digits that a text begins with, and the unit behind them. Either may be missing.
pub fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

/// What a unit is worth; `None` where there is none of that name.
pub fn worth(unit: &str, units: &Units) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, worth)| *worth)
}

/// Writes an amount in the largest unit that it is a whole number of.
pub fn write(f: &mut fmt::Formatter<'_>, amount: u64, units: &Units) -> fmt::Result {
    let whole = |worth: u64| worth == 1 || amount >= worth && amount.is_multiple_of(worth);
    let (name, worth) = units.iter().find(|(_, worth)| whole(*worth)).copied().unwrap_or(("", 1));
    write!(f, "{}{name}", amount / worth)
}

/// As much of a text as an error quotes; a hostile one may be gigabytes long.
pub fn quoted(text: &str) -> String {
    text.chars().take(40).collect()
}
