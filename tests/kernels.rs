//! The kernel matrix: what is found in a booted kernel, as a dump to hold the catalogue against.
//!
//! A kernel boots once, in a small machine with a disk of each kind and a network device. Its files are
//! looked at as they are after the boot; once more with all modules loaded that the catalogue speaks
//! of; and once for each I/O scheduler. What is only there in a later stage is marked with that.

mod machine;
mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use profiles::catalogue::{At, Catalogue, Dump, Key, Kind, Member, Setting, Stage};

pub use machine::{Machine, PATIENCE};

/// Folders that are shown whole, whatever the catalogue knows of them.
const TREES: &[&str] = &[
    "/proc/sys",
    "/sys/kernel/mm",
    "/sys/kernel/debug/sched",
    "/sys/kernel/debug/sched_*",
    "/sys/block/vda/queue",
    "/sys/class/net/eth0/queues",
    "/sys/fs/cgroup/probe",
    "/sys/devices/system/cpu/cpufreq",
    "/sys/devices/system/cpu/cpuidle",
    "/sys/devices/system/cpu/smt",
    "/sys/devices/system/cpu/intel_pstate",
    "/sys/devices/system/cpu/amd_pstate",
];

/// Modules that others need and do not name among what they depend on.
const UNNAMED: &[&str] = &["crc32c_generic"];

/// Options of kernels that tell them apart, besides those that entries name.
const OPTIONS: &[&str] = &[
    "CONFIG_BPF_SYSCALL",
    "CONFIG_CGROUP_BPF",
    "CONFIG_CPUSETS",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_HZ",
    "CONFIG_LRU_GEN_ENABLED",
    "CONFIG_NO_HZ_FULL",
    "CONFIG_NO_HZ_IDLE",
    "CONFIG_PREEMPT",
    "CONFIG_PREEMPT_LAZY",
    "CONFIG_PREEMPT_NONE",
    "CONFIG_PREEMPT_RT",
    "CONFIG_PREEMPT_VOLUNTARY",
    "CONFIG_PSI",
    "CONFIG_PSI_DEFAULT_DISABLED",
    "CONFIG_RCU_NOCB_CPU",
    "CONFIG_RT_GROUP_SCHED",
    "CONFIG_SCHED_CORE",
    "CONFIG_TRANSPARENT_HUGEPAGE",
    "CONFIG_TRANSPARENT_HUGEPAGE_ALWAYS",
    "CONFIG_TRANSPARENT_HUGEPAGE_MADVISE",
    "CONFIG_ZSWAP_DEFAULT_ON",
];

/// What of the catalogue has to be looked for.
#[derive(Debug)]
pub struct Wanted {
    /// Files, with `*` for what differs from machine to machine.
    files: Vec<String>,
    /// Options of kernels.
    options: BTreeSet<String>,
    /// Modules, named with underscores.
    modules: BTreeSet<String>,
    /// Options of modules: `nvme.poll_queues`.
    module_options: BTreeSet<String>,
}

impl Wanted {
    /// All that the entries speak of.
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut files: BTreeSet<String> = BTreeSet::new();
        let mut options: BTreeSet<String> = OPTIONS.iter().map(|name| (*name).to_owned()).collect();
        let mut modules: BTreeSet<String> = UNNAMED.iter().map(|name| (*name).to_owned()).collect();
        let mut module_options = BTreeSet::new();
        for setting in catalogue.settings() {
            modules.extend(setting.modules.iter().chain(setting.value_modules.values()).cloned());
            for place in &setting.places {
                options.extend(place.config.iter().cloned());
                match &place.at {
                    At::ModuleOption(option) => {
                        module_options.insert(option.clone());
                        let module = option.split('.').next().unwrap_or_default();
                        modules.insert(module.to_owned());
                    }
                    // Sysctls lie in a tree that is shown whole.
                    At::Sysctl(_) | At::NetSysctl(_) => {}
                    at => {
                        modules.extend(at.files().iter().filter_map(|path| {
                            Some(path.strip_prefix("/sys/module/")?.split('/').next()?.to_owned())
                        }));
                        files.extend(at.files());
                    }
                }
            }
        }
        let files = TREES.iter().map(|tree| (*tree).to_owned()).chain(files).collect();
        let modules = modules.iter().map(|name| name.replace('-', "_")).collect();
        Self { files, options, modules, module_options }
    }
}

