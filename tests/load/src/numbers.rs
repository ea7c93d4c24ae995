//! What a load measured, and random numbers.

use std::fmt;
use std::time::Duration;

/// Metrics by name.
#[derive(Debug, Default)]
pub struct Readings(Vec<(&'static str, f64)>);

impl Readings {
    /// One more.
    #[must_use]
    pub fn with(mut self, metric: &'static str, value: f64) -> Self {
        self.0.push((metric, value));
        self
    }
}

impl fmt::Display for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(metric, value)| writeln!(f, "{metric} {value:.6}"))
    }
}

/// The value that this share of all (0 to 1) does not exceed; 0 of none.
pub fn percentile(values: &mut [Duration], share: f64) -> f64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    let place = (share * last as f64).round() as usize;
    values.get(place.min(last)).map_or(0.0, |value| milliseconds(*value))
}

/// In milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Numbers without pattern, the same in every run: Marsaglia's xorshift64.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut values, 0.99), 99.0);
        assert_eq!(percentile(&mut values, 1.0), 100.0);
        assert_eq!(percentile(&mut values, 0.0), 1.0);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
