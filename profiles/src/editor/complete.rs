//! What can be written at a place.

use std::collections::BTreeMap;

use super::around::Region;
use super::{Completion, Completions, Cursor, Meaning};
use crate::catalogue::{Catalogue, Flavour, Kind, Scope, Setting};
use crate::expression::{Type, functions};
use crate::facts::{self, About};
use crate::resolution::subject;
use crate::standard;

/// More than these nobody reads.
const MOST_ITEMS: usize = 200;

/// Words that begin statements, and what they are for.
const AT_TOP: &[(&str, &str)] = &[
    ("profile", "how a kernel is to behave"),
    ("policy", "when to switch to which profile"),
    ("guard", "when to undo a profile"),
];
const IN_PROFILES: &[(&str, &str)] = &[
    ("param", "a value that the profile can be called with"),
    ("require", "what has to hold"),
    ("forbid", "what must not hold"),
    ("kernel", "for which kernels the profile is"),
    ("waive", "a danger that is taken knowingly"),
    ("workload", "programs, and how they run"),
];
const IN_BLOCKS: &[(&str, &str)] = &[
    ("default", "any other value wins"),
    ("force", "no other value wins"),
    ("required", "an error where a kernel does not have it"),
    ("raise", "at least"),
    ("lower", "at most"),
    ("raw", "a file that the catalogue does not know"),
    ("if", "settings under a condition"),
    ("else", "what holds otherwise"),
];
const DEVICES: &[(&str, &str)] = &[
    ("block", "settings of block devices"),
    ("net", "settings of network devices"),
    ("irq", "settings of interrupts"),
    ("cpus", "settings of CPUs"),
    ("cgroup", "settings of control groups"),
];
const IN_WORKLOADS: &[(&str, &str)] = &[
    ("match", "what programs are known by: exec, cgroup, unit, image or user"),
    ("start", "how a program is started"),
    ("cpus", "the CPUs that they run on"),
    ("sched", "scheduling class and priority"),
    ("io", "class and priority of their requests"),
    ("memory", "limits of memory"),
    ("oom_score_adjust", "how likely they are killed when memory runs out"),
];
const IN_POLICIES: &[(&str, &str)] =
    &[("default", "what runs while no rule holds"), ("when", "a reason to switch")];
const IN_RULES: &[(&str, &str)] = &[
    ("for", "for how long it has to hold"),
    ("until", "when to switch back"),
    ("cooldown", "how long to wait after a switch back"),
    ("dwell", "how long to stay at least"),
];
const IN_GUARDS: &[(&str, &str)] =
    &[("confirm within", "how long to wait for a person"), ("rollback if", "a reason to undo it")];

/// What is gathered for one place.
struct List<'c> {
    begun: &'c str,
    items: BTreeMap<(bool, Meaning, String), (String, String)>,
}

impl List<'_> {
    /// Takes in what has the letters in it that were typed.
    fn add(&mut self, label: &str, meaning: Meaning, detail: impl Into<String>, doc: &str) {
        if label.contains(self.begun) {
            let key = (!label.starts_with(self.begun), meaning, label.to_owned());
            self.items.entry(key).or_insert_with(|| (detail.into(), doc.to_owned()));
        }
    }

    fn words(&mut self, words: &[(&str, &str)]) {
        for (word, detail) in words {
            self.add(word, Meaning::Keyword, *detail, "");
        }
    }
}

