//! Sets of CPUs.

use std::collections::BTreeSet;
use std::fmt;

/// CPUs by their Linux numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus(BTreeSet<u16>);

impl Cpus {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of either.
    pub fn union(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    /// Those that are not of the other.
    pub fn difference(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    /// Those of both.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// Whether all are of the other.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether it has this one.
    pub fn contains(&self, cpu: u16) -> bool {
        self.0.contains(&cpu)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of a list as the kernel writes it, `0-3,8`; none where it is malformed.
    pub fn of_list(text: &str) -> Option<Self> {
        let mut cpus = BTreeSet::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            cpus.extend(crate::syntax::literal::cpus(part).ok()?);
        }
        Some(Self(cpus))
    }

    /// Those of a mask as the kernel writes it: hexadecimal words of 32 CPUs, the highest first.
    pub fn of_mask(text: &str) -> Option<Self> {
        let words = text.split(',').map(|word| u32::from_str_radix(word, 16).ok());
        let words: Vec<u32> = words.collect::<Option<_>>()?;
        let mut cpus = BTreeSet::new();
        for (index, word) in words.iter().rev().enumerate() {
            for bit in (0..32_u16).filter(|bit| word >> bit & 1 == 1) {
                cpus.insert(u16::try_from(index).ok()?.checked_mul(32)?.checked_add(bit)?);
            }
        }
        Some(Self(cpus))
    }

    /// The mask that the kernel reads.
    pub fn to_mask(&self) -> String {
        let highest = self.iter().next_back().unwrap_or(0);
        let mut words = vec![0_u32; usize::from(highest / 32) + 1];
        for cpu in self.iter() {
            if let Some(word) = words.get_mut(usize::from(cpu / 32)) {
                *word |= 1 << (cpu % 32);
            }
        }
        let mut words = words.into_iter().rev();
        let first = words.next().map(|word| format!("{word:x}")).unwrap_or_default();
        words.fold(first, |text, word| format!("{text},{word:08x}"))
    }

    /// In ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u16> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<u16> for Cpus {
    fn from_iter<I: IntoIterator<Item = u16>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for Cpus {
    /// As the kernel writes it: `0-3,8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|next| last.checked_add(1) == Some(*next)) {
                last = next;
            }
            match last == first {
                true => write!(f, "{separator}{first}")?,
                false => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_the_kernel_writes_them() {
        let text = |cpus: &[u16]| cpus.iter().copied().collect::<Cpus>().to_string();
        assert_eq!(text(&[8, 0, 1, 2, 3]), "0-3,8");
        assert_eq!(text(&[0, 2, 65535]), "0,2,65535");
        assert_eq!(text(&[]), "");
        let cpus = Cpus::of_list("0-1,33").unwrap();
        assert_eq!(cpus.to_mask(), "2,00000003");
        assert_eq!(Cpus::of_mask("2,00000003"), Some(cpus));
        assert_eq!(Cpus::of_mask("x"), None);
        assert_eq!(Cpus::of_mask(&"f,".repeat(70_000)), None);
    }
}
