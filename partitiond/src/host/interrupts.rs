//! Interrupt affinities. When a CPU goes offline, Linux moves its interrupts elsewhere and forgets where they
//! were meant to be; and a CPU that runs a virtual machine is to be left alone by all interrupts that can go
//! elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use boot::units::{CpuId, CpuSet};

const FOLDER: &str = "/proc/irq";
/// Where interrupts go that come to be, as a mask.
const NEW: &str = "/proc/irq/default_smp_affinity";

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

/// Where interrupts go that come to be: a mask in the kernel's form, as in `ff,ffffffff`.
pub fn of_new() -> Option<String> {
    Some(fs::read_to_string(NEW).ok()?.trim().to_owned())
}

/// What does not do as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steered {
    /// Interrupts that may still arrive at a CPU that is to be left alone: the kernel does not let them be moved.
    pub stay: Vec<u32>,
}

/// Puts affinities back to what they were before, but for the CPUs of `quiet`, which get none of them, nor
/// those of devices to come. Interrupts that are gone are left alone, and so are those that the kernel manages
/// itself, which are told of.
pub fn steer(before: &BTreeMap<u32, String>, new: Option<&str>, quiet: &CpuSet) -> Steered {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let others = online.trim().parse().unwrap_or_else(|_| CpuSet::new()).difference(quiet);
    let mut steered = Steered::default();
    // What came to be since is steered as well.
    let now = affinities();
    for (number, now) in &now {
        let before = before.get(number).unwrap_or(now);
        let wanted = without(before, quiet, &others);
        if wanted == *now {
            continue;
        }
        let moved = fs::write(path(*number), &wanted);
        if moved.is_err() && is_used(*number) && arrives_at(*number, now, quiet) {
            steered.stay.push(*number);
        }
    }
    if let Some(mask) = new.and_then(|new| mask_without(new, quiet, &others)) {
        // A kernel that refuses has no such CPU online, and sends nothing there.
        let _: io::Result<()> = fs::write(NEW, mask);
    }
    steered
}

/// Whether any device's driver waits for an interrupt (Documentation/ABI/testing/sysfs-kernel-irq).
fn is_used(number: u32) -> bool {
    let actions = fs::read_to_string(format!("/sys/kernel/irq/{number}/actions"));
    actions.is_ok_and(|actions| !actions.trim().is_empty())
}

/// Whether an interrupt that cannot be moved can arrive at one of these. Of those that go to one CPU at a time,
/// the kernel says at which.
fn arrives_at(number: u32, affinity: &str, cpus: &CpuSet) -> bool {
    let effective = fs::read_to_string(format!("{FOLDER}/{number}/effective_affinity_list"));
    let at = effective.ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let at: CpuSet = at.as_deref().unwrap_or(affinity).parse().unwrap_or_default();
    !at.intersection(cpus).is_empty()
}

/// An affinity in list form without some CPUs; that of all `others` where nothing would be left of it. What makes
/// no sense stays as it is.
fn without(affinity: &str, quiet: &CpuSet, others: &CpuSet) -> String {
    let Ok(cpus) = affinity.parse::<CpuSet>() else { return affinity.to_owned() };
    if cpus.intersection(quiet).is_empty() {
        return affinity.to_owned();
    }
    let left = cpus.difference(quiet);
    if left.intersection(others).is_empty() { others.to_string() } else { left.to_string() }
}

/// The same for a mask.
fn mask_without(mask: &str, quiet: &CpuSet, others: &CpuSet) -> Option<String> {
    let cpus = cpus_of_mask(mask)?;
    let left = cpus.difference(quiet);
    let left = if left.is_empty() { others } else { &left };
    (!left.is_empty()).then(|| mask_of(left))
}

/// The CPUs of a mask: words of 32 bits in hexadecimal, the highest first.
fn cpus_of_mask(mask: &str) -> Option<CpuSet> {
    let words: Vec<u32> = mask
        .split(',')
        .map(|word| u32::from_str_radix(word.trim(), 16).ok())
        .collect::<Option<_>>()?;
    let cpus = words.iter().rev().zip((0_u32..).step_by(32)).flat_map(|(word, first)| {
        (0..32).filter(move |bit| word & 1 << bit != 0).map(move |bit| CpuId(first + bit))
    });
    Some(cpus.collect())
}

fn mask_of(cpus: &CpuSet) -> String {
    let last = cpus.iter().next_back().map_or(0, |cpu| cpu.0);
    let word = |index: u32| {
        let bits = cpus.iter().filter(|cpu| cpu.0 / 32 == index);
        format!("{:08x}", bits.fold(0_u32, |word, cpu| word | 1 << (cpu.0 % 32)))
    };
    (0..=last / 32).rev().map(word).collect::<Vec<_>>().join(",")
}

fn path(number: u32) -> String {
    format!("{FOLDER}/{number}/smp_affinity_list")
}

fn read(number: u32) -> Option<String> {
    Some(fs::read_to_string(path(number)).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    #[test]
    fn interrupts_go_where_they_went_or_to_all_that_are_left() {
        let (quiet, others) = (set("2-3"), set("0-1,4"));
        assert_eq!(without("0-4", &quiet, &others), "0-1,4");
        assert_eq!(without("2", &quiet, &others), "0-1,4");
        assert_eq!(without("1", &quiet, &others), "1");
        assert_eq!(without("2,7", &quiet, &others), "0-1,4", "7 is offline");
        assert_eq!(without("what", &quiet, &others), "what");
        assert_eq!(without("0-4", &CpuSet::new(), &others), "0-4");
    }

    #[test]
    fn masks_are_read_and_written() {
        assert_eq!(cpus_of_mask("3,00000005"), Some(set("0,2,32-33")));
        assert_eq!(mask_of(&set("0,2,32-33")), "00000003,00000005");
        assert_eq!(cpus_of_mask("x"), None);
        assert_eq!(mask_without("1f", &set("2-3"), &set("0-1")).unwrap(), "00000013");
        assert_eq!(mask_without("c", &set("2-3"), &set("0-1")).unwrap(), "00000003");
        assert_eq!(mask_without("c", &set("2-3"), &CpuSet::new()), None);
    }

    proptest::proptest! {
        #[test]
        fn a_mask_says_what_its_list_says(cpus in proptest::collection::btree_set(0_u32..300, 1..40)) {
            let cpus: CpuSet = cpus.into_iter().map(CpuId).collect();
            proptest::prop_assert_eq!(cpus_of_mask(&mask_of(&cpus)), Some(cpus));
        }
    }
}
