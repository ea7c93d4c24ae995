//! Profiles of TuneD as their files have them: units with options.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ini::{self, Entry, Section};
use crate::import::error::ImportError;
use crate::import::item::Origin;
use crate::import::name;
use crate::import::remark::Place;

/// An option, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub value: String,
    pub origin: Origin,
}

/// A section: options for one of TuneD's plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    /// The plugin.
    pub kind: String,
    pub enabled: bool,
    /// Whether it takes the place of the parents' unit instead of adding to it.
    pub replace: bool,
    /// Options of the parents that go.
    pub drop: BTreeSet<String>,
    pub devices: String,
    /// Which devices, by their udev properties; which machines, by their CPU and their `uname`.
    pub devices_udev_regex: Option<Setting>,
    pub cpuinfo_regex: Option<Setting>,
    pub uname_regex: Option<Setting>,
    /// Programs that are run for each device.
    pub scripts: Vec<Setting>,
    pub priority: i64,
    pub options: Vec<Setting>,
    pub origin: Origin,
}

/// One `tuned.conf`.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its folder's name.
    pub name: String,
    pub folder: PathBuf,
    pub summary: Vec<String>,
    /// What it includes, as the file says it.
    pub include: Option<Setting>,
    /// Other options of `[main]`.
    pub main: Vec<Setting>,
    pub units: Vec<Unit>,
    /// The file's first line.
    pub start: Place,
}

/// Words that TuneD takes for true.
fn is_true(text: &str) -> bool {
    matches!(text, "True" | "true" | "1")
}

