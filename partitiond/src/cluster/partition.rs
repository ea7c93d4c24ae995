//! Decoding of one partition.

use boot::units::{Bytes, CpuSet, NodeId};

use images::definition::decode::{cmdline, path};
use images::definition::workload::workloads;
use notation::decode::{
    Fields, body_fields, fields, list, mismatch, number, parsed, plain, single, text, variant,
};
use notation::tree::{Body, Node, Value};
use notation::{Diagnostic, Problems};

use super::disk::{absolute, disks};
use super::interval::Interval;
use super::tap::taps;
use super::types::{
    Backend, Cpus, HugePage, MIN_HANG_AFTER, MIN_MEMORY, MemorySource, Numa, Partition, Restart,
    default_hang_after, default_memory,
};

pub(super) const FIELDS: &[&str] = &[
    "image",
    "cpus",
    "memory",
    "numa",
    "memory_source",
    "backend",
    "profile",
    "cmdline",
    "workloads",
    "restart",
    "hang_after",
    "disks",
    "taps",
    "snapshot",
    "volumes",
    "networks",
];

/// Reads one entry of `partitions`.
pub(super) fn partition(node: &Node, problems: &mut Problems) -> Option<Partition> {
    let fields = fields(node, "a partition", FIELDS, problems)?;
    not_yet(&fields, &["volumes", "networks"], problems);
    let image = fields.required("image", problems);
    let image = image.and_then(|node| text(node, "an image's name", problems));
    let source = match fields.get("memory_source") {
        Some(node) => memory_source(node, problems),
        None => Some(MemorySource::default()),
    };
    let memory = match fields.get("memory") {
        Some(node) => memory(node, source, problems),
        None => default_checked(&fields, source, problems),
    };
    let cpus = match fields.get("cpus") {
        Some(node) => cpus(node, problems),
        None => Some(Cpus::default()),
    };
    let numa = fields.get("numa").and_then(|node| numa(node, problems));
    let backend = fields.get("backend").and_then(|node| backend(node, problems));
    let profile = fields.get("profile").and_then(|node| path(node, "a profile's path", problems));
    let cmdline = fields.get("cmdline").and_then(|node| cmdline(node, problems));
    let workloads = fields.get("workloads").and_then(|node| workloads(node, problems));
    let restart = fields.get("restart").and_then(|node| restart(node, problems));
    let hang_after = fields.get("hang_after").and_then(|node| hang_after(node, problems));
    let disks = fields.get("disks").map(|node| disks(node, problems));
    let snapshot =
        fields.get("snapshot").map(|node| absolute(node, "a snapshot's folder", problems));
    let taps = fields.get("taps").map(|node| taps(node, problems));
    if let (Some(MemorySource::Snapshot), None, Some(span)) =
        (source, &snapshot, fields.name_span("memory_source"))
    {
        let message = "there is no snapshot that this memory could be of";
        let error = Diagnostic::new(span, message, "this partition goes on from none");
        problems.push(error.help("name its folder as `snapshot`, or leave `memory_source` out"));
    }
    Some(Partition {
        image: image?,
        cpus: cpus?,
        memory: memory?,
        numa,
        memory_source: source?,
        backend,
        profile,
        cmdline: cmdline.unwrap_or_default(),
        workloads: workloads.unwrap_or_default(),
        restart: restart.unwrap_or_default(),
        hang_after: hang_after.unwrap_or(default_hang_after()),
        disks: disks.unwrap_or_default(),
        taps: taps.unwrap_or_default(),
        snapshot: snapshot.flatten(),
    })
}

/// Refuses fields that the format knows but this version does nothing with: better than to boot a
/// data base without its volume.
pub(super) fn not_yet(fields: &Fields, names: &[&str], problems: &mut Problems) {
    for name in names {
        if let Some(span) = fields.name_span(name) {
            let message = format!("this version of partitiond has no {name} yet");
            problems.push(Diagnostic::new(span, message, "remove this field"));
        }
    }
}