/// Whether to try what numbers a kernel takes, which takes as long as all the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Try {
    /// Those of the settings that may be tried.
    Numbers,
    /// Nothing.
    Nothing,
}

/// Boots a kernel of the matrix and dumps it.
pub fn dump(member: &Member, what: Try) -> Dump {
    let catalogue = Catalogue::built_in().expect("the catalogue");
    let wanted = Wanted::of(catalogue);
    let machine = Machine::boot(member, &wanted);
    let mut dump = Dump::new(member.kernel(), machine.release().to_owned());
    for option in &wanted.options {
        dump.set_option(option, machine.option(option));
    }
    dump.module_options.clone_from(&machine.module_options);

    let before = Found::of(&machine.look(), &wanted);
    dump.modules = machine.load_modules();
    let with_modules = Found::of(&machine.look(), &wanted);
    add(&mut dump, &before, Stage::Booted, catalogue);
    add(&mut dump, &with_modules, Stage::Modules, catalogue);
    for scheduler in machine.schedulers("vda") {
        machine.sh(&format!("echo {scheduler} >/sys/block/vda/queue/scheduler"));
        let found = Found::of(&machine.look_at("/sys/block/vda/queue/iosched"), &wanted);
        add(&mut dump, &found, Stage::Scheduler(scheduler), catalogue);
    }
    machine.sh("echo none >/sys/block/vda/queue/scheduler");
    if what == Try::Numbers {
        probe::ranges(&machine, &mut dump, catalogue);
    }
    dump
}

/// Files, and what they say.
#[derive(Debug, Default)]
struct Found {
    modes: BTreeMap<String, u16>,
    values: BTreeMap<String, String>,
}

impl Found {
    /// Reads what `collect.sh` prints. What stands for others of its kind is enough.
    fn of(text: &str, wanted: &Wanted) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            if let Some((mode, path)) =
                line.strip_prefix("M ").and_then(|rest| rest.split_once(' '))
            {
                let mode = u16::from_str_radix(mode, 8).expect("permission bits");
                found.modes.insert(path.to_owned(), mode & 0o777);
            } else if let Some((path, value)) =
                line.strip_prefix("V ").and_then(|rest| found.split(rest))
            {
                found.values.insert(path, tidy(value));
            }
        }
        found.leave_out_alike(wanted);
        found
    }

    /// Splits `PATH:LINE`; either may have a colon in it.
    fn split<'t>(&self, text: &'t str) -> Option<(String, &'t str)> {
        text.match_indices(':')
            .filter_map(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)))
            .find(|(path, _)| self.modes.contains_key(*path))
            .map(|(path, value)| (path.to_owned(), value))
    }

    /// Of all that a pattern finds, those in a tree count, or else the first: its fellows are alike.
    fn leave_out_alike(&mut self, wanted: &Wanted) {
        let in_tree =
            |path: &String| TREES.iter().any(|tree| path.starts_with(tree.trim_end_matches('*')));
        for pattern in wanted.files.iter().filter(|pattern| pattern.contains('*')) {
            let met = self.modes.keys().filter(|path| matches(pattern, path));
            let (inside, outside): (Vec<&String>, Vec<&String>) =
                met.partition(|path| in_tree(path));
            let spared = usize::from(inside.is_empty());
            let alike: BTreeSet<String> = outside.into_iter().skip(spared).cloned().collect();
            self.modes.retain(|path, _| !alike.contains(path));
        }
        // The root group has what others have, and some more.
        let groups = "/sys/fs/cgroup/";
        let alike = |path: &str, modes: &BTreeMap<String, u16>| {
            let file = path.strip_prefix(groups).filter(|file| !file.contains('/'));
            file.is_some_and(|file| modes.contains_key(&format!("{groups}probe/{file}")))
        };
        let all = self.modes.clone();
        self.modes.retain(|path, _| !alike(path, &all));
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    profiles::catalogue::matches(pattern, path)
}