impl Cursor<'_> {
    /// What can be written here: what begins like the name that was begun, then what has it in it.
    pub fn completions(&self) -> Completions {
        let begun = self.text.get(self.name.start..self.offset).unwrap_or_default();
        let mut list = List { begun, items: BTreeMap::new() };
        if !self.is_prose() {
            self.gather(&mut list);
        }
        let more = list.items.len() > MOST_ITEMS;
        let items = list.items.into_iter().take(MOST_ITEMS);
        let items = items.map(|((_, meaning, label), (detail, doc))| Completion {
            label,
            meaning,
            detail,
            doc,
        });
        Completions { replaced: self.name.clone(), items: items.collect(), more }
    }

    fn gather(&self, list: &mut List<'_>) {
        let before = self.before();
        let first = before.split_whitespace().next();
        if self.names_a_profile() && (self.around.region == Region::Policy || first.is_some()) {
            if before.starts_with("profile ") && !before.contains(" extends ") {
                return list.words(&[("extends", "whom it inherits from")]);
            }
            return self.profiles(list);
        }
        match (self.around.region, first) {
            (Region::Top, _) => list.words(AT_TOP),
            (Region::Policy, None) => {
                list.words(IN_POLICIES);
                list.words(IN_RULES);
            }
            (Region::Policy, Some(_)) => {
                list.words(IN_RULES);
                self.operands(list);
            }
            (Region::Guard, None) => list.words(IN_GUARDS),
            (Region::Guard, Some(_)) => {
                list.words(&[("unreachable", "the kernel does not answer")]);
                self.operands(list);
            }
            (Region::Profile | Region::Workload, _) => self.statement(list, before),
        }
    }

    /// In a statement of a profile or workload, behind these words of it.
    fn statement(&self, list: &mut List<'_>, before: &str) {
        let mut words = before.split_whitespace();
        if let Some((name, given)) = assigned(before) {
            if !given.contains(" if ") {
                self.values(list, name);
            }
            return self.operands(list);
        }
        match words.next() {
            Some("raise" | "lower") if words.any(|word| word == "to") => self.operands(list),
            Some("raise" | "lower") => self.settings(list),
            Some("param") => {
                for name in Type::names() {
                    list.add(name, Meaning::Type, "a type", "");
                }
            }
            Some("require" | "forbid" | "if" | "else") => self.operands(list),
            Some("kernel") => {
                list.words(&[("flavour", "cloud, generic or rt"), ("version", "as in `>= 5.10`")]);
                flavours(list);
            }
            Some("waive") if words.next().is_some() => self.settings(list),
            Some("waive") => list.words(&[
                ("security", "a value that weakens protection"),
                ("range", "a value that is not safe"),
            ]),
            Some("match") => list.words(&[
                ("exec", "by program"),
                ("cgroup", "by control group"),
                ("unit", "by systemd's unit"),
                ("image", "by container image"),
                ("user", "by user"),
            ]),
            Some("default" | "force" | "required") => self.settings(list),
            Some(_) => self.operands(list),
            None if self.around.region == Region::Workload => list.words(IN_WORKLOADS),
            None => {
                self.settings(list);
                list.words(IN_BLOCKS);
                if self.around.devices.is_none() && self.around.names.is_empty() {
                    list.words(IN_PROFILES);
                    list.words(DEVICES);
                }
            }
        }
    }

    /// The settings that can be named here.
    fn settings(&self, list: &mut List<'_>) {
        let Ok(catalogue) = Catalogue::built_in() else { return };
        let mut prefix = self.around.names.join(".");
        if !prefix.is_empty() {
            prefix.push('.');
        }
        let begun = self.around.devices.map(|kind| format!("{}.{prefix}", kind.word()));
        for setting in catalogue.settings() {
            let name = match self.around.devices {
                None => outside(setting),
                kind => subject::called(kind, setting).map(str::to_owned),
            };
            let relative = name.as_deref().and_then(|name| name.strip_prefix(prefix.as_str()));
            // `net { ipv4 { … } }` is about no devices, but the beginning of names.
            let whole = || outside(setting)?.strip_prefix(begun.as_deref()?).map(str::to_owned);
            if let Some(name) = relative.map(str::to_owned).or_else(whole) {
                list.add(&name, Meaning::Setting, setting.kind.wanted(), &setting.doc);
            }
        }
    }

    /// What a setting takes, by name.
    fn values(&self, list: &mut List<'_>, name: &str) {
        let Some(setting) = self.setting(name) else { return };
        let detail = &setting.name;
        match &setting.kind {
            Kind::Choice(words) | Kind::Words(words) => {
                for word in words {
                    list.add(word, Meaning::Value, detail, "");
                }
            }
            Kind::Switch { .. } | Kind::Flag => {
                list.add("on", Meaning::Value, detail, "");
                list.add("off", Meaning::Value, detail, "");
            }
            Kind::Record(forms) => {
                for (form, parts) in forms {
                    let parts = parts.keys().map(|part| format!("{part}: ")).collect::<Vec<_>>();
                    list.add(form, Meaning::Value, format!("{{ {}}}", parts.join(", ")), "");
                }
            }
            _ => {}
        }
    }

    /// What can stand in an expression.
    fn operands(&self, list: &mut List<'_>) {
        for fact in facts::ALL {
            let fits = match fact.about {
                About::Machine | About::Constant => true,
                About::Device => self.around.devices.is_some(),
                About::Signal => self.is_watching(),
                About::Plan => false,
            };
            if fits {
                list.add(fact.name, Meaning::Fact, fact.of.to_string(), fact.doc);
            }
        }
        for (name, usage) in functions() {
            list.add(name, Meaning::Function, usage, "");
        }
        if self.before().contains("kernel.flavour") {
            flavours(list);
        }
        let library = &self.scripts.library;
        let profile = self.around.profile.as_ref();
        let Some(family) = profile.and_then(|name| library.family(name).ok()) else { return };
        for parameter in family.members.iter().flat_map(|member| &member.parameters) {
            let of =
                parameter.of.as_ref().map_or_else(|| "a parameter".to_owned(), Type::to_string);
            list.add(&parameter.name.text, Meaning::Parameter, of, &parameter.doc);
        }
    }

    fn profiles(&self, list: &mut List<'_>) {
        for profile in self.scripts.library.profiles() {
            list.add(&profile.name.text, Meaning::Profile, "profile", &profile.doc);
        }
        for (name, _) in standard::SCRIPTS {
            list.add(name, Meaning::Profile, "standard profile", "");
        }
    }

    /// The setting that a name stands for here.
    pub(super) fn setting(&self, name: &str) -> Option<&'static Setting> {
        let catalogue = Catalogue::built_in().ok()?;
        let below = self.around.names.iter().map(String::as_str).chain([name]);
        let whole = below.collect::<Vec<_>>().join(".");
        let kind = self.around.devices;
        subject::named(&whole, kind, catalogue).or_else(|| subject::named(name, None, catalogue))
    }
}

