//! Sets of CPUs in the two forms that kernels write them.

use serde::{Deserialize, Serialize};

/// The largest CPU number that Linux can have (`CONFIG_NR_CPUS` on x86-64 goes up to 8192).
pub const MAX_CPU: u32 = 8191;

/// How a set of CPUs is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuForm {
    /// `0-3,8`
    List,
    /// Hexadecimal words of 32 CPUs, separated by commas.
    Mask,
}

/// A set of CPUs, as ranges in ascending order that do not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus(Vec<(u32, u32)>);

impl Cpus {
    /// Reads a set; none where the text is no set in this form.
    pub fn parse(form: CpuForm, text: &str) -> Option<Self> {
        match form {
            CpuForm::List => Self::of_list(text),
            CpuForm::Mask => Self::of_mask(text),
        }
    }

    /// All of them, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    fn of_list(text: &str) -> Option<Self> {
        let mut ranges = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            ranges.push((first, last));
        }
        Some(Self::merged(ranges))
    }

    fn of_mask(text: &str) -> Option<Self> {
        let text = text.strip_prefix("0x").unwrap_or(text);
        let words: Vec<&str> = text.split(',').collect();
        let mut ranges = Vec::new();
        let mut base = 0_u32;
        for (at, word) in words.iter().rev().enumerate() {
            // Kernels pad all words but the first; a short one in between would mean something else.
            let is_first = at + 1 == words.len();
            if word.is_empty()
                || (words.len() > 1 && word.len() > 8)
                || (!is_first && word.len() != 8)
            {
                return None;
            }
            for digit in word.chars().rev() {
                let bits = digit.to_digit(16)?;
                for bit in (0..4).filter(|bit| bits >> bit & 1 == 1) {
                    let cpu = base.checked_add(bit).filter(|cpu| *cpu <= MAX_CPU)?;
                    ranges.push((cpu, cpu));
                }
                base = base.checked_add(4)?;
            }
        }
        Some(Self::merged(ranges))
    }

    fn merged(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last)
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|cpu| *cpu <= MAX_CPU)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_set_has_many_spellings() {
        let list = |text| Cpus::parse(CpuForm::List, text);
        let mask = |text| Cpus::parse(CpuForm::Mask, text);
        assert_eq!(list("0,1,2,3"), list("0-3"));
        assert_eq!(list("2-3,0-1"), list("0-3"));
        assert_eq!(list(""), Some(Cpus(vec![])));
        assert_eq!(mask("f"), list("0-3"));
        assert_eq!(mask("00000001,0000000f"), list("0-3,32"));
        assert_eq!(mask("1,0000000f"), list("0-3,32"));
        assert_ne!(list("0-3"), list("0-4"));
        for wrong in ["3-1", "a", "1,", "-1", "8192", "0-99999999999", "+1", "1 2"] {
            assert_eq!(list(wrong), None, "{wrong}");
        }
        for wrong in ["", "g", "1,f", "1,,f", "100000000,0000000f"] {
            assert_eq!(mask(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = Cpus::parse(CpuForm::List, &text);
            let _ = Cpus::parse(CpuForm::Mask, &text);
        }
    }
}