/// One line, its parts separated by single blanks.
fn tidy(value: &str) -> String {
    /// Longer ones are tables, of which a dump shows how they begin.
    const LONGEST: usize = 160;
    let words: Vec<&str> = value.split_whitespace().collect();
    let line: String =
        words.join(" ").chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    line.chars().take(LONGEST).collect()
}

/// The name that a dump has for a path: sysctls go by theirs.
fn name(path: &str) -> String {
    path.strip_prefix("/proc/sys/").map_or_else(|| path.to_owned(), |name| name.replace('/', "."))
}

/// Devices beside those that stand for all. Each would have the same files.
fn is_repeated(name: &str) -> bool {
    let repeated =
        ["net.ipv4.conf.lo.", "net.ipv6.conf.lo.", "net.ipv4.neigh.lo.", "net.ipv6.neigh.lo."];
    repeated.iter().any(|start| name.starts_with(start))
        || name.starts_with("kernel.sched_domain.cpu1.")
}

/// Puts those files into a dump that no earlier stage had.
fn add(dump: &mut Dump, found: &Found, stage: Stage, catalogue: &Catalogue) {
    let known: BTreeSet<String> = dump.keys.iter().map(|key| key.name.clone()).collect();
    for (path, mode) in &found.modes {
        let name = name(path);
        if known.contains(&name) || is_repeated(&name) {
            continue;
        }
        let is_entry = is_entry(catalogue, path);
        let mut key = Key {
            name,
            mode: *mode,
            value: String::new(),
            stage: stage.clone(),
            tried: Vec::new(),
        };
        // Statistics, and what other devices are like.
        if !is_entry && !key.is_writable() && path.starts_with("/sys/") {
            continue;
        }
        // What only tells how things are differs from run to run.
        if is_entry || key.is_writable() {
            key.value = found.values.get(path).cloned().unwrap_or_default();
        }
        dump.keys.push(key);
    }
}

fn is_entry(catalogue: &Catalogue, path: &str) -> bool {
    catalogue.settings().filter(|setting| !matches!(setting.kind, Kind::Record(_))).any(|setting| {
        setting.places.iter().any(|place| place.at.files().iter().any(|file| matches(file, path)))
    })
}

/// Where the repository keeps the dump of a kernel.
pub fn path(member: &Member) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/kernels");
    root.join(format!("{}.txt", member.name()))
}

/// What one dump has and another has not, or has otherwise. Values count where the catalogue names a
/// default: others follow from the machine.
pub fn differences(kept: &Dump, found: &Dump, catalogue: &Catalogue) -> Vec<String> {
    let mut told = Vec::new();
    if kept.config != found.config {
        told.push("its options differ".to_owned());
    }
    if kept.module_options != found.module_options {
        told.push("the options of its modules differ".to_owned());
    }
    if kept.modules != found.modules {
        told.push("its modules differ".to_owned());
    }
    let index = |dump: &Dump| -> BTreeMap<(Stage, String), Key> {
        let keys = dump.keys.iter().map(|key| ((key.stage.clone(), key.name.clone()), key.clone()));
        keys.collect()
    };
    let (kept, found) = (index(kept), index(found));
    for ((stage, name), key) in &kept {
        match found.get(&(stage.clone(), name.clone())) {
            None => told.push(format!("{name} is gone")),
            Some(now) if now.mode != key.mode => {
                told.push(format!("{name} has mode {:o}, not {:o}", now.mode, key.mode));
            }
            Some(now) if now.value != key.value && has_default(catalogue, &key.path()) => {
                told.push(format!("{name} is `{}`, not `{}`", now.value, key.value));
            }
            Some(now) if !now.tried.is_empty() && now.tried != key.tried => {
                told.push(format!("{name} takes {:?}, not {:?}", now.tried, key.tried));
            }
            Some(_) => {}
        }
    }
    told.extend(
        found.keys().filter(|at| !kept.contains_key(at)).map(|(_, name)| format!("{name} is new")),
    );
    told
}

fn has_default(catalogue: &Catalogue, path: &str) -> bool {
    let about = |setting: &&Setting| {
        setting.places.iter().any(|place| place.at.files().iter().any(|file| matches(file, path)))
    };
    catalogue.settings().filter(about).any(|setting| setting.default.is_some())
}
