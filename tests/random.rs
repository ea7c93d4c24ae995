//! Chance that can be had again: all of it comes from one number, which is printed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The environment variable that holds the seed of a run that is to be repeated.
pub const SEED: &str = "SOAK_SEED";

/// A sequence of numbers (SplitMix64: Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of the seed in the environment, else of a new one; prints which.
    pub fn announced() -> Self {
        let seed = match std::env::var(SEED) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED}={text} is no number")),
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::from(since.subsec_nanos())),
        };
        println!("to choose the same again: {SEED}={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of these, of which there must be some.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.next() % from.len() as u64;
        &from[at as usize]
    }

    /// Whether a thing happens that happens once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    /// A moment before `end`, in whole milliseconds.
    pub fn moment(&mut self, end: Duration) -> Duration {
        Duration::from_millis(self.next() % (end.as_millis() as u64).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_others_give_others() {
        let numbers = |seed| {
            let mut random = Random(seed);
            std::array::from_fn::<u64, 4, _>(|_| random.next())
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        // The sequence that the authors' program gives for 1234567.
        assert_eq!(numbers(1_234_567)[0], 6_457_827_717_110_365_317);
    }
}
