//! Sets of CPUs, written as `"2-3,6"`.

use std::collections::BTreeSet;

use super::*;

/// A set of CPUs by Linux number, in the list form that the kernel uses: `"0-3,8"`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CpuSet(BTreeSet<u32>);

/// The largest CPU number a list may name. Linux builds go to 8,192 (`CONFIG_NR_CPUS`); the bound
/// keeps a hostile `"0-4294967295"` from filling memory.
pub const MAX_CPU: u32 = 65_535;

/// Why a text is not a set of CPUs.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseCpuSetError {
    /// a part that is neither a number nor a range
    #[error("`{0}` is not a CPU or a range of CPUs: expected a list such as \"2-3,6\"")]
    Part(String),
    /// a range that runs backwards
    #[error("the range {0}-{1} runs backwards")]
    Backwards(u32, u32),
    /// beyond what Linux counts to
    #[error("CPU {0} is beyond the largest number that can be named, {MAX_CPU}")]
    TooLarge(u64),
    /// ranges that name the same CPUs over and over
    #[error("the list names more CPUs than there can be: each needs to be named only once")]
    TooMany,
}

impl CpuSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of CPUs in the set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no CPU is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `cpu` is in the set.
    pub fn contains(&self, cpu: CpuId) -> bool {
        self.0.contains(&cpu.0)
    }

    /// Adds `cpu`; false where it was there before.
    pub fn insert(&mut self, cpu: CpuId) -> bool {
        self.0.insert(cpu.0)
    }

    /// Takes `cpu` out; false where it was not there.
    pub fn remove(&mut self, cpu: CpuId) -> bool {
        self.0.remove(&cpu.0)
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = CpuId> + '_ {
        self.0.iter().copied().map(CpuId)
    }

    /// The CPUs that are in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// The CPUs of this set that are not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).copied().collect())
    }

    /// The CPUs that are in either set.
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }
}

impl FromIterator<CpuId> for CpuSet {
    fn from_iter<I: IntoIterator<Item = CpuId>>(cpus: I) -> Self {
        Self(cpus.into_iter().map(|cpu| cpu.0).collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|next| *next == last + 1) {
                last = next;
            }
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

impl FromStr for CpuSet {
    type Err = ParseCpuSetError;

    /// Reads the kernel's list form; the empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut set = BTreeSet::new();
        // Without a bound a MiB of "0-65535,0-65535,…" would take minutes.
        let mut named = 0;
        if text.trim().is_empty() {
            return Ok(Self(set));
        }
        for part in text.split(',') {
            let part = part.trim();
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first, part)?, number(last, part)?),
                None => (number(part, part)?, number(part, part)?),
            };
            if first > last {
                return Err(ParseCpuSetError::Backwards(first, last));
            }
            named += last - first + 1;
            if named > 2 * MAX_CPU {
                return Err(ParseCpuSetError::TooMany);
            }
            set.extend(first..=last);
        }
        Ok(Self(set))
    }
}

fn number(text: &str, part: &str) -> Result<u32, ParseCpuSetError> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseCpuSetError::Part(part.chars().take(40).collect()));
    }
    let number = text.parse::<u64>().unwrap_or(u64::MAX);
    match u32::try_from(number) {
        Ok(number) if number <= MAX_CPU => Ok(number),
        _ => Err(ParseCpuSetError::TooLarge(number)),
    }
}

serde_as_text!(CpuSet);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_list_form() {
        let set: CpuSet = "0-3, 8,10-11\n".parse().unwrap();
        assert_eq!(set.to_string(), "0-3,8,10-11");
        assert_eq!(set.len(), 7);
        assert_eq!("".parse(), Ok(CpuSet::new()));
    }

    #[test]
    fn refuses_what_is_no_list() {
        assert_eq!("3-1".parse::<CpuSet>(), Err(ParseCpuSetError::Backwards(3, 1)));
        assert!(matches!("1,,2".parse::<CpuSet>(), Err(ParseCpuSetError::Part(_))));
        assert!(matches!("+1".parse::<CpuSet>(), Err(ParseCpuSetError::Part(_))));
        assert!(matches!("0-4294967295".parse::<CpuSet>(), Err(ParseCpuSetError::TooLarge(_))));
        assert!(matches!(
            "99999999999999999999".parse::<CpuSet>(),
            Err(ParseCpuSetError::TooLarge(_))
        ));
        let hostile = "0-65535,".repeat(100_000) + "1";
        assert_eq!(hostile.parse::<CpuSet>(), Err(ParseCpuSetError::TooMany));
    }

    proptest::proptest! {
        #[test]
        fn text_form_reads_back(cpus in proptest::collection::btree_set(0u32..2000, 0..100)) {
            let set: CpuSet = cpus.into_iter().map(CpuId).collect();
            proptest::prop_assert_eq!(set.to_string().parse(), Ok(set));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<CpuSet>();
        }
    }
}
