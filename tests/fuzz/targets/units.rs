//! Sizes, CPU sets and times as people write them.

#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use boot::units::{Bytes, CpuSet};
use fuzz::cluster::Interval;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(size) = check::<Bytes>(text) {
        assert!(!size.human().is_empty());
    }
    check::<Interval>(text);
    if let Some(set) = check::<CpuSet>(text) {
        assert_eq!(set.iter().count(), set.len());
        assert!(set.iter().all(|cpu| cpu.0 <= boot::units::MAX_CPU && set.contains(cpu)));
    }
});

/// What was read reads back from its own text form; what was not is refused in few words.
fn check<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            assert_eq!(value.to_string().parse().ok().as_ref(), Some(&value));
            Some(value)
        }
        Err(error) => {
            assert!(error.to_string().chars().count() < 300, "{error}");
            None
        }
    }
}
