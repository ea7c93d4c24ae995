//! TuneD profiles: what they say by TuneD's own rules, and what of it KernelScript can say.
//!
//! Reading goes as in TuneD 2.20 (`profiles/loader.py`, `merger.py`, `variables.py`): a profile's units
//! are those of all that it includes, later ones over earlier ones; variables are put in; then each
//! plugin looks at its options. Here a plugin's options become settings of the catalogue, and
//! [inheritance](inherit) turns `include` into `extends` again.

mod cpulist;
mod functions;
mod inherit;
mod ini;
mod load;
mod plugins;
mod symbols;
#[cfg(test)]
mod tests;
mod unit;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::emit::{Draft, Drafts};
use super::error::{ImportError, Problem};
use super::files::{FileKind, Files};
use super::item::{Change, Item, Origin, Subject, settled};
use super::remark::{Place, Remark};
use super::{Options, name};
use crate::catalogue::Catalogue;
use cpulist::CpuList;
use load::Loaded;
use plugins::Lowering;
use symbols::{CpuExpression, Symbol};
use unit::{Profile, Setting, Unit};
use variables::{LONGEST, Variables};

/// The file of a profile, in its folder.
pub const FILE: &str = "tuned.conf";

/// What a profile with all that it includes comes to.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    pub items: Vec<Item>,
    pub remarks: Vec<Remark>,
}

/// Reads profiles, and writes those that were asked for and those that they extend.
pub fn import(
    paths: &[PathBuf],
    files: &dyn Files,
    catalogue: &Catalogue,
    options: &Options,
) -> Result<Drafts, ImportError> {
    let loaded = load::load(paths, files, options)?;
    let names = scripts_names(&loaded, options);
    let mut errors = ImportError::default();
    let mut effective = BTreeMap::new();
    for name in loaded.profiles.keys() {
        let worked_out = work_out(name, &loaded, files, catalogue, &mut errors);
        effective.insert(name.clone(), worked_out);
    }
    errors.into_result()?;
    let mut drafts = Drafts { profiles: Vec::new(), remarks: loaded.remarks.clone() };
    let mut done = Vec::new();
    for name in &loaded.wanted {
        draft(name, &loaded, &effective, &names, options, &mut done, &mut drafts);
    }
    // Whoever reads the script knows the names that stand there.
    let renamed = |owner: &mut String| {
        if let Some(name) = names.get(owner.as_str()) {
            owner.clone_from(name);
        }
    };
    drafts.remarks.iter_mut().for_each(|remark| renamed(&mut remark.profile));
    let items = drafts.profiles.iter_mut().flat_map(|draft| &mut draft.items);
    items.for_each(|item| renamed(&mut item.origin.owner));
    Ok(drafts)
}

/// A name of scripts for each profile, no two alike.
fn scripts_names(loaded: &Loaded, options: &Options) -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for own in loaded.profiles.keys() {
        let wanted = match (&options.name, loaded.wanted.as_slice()) {
            (Some(name), [one]) if one == own => name::made(name, "profile"),
            _ => name::made(own, "profile"),
        };
        let taken = |name: &str| names.values().any(|known| known == name);
        let mut unique = wanted.clone();
        for number in 2.. {
            if !taken(&unique) {
                break;
            }
            unique = format!("{wanted}-{number}");
        }
        names.insert(own.clone(), unique);
    }
    names
}

/// Adds a profile behind those that it extends.
fn draft(
    name: &str,
    loaded: &Loaded,
    effective: &BTreeMap<String, Effective>,
    names: &BTreeMap<String, String>,
    options: &Options,
    done: &mut Vec<String>,
    drafts: &mut Drafts,
) {
    if done.iter().any(|known| known == name) {
        return;
    }
    done.push(name.to_owned());
    let (Some((profile, includes)), Some(own)) = (loaded.profiles.get(name), effective.get(name))
    else {
        return;
    };
    let parents = includes.iter().filter_map(|name| Some((name.as_str(), effective.get(name)?)));
    let parents: Vec<(&str, &Effective)> = parents.collect();
    let inherited = inherit::inherit(profile, own, &parents, options);
    for parent in &inherited.parents {
        draft(parent, loaded, effective, names, options, done, drafts);
    }
    drafts.remarks.extend(own.remarks.iter().cloned());
    drafts.remarks.extend(inherited.remark);
    let named = |name: &String| names.get(name).cloned().unwrap_or_default();
    let doc = profile.summary.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    let parents = inherited.parents.iter().map(named).collect();
    let name = named(&name.to_owned());
    drafts.profiles.push(Draft { name, doc, parents, items: inherited.items });
}

