//! The comparison.

use std::collections::{BTreeMap, BTreeSet};

use boot::units::{Bytes, CpuSet, NodeId};

use crate::cluster::{Backend, MemorySource, Numa, Restart, Tap};

use super::{
    Action, Actual, Change, Desired, Existing, HostChange, HugePageChange, LOW_MEMORY, Plan, Spec,
    State, Step,
};

/// What has to happen so that `actual` becomes `desired`.
pub fn plan(desired: &Desired, actual: &Actual) -> Plan {
    let names: BTreeSet<&String> = desired.keys().chain(actual.partitions.keys()).collect();
    let steps = names.into_iter().filter_map(|name| {
        let (action, reason, changes) = match (desired.get(name), actual.partitions.get(name)) {
            (Some(spec), None) => (Action::Start, summary(spec), Vec::new()),
            (Some(spec), Some(existing)) => compare(spec, existing),
            (None, Some(Existing { state: State::Stopped, .. })) | (None, None) => return None,
            (None, Some(_)) => {
                (Action::Stop, "not in the cluster file any more".to_owned(), Vec::new())
            }
        };
        Some(Step { partition: name.clone(), action, reason, changes })
    });
    Plan { steps: steps.collect(), host: host(desired, actual) }
}

/// What a partition is, in one line.
fn summary(spec: &Spec) -> String {
    let image = image(spec);
    let backend = spec.backend.name();
    let memory = memory(&spec.memory);
    let source = match spec.source.is_from_host() {
        true => String::new(),
        false => format!(" ({})", spec.source.words()),
    };
    format!("{}, {memory}{source}, image {image}, {backend}", cpus(spec))
}

/// The CPUs of a partition, in words.
fn cpus(spec: &Spec) -> String {
    let plural = |count: usize| if count == 1 { "CPU" } else { "CPUs" };
    match spec.shared_cpus {
        Some(count) => format!("{count} shared {}", plural(count as usize)),
        None => format!("{} {}", plural(spec.cpus.len()), spec.cpus),
    }
}

fn compare(spec: &Spec, existing: &Existing) -> (Action, String, Vec<Change>) {
    let changes = changes(&existing.spec, spec);
    // Supervision alone, and a profile that another takes the place of, change nothing inside the partition, nor does another wish for nodes that
    // the place it has fulfils.
    let only_supervision = changes
        .iter()
        .all(|change| matches!(change.what, "restart" | "hang_after" | "numa" | "profile"));
    match existing.state {
        State::Stopped => (Action::Start, format!("it is stopped; {}", summary(spec)), Vec::new()),
        State::Failed if changes.is_empty() => {
            (Action::Restart, "its kernel is dead".to_owned(), changes)
        }
        _ if changes.is_empty() => (Action::Keep, "as the file says".to_owned(), changes),
        State::Starting | State::Ready if only_supervision => {
            (Action::Update, "its supervision changes".to_owned(), changes)
        }
        _ => {
            let what: Vec<&str> = changes.iter().map(|change| change.what).collect();
            (Action::Restart, format!("changed: {}", what.join(", ")), changes)
        }
    }
}

fn changes(old: &Spec, new: &Spec) -> Vec<Change> {
    let words = |words: &str| if words.is_empty() { "none".into() } else { format!("`{words}`") };
    let profile = |spec: &Spec| spec.profile.clone().unwrap_or_else(|| "none".to_owned());
    // Two lists of workloads may differ where their names do not.
    let workloads = |spec: &Spec| {
        let names: Vec<&str> = spec.workloads.iter().map(|work| work.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(" ") }
    };
    let source = |spec: &Spec| match spec.source {
        MemorySource::Hugetlb { page } => format!("Hugetlb {}", page.size()),
        source => source.name().to_owned(),
    };
    let short = |spec: &Spec| match spec.shared_cpus {
        Some(_) => cpus(spec),
        None => spec.cpus.to_string(),
    };
    let all = [
        ("image", old.image != new.image || new.image.digest.is_none(), image(old), image(new)),
        (
            "back end",
            old.backend != new.backend,
            old.backend.name().to_owned(),
            new.backend.name().to_owned(),
        ),
        (
            "cpus",
            (&old.cpus, old.shared_cpus) != (&new.cpus, new.shared_cpus),
            short(old),
            short(new),
        ),
        ("memory", old.memory != new.memory, memory(&old.memory), memory(&new.memory)),
        ("memory source", old.source != new.source, source(old), source(new)),
        ("numa", old.numa != new.numa, numa(old), numa(new)),
        (
            "profile",
            old.profile != new.profile || old.script != new.script,
            profile(old),
            match old.profile == new.profile {
                true => format!("{} (edited)", profile(new)),
                false => profile(new),
            },
        ),
        ("cmdline", old.cmdline != new.cmdline, words(&old.cmdline), words(&new.cmdline)),
        ("workloads", old.workloads != new.workloads, workloads(old), workloads(new)),
        (
            "hang_after",
            old.hang_after != new.hang_after,
            old.hang_after.to_string(),
            new.hang_after.to_string(),
        ),
        ("disks", old.disks != new.disks, disks(old), disks(new)),
        (
            "snapshot",
            old.snapshot != new.snapshot,
            old.snapshot.clone().unwrap_or_else(|| "none".to_owned()),
            new.snapshot.clone().unwrap_or_else(|| "none".to_owned()),
        ),
        ("taps", old.taps != new.taps, taps(old), taps(new)),
        ("restart", old.restart != new.restart, restart(old.restart), restart(new.restart)),
    ];
    let changed = all.into_iter().filter(|(_, changed, _, _)| *changed);
    changed.map(|(what, _, from, to)| Change { what, from, to }).collect()
}

