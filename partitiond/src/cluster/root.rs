//! Decoding of the whole file, and where its parts stand.

use std::collections::BTreeMap;

use images::definition::decode::definition;
use notation::decode::{
    body_fields, check_name, fields, list, map, mismatch, parsed, plain, unknown, variant,
};
use notation::tree::{Body, Field, Node, Span, Value};
use notation::{Diagnostic, Problems};

use super::partition::{backend, not_yet, partition, size};
use super::types::{Cluster, Host, Risk, Trust};

pub(super) const FIELDS: &[&str] =
    &["host", "trust", "backend", "accept", "images", "partitions", "networks"];
/// Partitions in one file.
pub const MAX_PARTITIONS: usize = 1_024;

/// Where the parts of a cluster file stand, for errors that come up after it was read.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The values of the cluster's own fields (`trust`), and `host.cpus`, `host.memory`.
    pub(super) cluster: BTreeMap<String, Span>,
    /// By partition: its name under `""`, and the values of its fields.
    pub(super) partitions: BTreeMap<String, BTreeMap<String, Span>>,
    /// By image: likewise.
    pub(super) images: BTreeMap<String, BTreeMap<String, Span>>,
}

impl Places {
    /// The place of a field of the cluster, such as `trust` or `host.cpus`; of the file's beginning
    /// where the file is silent about it.
    pub fn cluster(&self, field: &str) -> Span {
        self.cluster.get(field).cloned().unwrap_or(0..0)
    }

    /// The place of a partition's field; of its name where the file is silent about the field.
    pub fn partition(&self, name: &str, field: &str) -> Option<Span> {
        let places = self.partitions.get(name)?;
        places.get(field).or_else(|| places.get("")).cloned()
    }
}

/// Reads the cluster; what is wrong with it goes to `problems`.
pub(super) fn cluster(node: &Node, problems: &mut Problems) -> (Cluster, Places) {
    let mut cluster = Cluster::default();
    let mut places = Places::default();
    let start = node.span.start..node.span.start + 1;
    let body = match &node.value {
        Value::Term { name, body: body @ (Body::Fields(_) | Body::Tuple(_)) } => {
            if let Some(name) = name.as_ref().filter(|name| name.text != "Cluster") {
                unknown(name, &"kind of file", &["Cluster"], problems);
            }
            body
        }
        _ => {
            mismatch(node, "a cluster: `Cluster(…)`", problems);
            return (cluster, places);
        }
    };
    let Some(fields) = body_fields(body, &start, "the cluster", FIELDS, problems) else {
        return (cluster, places);
    };
    not_yet(&fields, &["networks"], problems);
    for name in FIELDS {
        if let Some(node) = fields.get(name) {
            places.cluster.insert((*name).to_owned(), node.span.clone());
        }
    }
    if let Some(node) = fields.get("host") {
        cluster.host = host(node, &mut places, problems).unwrap_or_default();
    }
    if let Some(node) = fields.get("trust") {
        cluster.trust = trust(node, problems).unwrap_or_default();
    }
    if let Some(node) = fields.get("backend") {
        cluster.backend = backend(node, problems).unwrap_or_default();
    }
    if let Some(node) = fields.get("accept") {
        cluster.accept = accept(node, problems);
    }
    if let Some(node) = fields.get("images") {
        for entry in map(node, "a map of images: {\"name\": (…)}", problems).unwrap_or(&[]) {
            places.images.insert(entry.name.text.clone(), field_places(entry));
            let name = check_name(&entry.name, "an image", problems);
            if let (Some(image), Some(name)) = (definition(&entry.value, problems), name) {
                cluster.images.insert(name, image);
            }
        }
    }
    if let Some(node) = fields.required("partitions", problems) {
        let entries = map(node, "a map of partitions: {\"name\": (…)}", problems).unwrap_or(&[]);
        if let Some(entry) = entries.get(MAX_PARTITIONS) {
            let message = format!("{} partitions", entries.len());
            let label = format!("expected at most {MAX_PARTITIONS}: this one is too many");
            problems.push(Diagnostic::new(entry.name.span.clone(), message, label));
        }
        for entry in entries.iter().take(MAX_PARTITIONS) {
            places.partitions.insert(entry.name.text.clone(), field_places(entry));
            let name = check_name(&entry.name, "a partition", problems);
            if let (Some(partition), Some(name)) = (partition(&entry.value, problems), name) {
                cluster.partitions.insert(name, partition);
            }
        }
    }
    (cluster, places)
}

fn field_places(entry: &Field) -> BTreeMap<String, Span> {
    let mut places = BTreeMap::from([(String::new(), entry.name.span.clone())]);
    if let Value::Term { body: Body::Fields(fields), .. } = &entry.value.value {
        for field in fields {
            places.insert(field.name.text.clone(), field.value.span.clone());
        }
    }
    places
}

fn host(node: &Node, places: &mut Places, problems: &mut Problems) -> Option<Host> {
    let fields = fields(node, "the host's share", &["cpus", "memory"], problems)?;
    for name in ["cpus", "memory"] {
        if let Some(node) = fields.get(name) {
            places.cluster.insert(format!("host.{name}"), node.span.clone());
        }
    }
    let cpus = fields
        .get("cpus")
        .and_then(|node| parsed(node, "a set of CPUs in quotes, such as \"0-1\"", problems));
    let memory = fields.get("memory").and_then(|node| size(node, problems));
    Some(Host { cpus, memory })
}

fn trust(node: &Node, problems: &mut Problems) -> Option<Trust> {
    let (word, body) = variant(node, "trust", &["Mutual", "Isolated"], problems)?;
    plain(word, body, &node.span, problems)?;
    Some(if word == "Mutual" { Trust::Mutual } else { Trust::Isolated })
}

fn accept(node: &Node, problems: &mut Problems) -> Vec<Risk> {
    let mut risks = Vec::new();
    for element in
        list(node, "a list of risks, such as [HostIpiBroadcast]", problems).unwrap_or(&[])
    {
        let known = Risk::ALL.map(Risk::name);
        let Some((word, body)) = variant(element, "risk", &known, problems) else { continue };
        let risk = Risk::ALL.into_iter().find(|risk| risk.name() == word);
        let plain = plain(word, body, &element.span, problems);
        if let (Some(risk), Some(())) = (risk, plain)
            && !risks.contains(&risk)
        {
            risks.push(risk);
        }
    }
    risks
}