/// What a profile comes to.
fn work_out(
    name: &str,
    loaded: &Loaded,
    files: &dyn Files,
    catalogue: &Catalogue,
    errors: &mut ImportError,
) -> Effective {
    let order = loaded.order(name);
    let mut units = unit::merged(order.iter().copied());
    let mut defined = Defined::default();
    if let Some(at) = units.iter().position(|unit| unit.name == "variables") {
        defined.read(&units.remove(at), files, errors);
    }
    for profile in &order {
        for setting in &profile.main {
            let why = "KernelScript has nothing for this option of [main]";
            defined.variables.remarks.push(setting.origin.left_out(why));
        }
    }
    let Defined { variables, parameters } = defined;
    let mut lowering = Lowering::new(catalogue, variables);
    // Sorted as TuneD creates its plugins.
    units.sort_by_key(|unit| unit.priority);
    for unit in &units {
        lowering.unit(unit, errors);
    }
    let (mut items, mut remarks) = lowering.finish();
    let used = |parameter: &Item| {
        let Subject::Parameter(name) = &parameter.subject else { return false };
        items.iter().any(|item| speaks_of(item, name))
    };
    let mut all: Vec<Item> = parameters.into_iter().filter(used).collect();
    all.append(&mut items);
    let items = settled(all, catalogue, &mut remarks);
    Effective { items, remarks }
}

/// Whether an expression of a statement has a name in it.
fn speaks_of(item: &Item, name: &str) -> bool {
    let texts: [&str; 2] = match (&item.subject, &item.change) {
        (Subject::Requirement(text), _) => [text, ""],
        (Subject::Setting(_, super::item::Of::Cpus(cpus)), Change::Set(text)) => [cpus, text],
        (_, Change::Set(text)) if item.value.is_none() => [text, ""],
        _ => return false,
    };
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    texts.iter().any(|text| text.split(|char| !is_part(char)).any(|word| word == name))
}

/// Variables, and those of them that become parameters.
#[derive(Default)]
struct Defined {
    variables: Variables,
    parameters: Vec<Item>,
}

impl Defined {
    /// Defines what `[variables]` says, in its order; each file where its `include` stands.
    fn read(&mut self, unit: &Unit, files: &dyn Files, errors: &mut ImportError) {
        for setting in &unit.options {
            if setting.name == "include" {
                self.file(setting, files, errors);
            } else if let Some(text) = self.expanded(setting, errors) {
                self.variables.define(&setting.name, text);
            }
        }
    }

    fn expanded(&mut self, setting: &Setting, errors: &mut ImportError) -> Option<String> {
        let expanded = self.variables.expand(&setting.value, &setting.origin);
        if expanded.is_err() {
            let (at, name) = (setting.origin.at.clone(), setting.name.clone());
            errors.push(Problem::Expansion { at, name, most: LONGEST });
        }
        expanded.ok()
    }

    /// Reads a file of variables. They are there for whoever runs the machine, so CPUs in them become
    /// parameters.
    fn file(&mut self, include: &Setting, files: &dyn Files, errors: &mut ImportError) {
        let path = Path::new(&include.value);
        if files.kind(path) != Some(FileKind::File) {
            let why = "there is no such file, so its variables are not defined";
            self.variables.remarks.push(include.origin.left_out(why));
            return;
        }
        let text = match files.read(path) {
            Ok(text) => text,
            Err(problem) => return errors.push(problem),
        };
        let file: Arc<Path> = path.into();
        // Lines that only name a variable are allowed, and say nothing.
        let lines = text.lines().map(|line| if line.contains('=') { line } else { "" });
        let text = lines.collect::<Vec<_>>().join("\n");
        for section in ini::read(&file, &text, false, errors) {
            for entry in section.entries {
                let origin = Origin {
                    at: entry.at.clone(),
                    owner: include.origin.owner.clone(),
                    said: name::shortened(&format!("{} = {}", entry.name, entry.value)),
                };
                let setting = Setting { name: entry.name, value: entry.value, origin };
                let Some(text) = self.expanded(&setting, errors) else { continue };
                let text = self.parameter(&setting, &text).unwrap_or(text);
                self.variables.define(&setting.name, text);
            }
        }
    }

    /// Makes a parameter of a variable that holds CPUs.
    fn parameter(&mut self, setting: &Setting, text: &str) -> Option<String> {
        let symbols = &self.variables.symbols;
        let named_so = ["core", "cpu"].iter().any(|word| setting.name.contains(word));
        let is_set = matches!(symbols.alone(text), Some(Symbol::Cpus(_)));
        let list = (named_so || is_set).then(|| CpuList::read(text, symbols)).flatten();
        let default = list?.expression()?;
        let name = name::made(&setting.name, "cpus");
        let subject = Subject::Parameter(name.clone());
        self.parameters.retain(|item| item.subject != subject);
        let change = Change::Set(default.to_string());
        self.parameters.push(Item::stated(subject, change, setting.origin.clone()));
        let symbol = Symbol::Cpus(CpuExpression::name(&name));
        Some(self.variables.symbols.put(symbol).into())
    }
}

/// Where a profile begins.
fn start(profile: &Profile) -> Origin {
    let said = format!("profile {}", profile.name);
    let at: Place = profile.start.clone();
    Origin { at, owner: profile.name.clone(), said }
}