fn flavours(list: &mut List<'_>) {
    for flavour in [Flavour::Cloud, Flavour::Generic, Flavour::Rt] {
        list.add(&flavour.to_string(), Meaning::Value, "flavour of a kernel", "");
    }
}

/// What a setting is called outside of blocks for devices; none where it can only stand in one.
fn outside(setting: &Setting) -> Option<String> {
    match setting.scope {
        Scope::PerNet if setting.name.contains(".conf.") => {
            Some(setting.name.replace(".conf.", ".conf.all."))
        }
        Scope::PerBlock | Scope::PerNet | Scope::PerCpu | Scope::PerIrq | Scope::PerNode => None,
        Scope::PerCgroup | Scope::PerWorkload => None,
        _ => Some(setting.name.clone()),
    }
}

/// The name before an assignment, and what stands behind its sign so far.
pub(super) fn assigned(before: &str) -> Option<(&str, &str)> {
    let signs = before.match_indices('=').map(|(at, _)| at);
    let alone = signs.filter(|at| {
        let around = |at: Option<usize>| at.and_then(|at| before.as_bytes().get(at));
        let compares = |byte: Option<&u8>| byte.is_some_and(|byte| b"=<>!".contains(byte));
        !compares(around(at.checked_sub(1))) && !compares(around(at.checked_add(1)))
    });
    let at = alone.min()?;
    let (name, given) = before.split_at_checked(at)?;
    let name = name.trim_end_matches(['+', '-']).split_whitespace().last()?;
    Some((name, given.get(1..)?))
}
