//! Lists of CPUs as TuneD writes them.

use super::symbols::{CpuExpression, Symbol, Symbols};
use crate::expression::Cpus;
use crate::import::kernel_text;

/// Longer lists name CPUs twice, or more than there can be.
const MOST_PARTS: usize = 8192;

/// A list: CPUs by number, or an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuList {
    Known(Cpus),
    Expression(CpuExpression),
}

impl CpuList {
    /// Reads `0-3,8`, also with `^2` for what is taken away, and masks as `0xf`, which end with an empty
    /// part. Parts that only the machine knows are united with the others.
    pub fn read(text: &str, symbols: &Symbols) -> Option<Self> {
        let text = text.trim_matches(['\'', '"']);
        if text.split(',').count() > MOST_PARTS {
            return None;
        }
        let (mut cpus, mut without) = (Cpus::new(), Cpus::new());
        let mut unknown: Option<CpuExpression> = None;
        let mut mask: Option<String> = None;
        for part in text.split(',').chain([""]).map(str::trim) {
            if let Some(digits) = &mut mask {
                if part.is_empty() {
                    cpus = cpus.union(&of_mask(digits)?);
                    mask = None;
                } else {
                    digits.push_str(part);
                }
                continue;
            }
            if let Some(digits) = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
                mask = Some(digits.to_owned());
            } else if let Some(Symbol::Cpus(expression)) = symbols.alone(part) {
                unknown = Some(match unknown {
                    Some(other) => other.combined('+', expression),
                    None => expression.clone(),
                });
            } else if let Some(part) = part.strip_prefix(['^', '!']) {
                without = without.union(&of_list(part)?);
            } else if !part.is_empty() {
                cpus = cpus.union(&of_list(part)?);
            }
        }
        let known = cpus.difference(&without);
        let Some(mut expression) = unknown else { return Some(Self::Known(known)) };
        if let Some(known) = CpuExpression::literal(&known) {
            expression = expression.combined('+', &known);
        }
        if let Some(without) = CpuExpression::literal(&without) {
            expression = expression.combined('-', &without);
        }
        Some(Self::Expression(expression))
    }

    /// As an expression; none where there are no CPUs.
    pub fn expression(&self) -> Option<CpuExpression> {
        match self {
            Self::Known(cpus) => CpuExpression::literal(cpus),
            Self::Expression(expression) => Some(expression.clone()),
        }
    }
}

fn of_list(part: &str) -> Option<Cpus> {
    kernel_text::cpus(&part.split('-').map(str::trim).collect::<Vec<_>>().join("-"))
}

/// CPUs of a mask in hexadecimal, of at most 8192 bits.
pub fn of_mask(digits: &str) -> Option<Cpus> {
    let digits: String = digits.chars().filter(|char| *char != ',').collect();
    if digits.is_empty() || digits.len() > 2048 {
        return None;
    }
    let mut cpus = Vec::new();
    for (index, digit) in digits.chars().rev().enumerate() {
        let digit = digit.to_digit(16)?;
        let bits = (0..4_u16).filter(|bit| digit >> bit & 1 == 1);
        let first = u16::try_from(index * 4).ok()?;
        cpus.extend(bits.filter_map(|bit| first.checked_add(bit)));
    }
    Some(cpus.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_ranges_masks_and_exceptions() {
        let symbols = Symbols::default();
        let known = |text: &str| match CpuList::read(text, &symbols) {
            Some(CpuList::Known(cpus)) => Some(cpus.to_string()),
            _ => None,
        };
        for (text, cpus) in [
            ("0-3,8", "0-3,8"),
            ("0-5,^3", "0-2,4-5"),
            ("0xf,, 6", "0-3,6"),
            ("0x1,00000000", "32"),
            ("\"1,2\"", "1-2"),
            ("", ""),
        ] {
            assert_eq!(known(text).as_deref(), Some(cpus), "{text}");
        }
        for text in ["a", "3-1", "70000", "0xg", "1-2-3"] {
            assert_eq!(CpuList::read(text, &symbols), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_part_of_an_expression() {
        let mut symbols = Symbols::default();
        let mine = symbols.put(Symbol::Cpus(CpuExpression::name("isolated")));
        let text = format!("{mine},1,3-4,^7");
        let list = CpuList::read(&text, &symbols).unwrap().expression().unwrap();
        assert_eq!(list.to_string(), "(isolated + (1,3-4)) - 7");
    }
}