/// At commas and semicolons.
pub fn names(text: &str) -> Vec<String> {
    let names = text.split([',', ';']).map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// What stands in a line, with its section.
fn origin(entry: &Entry, section: &str, owner: &str) -> Origin {
    let said = name::shortened(&format!("[{section}] {} = {}", entry.name, entry.value));
    Origin { at: entry.at.clone(), owner: owner.to_owned(), said }
}

impl Profile {
    /// Reads a file.
    pub fn read(name: &str, path: &Path, text: &str, errors: &mut ImportError) -> Self {
        let file: Arc<Path> = path.into();
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut profile = Self {
            name: name.to_owned(),
            folder,
            summary: Vec::new(),
            include: None,
            main: Vec::new(),
            units: Vec::new(),
            start: Place::new(&file, 1),
        };
        for section in ini::read(&file, text, true, errors) {
            if section.name == "main" {
                profile.main(section);
            } else {
                let unit = Unit::of(section, &profile);
                profile.units.push(unit);
            }
        }
        profile
    }

    fn setting(&self, entry: Entry, section: &str) -> Setting {
        let origin = origin(&entry, section, &self.name);
        // Where it is not escaped.
        let own = self.folder.to_string_lossy();
        let value = entry.value.replace("${i:PROFILE_DIR}", &own);
        Setting { name: entry.name, value, origin }
    }

    fn main(&mut self, section: Section) {
        for entry in section.entries {
            let setting = self.setting(entry, "main");
            match setting.name.as_str() {
                "summary" => self.summary.insert(0, setting.value),
                "description" => self.summary.push(setting.value),
                "include" => self.include = Some(setting),
                _ => self.main.push(setting),
            }
        }
    }
}

impl Unit {
    fn of(section: Section, profile: &Profile) -> Self {
        let said = name::shortened(&format!("[{}]", section.name));
        let origin = Origin { at: section.at, owner: profile.name.clone(), said };
        let mut unit = Self {
            kind: section.name.clone(),
            name: section.name.clone(),
            enabled: true,
            replace: false,
            drop: BTreeSet::new(),
            devices: "*".to_owned(),
            devices_udev_regex: None,
            cpuinfo_regex: None,
            uname_regex: None,
            scripts: Vec::new(),
            priority: 0,
            options: Vec::new(),
            origin,
        };
        for entry in section.entries {
            let setting = profile.setting(entry, &section.name);
            match setting.name.as_str() {
                "type" => unit.kind = setting.value,
                "enabled" => unit.enabled = is_true(&setting.value),
                "replace" => unit.replace = is_true(&setting.value),
                "drop" => unit.drop = names(&setting.value).into_iter().collect(),
                "devices" => unit.devices = setting.value,
                "devices_udev_regex" => unit.devices_udev_regex = Some(setting),
                "cpuinfo_regex" => unit.cpuinfo_regex = Some(setting),
                "uname_regex" => unit.uname_regex = Some(setting),
                "script_pre" | "script_post" => unit.scripts.push(setting),
                "priority" if setting.value.parse::<i64>().is_ok() => {
                    unit.priority = setting.value.parse().unwrap_or_default();
                }
                _ => unit.options.push(setting),
            }
        }
        unit
    }

    /// Adds what a later profile says of the same unit, by TuneD's rules.
    fn add(&mut self, later: &Self) {
        self.kind.clone_from(&later.kind);
        self.enabled = later.enabled;
        self.devices.clone_from(&later.devices);
        self.origin = later.origin.clone();
        let newer = |own: &mut Option<Setting>, later: &Option<Setting>| {
            if later.is_some() {
                own.clone_from(later);
            }
        };
        newer(&mut self.devices_udev_regex, &later.devices_udev_regex);
        newer(&mut self.cpuinfo_regex, &later.cpuinfo_regex);
        newer(&mut self.uname_regex, &later.uname_regex);
        for script in &later.scripts {
            self.scripts.retain(|own| own.name != script.name);
            self.scripts.push(script.clone());
        }
        if later.priority != 0 {
            self.priority = later.priority;
        }
        self.options.retain(|option| !later.drop.contains(&option.name));
        for option in &later.options {
            // TuneD runs the scripts of all profiles, one behind the other.
            let script = self.name == "script" && option.name == "script";
            match self.options.iter_mut().find(|own| own.name == option.name) {
                Some(own) if !script => *own = option.clone(),
                _ => self.options.push(option.clone()),
            }
        }
    }
}

/// The units of profiles together: later ones add to earlier ones, or take their place.
pub fn merged<'p>(profiles: impl Iterator<Item = &'p Profile>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for profile in profiles {
        for unit in &profile.units {
            match units.iter_mut().find(|known| known.name == unit.name) {
                Some(known) if unit.replace => *known = unit.clone(),
                Some(known) => known.add(unit),
                None => units.push(unit.clone()),
            }
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, text: &str) -> Profile {
        let mut errors = ImportError::default();
        let path = PathBuf::from(format!("/p/{name}/tuned.conf"));
        let profile = Profile::read(name, &path, text, &mut errors);
        assert!(errors.into_result().is_ok());
        profile
    }

    fn options(units: &[Unit]) -> Vec<String> {
        let option = |unit: &Unit| {
            let options = unit.options.iter();
            let options =
                options.map(|it| format!("{}={}({})", it.name, it.value, it.origin.owner));
            format!("{}: {}", unit.name, options.collect::<Vec<_>>().join(" "))
        };
        units.iter().map(option).collect()
    }

    #[test]
    fn later_profiles_add_replace_and_drop() {
        let parent = profile("a", "[x]\nk=1\nl=2\n[y]\nk=1\n[z]\nk=1\nl=1\n");
        let child = profile("b", "[x]\nk=3\nm=4\n[y]\nreplace=1\nn=5\n[z]\ndrop=k,q\n");
        assert_eq!(
            options(&merged([&parent, &child].into_iter())),
            ["x: k=3(b) l=2(a) m=4(b)", "y: n=5(b)", "z: l=1(a)"]
        );
    }

    #[test]
    fn scripts_are_run_one_behind_the_other() {
        let one = profile("a", "[script]\nscript=${i:PROFILE_DIR}/s.sh\n");
        let two = profile("b", "[script]\nscript=t.sh\n");
        assert_eq!(
            options(&merged([&one, &two].into_iter())),
            ["script: script=/p/a/s.sh(a) script=t.sh(b)"]
        );
    }

    #[test]
    fn the_unit_s_own_options_are_told_apart() {
        let one = profile(
            "a",
            "[main]\nsummary=S\ninclude=b, c\n[d]\ntype=disk\ndevices=sd*\nenabled=0\npriority=5\nelevator=none\n",
        );
        assert_eq!(names(&one.include.unwrap().value), ["b", "c"]);
        let unit = one.units.first().unwrap();
        assert_eq!((unit.kind.as_str(), unit.devices.as_str()), ("disk", "sd*"));
        assert_eq!((unit.enabled, unit.priority, unit.options.len()), (false, 5, 1));
    }
}
