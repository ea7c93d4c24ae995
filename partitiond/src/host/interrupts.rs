//! Interrupt affinities. When a CPU goes offline, Linux moves its interrupts elsewhere and forgets
//! where they were meant to be.

use std::collections::BTreeMap;
use std::fs;

const FOLDER: &str = "/proc/irq";

/// The affinity of every interrupt, in the kernel's list form, by number.
pub fn affinities() -> BTreeMap<u32, String> {
    let Ok(folder) = fs::read_dir(FOLDER) else { return BTreeMap::new() };
    folder
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, read(number)?))
        })
        .collect()
}

/// Puts affinities back that have changed. Interrupts that are gone, or that the kernel manages
/// itself, are left alone.
pub fn restore(before: &BTreeMap<u32, String>) {
    for (number, affinity) in before {
        if read(*number).is_some_and(|now| now != *affinity) {
            let _ = fs::write(path(*number), affinity);
        }
    }
}

fn path(number: u32) -> String {
    format!("{FOLDER}/{number}/smp_affinity_list")
}

fn read(number: u32) -> Option<String> {
    Some(fs::read_to_string(path(number)).ok()?.trim().to_owned())
}
