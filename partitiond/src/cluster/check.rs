//! What is wrong with a cluster although every part of it reads well.

use boot::units::CpuSet;
use notation::{Diagnostic, Problems, did_you_mean, quoted};

use super::root::Places;
use super::types::{Backend, Cluster, Cpus, Trust};

/// What a cluster file refers to outside itself.
pub trait Surroundings {
    /// The names of the images in the store.
    fn stored_images(&self) -> Vec<String>;

    /// Whether the profile at this path, relative to the cluster file, is there. The error says why
    /// not, in one line.
    fn check_profile(&self, reference: &str) -> Result<(), String>;
}

/// Checks a cluster; what is wrong goes to `problems`.
pub(super) fn check(
    cluster: &Cluster,
    places: &Places,
    surroundings: &dyn Surroundings,
    problems: &mut Problems,
) {
    images(cluster, places, surroundings, problems);
    profiles(cluster, places, surroundings, problems);
    backends(cluster, places, problems);
    host_cpus(cluster, places, problems);
    overlaps(cluster, places, problems);
}

fn images(
    cluster: &Cluster,
    places: &Places,
    surroundings: &dyn Surroundings,
    problems: &mut Problems,
) {
    // Names that are defined, even where their definition has errors of its own.
    let mut stored = None;
    for (name, partition) in &cluster.partitions {
        if places.images.contains_key(&partition.image) {
            continue;
        }
        let stored = stored.get_or_insert_with(|| surroundings.stored_images());
        if stored.contains(&partition.image) {
            continue;
        }
        let Some(span) = places.partition(name, "image") else { continue };
        let known = places.images.keys().chain(stored.iter()).map(String::as_str);
        let label = did_you_mean(&partition.image, known)
            .unwrap_or_else(|| "neither under `images` nor in the image store".to_owned());
        let message = format!("there is no image \"{}\"", quoted(&partition.image));
        problems
            .push(Diagnostic::new(span, message, label).help(
                "define it under `images`, or see `partitiond image ls` for the stored ones",
            ));
    }
}

fn profiles(
    cluster: &Cluster,
    places: &Places,
    surroundings: &dyn Surroundings,
    problems: &mut Problems,
) {
    let partitions = cluster.partitions.iter().filter_map(|(name, partition)| {
        Some((partition.profile.as_ref()?, places.partition(name, "profile")?))
    });
    let images = cluster.images.iter().filter_map(|(name, image)| {
        Some((image.profile.as_ref()?, places.images.get(name)?.get("profile")?.clone()))
    });
    for (profile, span) in partitions.chain(images) {
        if let Err(reason) = surroundings.check_profile(profile) {
            let label = "expected a KernelScript file, relative to this one";
            problems.push(Diagnostic::new(span, reason, label));
        }
    }
}

/// `Bare` puts a kernel at full privilege beside the others: that takes mutual trust.
fn backends(cluster: &Cluster, places: &Places, problems: &mut Problems) {
    if cluster.trust == Trust::Mutual {
        return;
    }
    let common = (cluster.backend == Backend::Bare).then(|| places.cluster.get("backend").cloned());
    let own = cluster
        .partitions
        .iter()
        .filter(|(_, partition)| partition.backend == Some(Backend::Bare))
        .map(|(name, _)| places.partition(name, "backend"));
    for span in common.into_iter().chain(own).flatten() {
        let mut error = Diagnostic::new(
            span,
            "the bare back end demands `trust: Mutual`",
            "a bare kernel runs at full privilege beside the others",
        )
        .help("write `trust: Mutual` if these partitions may trust each other, or take `Kvm`");
        if let Some(trust) = places.cluster.get("trust") {
            error = error.related(trust.clone(), "but they do not trust each other");
        }
        problems.push(error);
    }
}

fn explicit_sets(cluster: &Cluster) -> impl Iterator<Item = (&String, &CpuSet)> {
    cluster.partitions.iter().filter_map(|(name, partition)| match &partition.cpus {
        Cpus::Set(set) => Some((name, set)),
        Cpus::Count(_) | Cpus::Cores(_) | Cpus::Shared(_) => None,
    })
}

fn host_cpus(cluster: &Cluster, places: &Places, problems: &mut Problems) {
    let Some(host) = &cluster.host.cpus else { return };
    for (name, set) in explicit_sets(cluster) {
        let common = set.intersection(host);
        let Some(span) = places.partition(name, "cpus").filter(|_| !common.is_empty()) else {
            continue;
        };
        let message = format!("{} asked for by both the host and \"{name}\"", cpu_list(&common));
        let mut error = Diagnostic::new(span, message, format!("asked for by \"{name}\""));
        if let Some(host) = places.cluster.get("host.cpus") {
            error = error.related(host.clone(), "kept by the host");
        }
        problems.push(error);
    }
}

/// Two partitions that ask for one CPU. Every CPU is looked at once, so that 1,024 partitions cost
/// no more than their CPUs; of several culprits each is shown with the first.
fn overlaps(cluster: &Cluster, places: &Places, problems: &mut Problems) {
    let mut owners = std::collections::BTreeMap::new();
    let mut clashes: std::collections::BTreeMap<(&String, &String), CpuSet> = Default::default();
    for (name, set) in explicit_sets(cluster) {
        for cpu in set.iter() {
            match owners.entry(cpu) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(name);
                }
                std::collections::btree_map::Entry::Occupied(entry) => {
                    clashes.entry((entry.get(), name)).or_default().insert(cpu);
                }
            }
        }
    }
    for ((first, second), common) in clashes {
        let spans = (places.partition(first, "cpus"), places.partition(second, "cpus"));
        let (Some(first_span), Some(span)) = spans else { continue };
        let message =
            format!("{} asked for by both \"{first}\" and \"{second}\"", cpu_list(&common));
        problems.push(
            Diagnostic::new(span, message, format!("asked for by \"{second}\""))
                .related(first_span, format!("asked for by \"{first}\" too"))
                .help("a CPU has exactly one owner: give one of them other CPUs"),
        );
    }
}

fn cpu_list(set: &CpuSet) -> String {
    if set.len() == 1 { format!("CPU {set}") } else { format!("CPUs {set}") }
}
