//! The data, held against a kernel that was booted.

use std::collections::{BTreeMap, BTreeSet};

use super::dump::{Dump, Key};
use super::kernel::Presence;
use super::noise;
use super::place::{Access, At, Place};
use super::setting::{Couple, Kind, Reads, Setting};
use super::{Catalogue, ranges};

/// The files of a dump, found by patterns.
struct Files<'d> {
    by_path: BTreeMap<String, Vec<&'d Key>>,
}

impl<'d> Files<'d> {
    fn of(dump: &'d Dump) -> Self {
        let mut by_path: BTreeMap<String, Vec<&Key>> = BTreeMap::new();
        for key in &dump.keys {
            by_path.entry(key.path()).or_default().push(key);
        }
        Self { by_path }
    }

    /// Those that a place can be.
    fn at(&self, place: &At) -> Vec<&'d Key> {
        let mut found = Vec::new();
        for pattern in place.files() {
            let Some((before, _)) = pattern.split_once('*') else {
                found.extend(self.by_path.get(&pattern).into_iter().flatten());
                continue;
            };
            let near = self.by_path.range(before.to_owned()..);
            let near = near.take_while(|(path, _)| path.starts_with(before));
            let fits = near.filter(|(path, _)| noise::matches(&pattern, path));
            found.extend(fits.flat_map(|(_, keys)| keys));
        }
        found
    }
}

impl Catalogue {
    /// Every difference between the catalogue and a booted kernel that no entry explains: settings that
    /// are there or are not, against what the entry says; modes; defaults; files that can be written and
    /// are neither in an entry nor left out on purpose.
    pub fn unexplained(&self, dump: &Dump) -> Vec<String> {
        let files = Files::of(dump);
        let mut complaints = Vec::new();
        for setting in self.settings().filter(|setting| !matches!(setting.kind, Kind::Record(_))) {
            let told = complaints.len();
            place(setting, dump, &files, &mut complaints);
            if complaints.len() == told {
                default(setting, dump, &files, &mut complaints);
                tried(setting, dump, &files, &mut complaints);
            }
        }
        self.unknown(dump, &files, &mut complaints);
        complaints
    }

    fn unknown(&self, dump: &Dump, files: &Files<'_>, complaints: &mut Vec<String>) {
        let places = self.settings().flat_map(|setting| &setting.places);
        let known: BTreeSet<&str> =
            places.flat_map(|place| files.at(&place.at)).map(|key| key.name.as_str()).collect();
        let options = self.settings().flat_map(|setting| &setting.places).filter_map(|place| {
            let At::ModuleOption(option) = &place.at else { return None };
            let (module, option) = option.split_once('.')?;
            Some(format!("/sys/module/{module}/parameters/{option}"))
        });
        let options: BTreeSet<String> = options.collect();
        for key in dump.keys.iter().filter(|key| key.is_writable()) {
            let is_noise = self.noise().iter().any(|noise| noise.matches(&key.name));
            let is_known = known.contains(key.name.as_str()) || options.contains(&key.name);
            match (is_known, is_noise) {
                (false, false) => complaints.push(format!("{} is not known", key.name)),
                (true, true) => complaints.push(format!("{} is noise, too", key.name)),
                _ => {}
            }
        }
    }
}

/// Whether the dump cannot show the setting, because its modules are not in that kernel.
fn lacks_modules(setting: &Setting, dump: &Dump) -> bool {
    setting.modules.iter().any(|module| !dump.modules.contains(&module.replace('-', "_")))
}

fn place(setting: &Setting, dump: &Dump, files: &Files<'_>, complaints: &mut Vec<String>) {
    let name = &setting.name;
    match dump.kernel.find(setting) {
        Presence::Present(place) => {
            let found = files.at(&place.at);
            if let Some(complaint) = missing(setting, place, &found, dump) {
                complaints.push(format!("{name}: {complaint}"));
            }
            let depends = matches!(place.access, Access::Depends(_));
            for key in found.iter().filter(|_| !depends) {
                let (readable, writable) = match place.access {
                    Access::WriteOnly => (false, true),
                    Access::ReadOnly => (true, false),
                    _ => (true, true),
                };
                // A file that takes writes only may have all its bits, and say nothing.
                if key.is_writable() != writable || (readable && !key.is_readable()) {
                    complaints.push(format!("{name}: {} has mode {:o}", key.name, key.mode));
                }
            }
        }
        Presence::Absent(why) => {
            for key in setting.places.iter().flat_map(|place| files.at(&place.at)) {
                complaints.push(format!("{name}: {} is there, against: {why}", key.name));
            }
        }
    }
}

/// What is to be said where a place shows no file.
fn missing(setting: &Setting, place: &Place, found: &[&Key], dump: &Dump) -> Option<String> {
    // What only tells about something else is there with that.
    let with_other = place.access == Access::ReadOnly
        && setting.couples.iter().any(|couple| matches!(couple, Couple::Needs(_)));
    let depends = matches!(place.access, Access::Depends(_));
    let explained = depends || with_other || lacks_modules(setting, dump);
    if !found.is_empty() || explained {
        return None;
    }
    match &place.at {
        At::ModuleOption(option) => (!dump.module_options.contains(option))
            .then(|| format!("there is no option {option}, the catalogue says there is")),
        // Most of them are system calls.
        At::Task(_) => None,
        at => {
            let files = at.files();
            (!files.is_empty())
                .then(|| format!("{} is not there, the catalogue says it is", files.join(" or ")))
        }
    }
}

fn default(setting: &Setting, dump: &Dump, files: &Files<'_>, complaints: &mut Vec<String>) {
    let Some(default) = setting.default.as_ref().and_then(|default| default.of(&dump.kernel))
    else {
        return;
    };
    let Presence::Present(place) = dump.kernel.find(setting) else { return };
    // What a task has is what it was started with.
    if matches!(place.at, At::Task(_)) {
        return;
    }
    for key in files.at(&place.at).into_iter().filter(|key| key.is_readable()) {
        let value = in_force(&setting.reads, &key.value);
        if value != default && !matches!(setting.reads, Reads::WriteOnly) {
            let name = &setting.name;
            complaints.push(format!("{name}: {} is `{value}`, not `{default}`", key.name));
        }
    }
}

fn tried(setting: &Setting, dump: &Dump, files: &Files<'_>, complaints: &mut Vec<String>) {
    let Presence::Present(place) = dump.kernel.find(setting) else { return };
    for key in files.at(&place.at) {
        complaints.extend(ranges::complaints(setting, dump, key));
    }
}

/// The value in force, where a file shows all that there are.
fn in_force<'v>(reads: &Reads, value: &'v str) -> &'v str {
    let between = |open, close| {
        let (_, rest) = value.split_once(open)?;
        Some(rest.split_once(close)?.0)
    };
    match reads {
        Reads::Bracketed => between('[', ']').unwrap_or(value),
        Reads::Parenthesized => between('(', ')').unwrap_or(value),
        _ => value,
    }
}