fn cpus(node: &Node, problems: &mut Problems) -> Option<Cpus> {
    let expected = "CPUs: Count(4), Cores(2) or Set(\"2-3\")";
    match &node.value {
        Value::Term { name: Some(_), .. } => {}
        Value::Text(_) => {
            mismatch(node, "Set(\"…\") around a set of CPUs", problems);
            return None;
        }
        Value::Integer(_) => {
            mismatch(node, "Count(…) around a number of CPUs", problems);
            return None;
        }
        _ => {
            mismatch(node, expected, problems);
            return None;
        }
    }
    let (word, body) =
        variant(node, "choice of CPUs", &["Count", "Cores", "Set", "Shared"], problems)?;
    if word == "Count" {
        let inner = single(word, body, &node.span, "Count(4)", problems)?;
        return number(inner, "a number of CPUs", 1..=8_192, problems).map(Cpus::Count);
    }
    if word == "Cores" {
        let inner = single(word, body, &node.span, "Cores(2)", problems)?;
        return number(inner, "a number of cores", 1..=8_192, problems).map(Cpus::Cores);
    }
    if word == "Shared" {
        let inner = single(word, body, &node.span, "Shared(1)", problems)?;
        return number(inner, "a number of virtual CPUs", 1..=255, problems).map(Cpus::Shared);
    }
    let inner = single(word, body, &node.span, "Set(\"2-3\")", problems)?;
    let set: CpuSet = parsed(inner, "a set of CPUs, such as \"2-3,6\"", problems)?;
    if set.is_empty() {
        let label = "expected at least one CPU";
        problems.push(Diagnostic::new(inner.span.clone(), "a partition without CPUs", label));
        return None;
    }
    Some(Cpus::Set(set))
}

/// Reads a size.
pub(super) fn size(node: &Node, problems: &mut Problems) -> Option<Bytes> {
    parsed(node, "a size in quotes, such as \"512MiB\"", problems)
}

fn memory(node: &Node, source: Option<MemorySource>, problems: &mut Problems) -> Option<Bytes> {
    let memory = size(node, problems)?;
    let mut refuse = |message: String, label: String| {
        problems.push(Diagnostic::new(node.span.clone(), message, label));
        None
    };
    if memory < MIN_MEMORY {
        let message = format!("{memory} is too little for a kernel");
        return refuse(message, format!("expected at least {MIN_MEMORY}"));
    }
    let page = source.unwrap_or_default().page();
    if !memory.0.is_multiple_of(page.0) {
        let down = Bytes(memory.0 - memory.0 % page.0).max(page);
        let up = down.0.checked_add(page.0).map_or(down, Bytes);
        let message = format!("{memory} is not a whole number of pages of {page}");
        return refuse(message, format!("expected {down} or {up}"));
    }
    Some(memory)
}

/// The default amount has to fit the pages too: with 1 GiB pages it does not.
fn default_checked(
    fields: &Fields,
    source: Option<MemorySource>,
    problems: &mut Problems,
) -> Option<Bytes> {
    let page = source?.page();
    if default_memory().0.is_multiple_of(page.0) {
        return Some(default_memory());
    }
    if let Some(span) = fields.name_span("memory_source") {
        let message = format!("pages of {page} need a `memory` in multiples of them");
        let label = format!("without `memory` a partition has {}", default_memory());
        problems.push(Diagnostic::new(span, message, label).help("add `memory: \"1GiB\"` or more"));
    }
    None
}