fn disks(spec: &Spec) -> String {
    let disks: Vec<String> = spec
        .disks
        .iter()
        .map(|disk| {
            let read_only = if disk.read_only { ", read-only" } else { "" };
            let direct = if disk.direct { ", direct" } else { "" };
            format!("{} ({}{read_only}{direct})", disk.name, disk.path)
        })
        .collect();
    if disks.is_empty() { "none".to_owned() } else { disks.join(" ") }
}

fn taps(spec: &Spec) -> String {
    let tap = |tap: &Tap| match tap.mac {
        Some(mac) => format!("{} ({mac})", tap.name),
        None => tap.name.clone(),
    };
    let taps: Vec<String> = spec.taps.iter().map(tap).collect();
    if taps.is_empty() { "none".to_owned() } else { taps.join(" ") }
}

fn image(spec: &Spec) -> String {
    match &spec.image.digest {
        Some(digest) => {
            let short: String = digest.chars().take(8).collect();
            format!("{} ({short})", spec.image.name)
        }
        None => format!("{} (to be built)", spec.image.name),
    }
}

fn memory(memory: &BTreeMap<NodeId, Bytes>) -> String {
    let parts: Vec<String> =
        memory.iter().map(|(node, amount)| format!("{amount} on {node}")).collect();
    parts.join(" + ")
}

fn numa(spec: &Spec) -> String {
    match &spec.numa {
        None => "not said".to_owned(),
        Some(Numa::Local) => "local".to_owned(),
        Some(Numa::Spread) => "spread".to_owned(),
        Some(Numa::Nodes(nodes)) => {
            let nodes: Vec<String> = nodes.iter().map(|node| node.0.to_string()).collect();
            format!("nodes {}", nodes.join(","))
        }
    }
}

fn restart(restart: Restart) -> String {
    match restart {
        Restart::Never => "never".to_owned(),
        Restart::Always => "always".to_owned(),
        Restart::OnFailure { max, within } => format!("on failure, {max} times in {within}"),
    }
}

/// What the change means for the host: sums over what is held now and what will be.
fn host(desired: &Desired, actual: &Actual) -> HostChange {
    let held = || {
        let existing = actual.partitions.values();
        existing.filter(|existing| existing.state != State::Stopped).map(|existing| &existing.spec)
    };
    let cpus = |specs: &mut dyn Iterator<Item = &Spec>| {
        specs.flat_map(|spec| Vec::from_iter(spec.cpus.iter())).collect::<CpuSet>()
    };
    let (before, after) = (cpus(&mut held()), cpus(&mut desired.values()));
    let mut pages = BTreeMap::<(NodeId, Bytes), i64>::new();
    let signed = held().map(|spec| (spec, -1)).chain(desired.values().map(|spec| (spec, 1)));
    for (spec, sign) in signed {
        let MemorySource::Hugetlb { page } = spec.source else { continue };
        for (node, amount) in &spec.memory {
            let count = i64::try_from(amount.0 / page.size().0).unwrap_or(i64::MAX);
            let entry = pages.entry((*node, page.size())).or_default();
            *entry = entry.saturating_add(sign * count);
        }
    }
    let bare = |spec: &&Spec| spec.backend == Backend::Bare;
    let low = |count: usize| Bytes(LOW_MEMORY.0 * count as u64);
    let (low_before, low_after) =
        (low(held().filter(bare).count()), low(desired.values().filter(bare).count()));
    HostChange {
        gives_cpus: after.difference(&before),
        gets_cpus: before.difference(&after),
        hugepages: pages
            .into_iter()
            .filter(|(_, pages)| *pages != 0)
            .map(|((node, size), pages)| HugePageChange { node, size, pages })
            .collect(),
        gives_low_memory: Bytes(low_after.0.saturating_sub(low_before.0)),
        gets_low_memory: Bytes(low_before.0.saturating_sub(low_after.0)),
    }
}