fn numa(node: &Node, problems: &mut Problems) -> Option<Numa> {
    let (word, body) = variant(node, "NUMA policy", &["Local", "Spread", "Nodes"], problems)?;
    match word {
        "Local" => plain(word, body, &node.span, problems).map(|()| Numa::Local),
        "Spread" => plain(word, body, &node.span, problems).map(|()| Numa::Spread),
        _ => {
            let inner = single(word, body, &node.span, "Nodes([0, 1])", problems)?;
            let elements = list(inner, "a list of node numbers", problems)?;
            if elements.is_empty() {
                let label = "expected at least one node";
                problems.push(Diagnostic::new(inner.span.clone(), "no nodes", label));
                return None;
            }
            let mut nodes = Vec::new();
            for element in elements {
                if let Some(id) = number(element, "a node's number", 0..=1_023, problems) {
                    if nodes.contains(&NodeId(id)) {
                        let message = format!("node {id} stands here twice");
                        let label = "second time";
                        problems.push(Diagnostic::new(element.span.clone(), message, label));
                    } else {
                        nodes.push(NodeId(id));
                    }
                }
            }
            (!nodes.is_empty()).then_some(Numa::Nodes(nodes))
        }
    }
}

fn memory_source(node: &Node, problems: &mut Problems) -> Option<MemorySource> {
    let known = ["Hugetlb", "SoftReserved", "Memmap", "Snapshot"];
    let (word, body) = variant(node, "memory source", &known, problems)?;
    match word {
        "SoftReserved" => {
            plain(word, body, &node.span, problems).map(|()| MemorySource::SoftReserved)
        }
        "Memmap" => plain(word, body, &node.span, problems).map(|()| MemorySource::Memmap),
        "Snapshot" => plain(word, body, &node.span, problems).map(|()| MemorySource::Snapshot),
        _ if *body == Body::None => Some(MemorySource::default()),
        _ => {
            let fields = body_fields(body, &node.span, "Hugetlb", &["page"], problems)?;
            let Some(inner) = fields.get("page") else { return Some(MemorySource::default()) };
            let page = size(inner, problems)?;
            let page = [HugePage::TwoMiB, HugePage::OneGiB]
                .into_iter()
                .find(|candidate| candidate.size() == page);
            if page.is_none() {
                let message = "x86-64 has no huge pages of this size";
                let label = "expected \"2MiB\" or \"1GiB\"";
                problems.push(Diagnostic::new(inner.span.clone(), message, label));
            }
            page.map(|page| MemorySource::Hugetlb { page })
        }
    }
}

/// Reads a back end.
pub(super) fn backend(node: &Node, problems: &mut Problems) -> Option<Backend> {
    let (word, body) = variant(node, "back end", &["Auto", "Bare", "Kvm"], problems)?;
    plain(word, body, &node.span, problems)?;
    Some(match word {
        "Bare" => Backend::Bare,
        "Kvm" => Backend::Kvm,
        _ => Backend::Auto,
    })
}

fn hang_after(node: &Node, problems: &mut Problems) -> Option<Interval> {
    let after: Interval = parsed(node, "a time, such as \"30s\"", problems)?;
    if after >= MIN_HANG_AFTER {
        return Some(after);
    }
    let message = format!("{after} without a word is no hang yet");
    let label = format!("expected at least {MIN_HANG_AFTER}");
    problems.push(Diagnostic::new(node.span.clone(), message, label));
    None
}

fn restart(node: &Node, problems: &mut Problems) -> Option<Restart> {
    let (word, body) =
        variant(node, "restart policy", &["Never", "Always", "OnFailure"], problems)?;
    match word {
        "Never" => plain(word, body, &node.span, problems).map(|()| Restart::Never),
        "Always" => plain(word, body, &node.span, problems).map(|()| Restart::Always),
        _ => {
            let fields = body_fields(body, &node.span, "OnFailure", &["max", "within"], problems)?;
            let max = fields.required("max", problems);
            let max =
                max.and_then(|node| number(node, "a number of restarts", 1..=1_000, problems));
            let within = fields.required("within", problems);
            let within: Option<Interval> =
                within.and_then(|node| parsed(node, "a time, such as \"10min\"", problems));
            Some(Restart::OnFailure { max: max?, within: within? })
        }
    }
}
