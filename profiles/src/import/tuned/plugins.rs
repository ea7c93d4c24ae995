//! What TuneD's plugins do with their options, as settings.
//!
//! One function a plugin that has something to say in KernelScript; what the others do, and why it
//! cannot be said, is one [table](nothing).

mod boot;
mod cpu;
mod devices;
mod kernel_files;
mod net;
mod nothing;
mod scheduler;

use std::collections::HashMap;

use super::cpulist::CpuList;
use super::symbols::{Symbol, Symbols};
use super::unit::{Setting, Unit};
use super::variables::{LONGEST, TooLong, Variables, unresolved};
use crate::catalogue::{self, At, Catalogue, Kind};
use crate::import::error::{ImportError, Problem};
use crate::import::find;
use crate::import::item::{Change, Direction, Item, Of, Origin, Subject};
use crate::import::kernel_text::Numbers;
use crate::import::remark::{Fate, Remark};
use transaction::glob::matches;

/// More devices are not selected by one section.
const MOST_DEVICES: usize = 64;

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Known now.
    Text(String),
    /// CPUs as an expression.
    Cpus(String),
    /// A number as an expression.
    Number(String),
}

/// Why an option is not in the script.
type Obstacle = String;

/// Units on the way to statements.
pub(super) struct Lowering<'a> {
    catalogue: &'a Catalogue,
    variables: Variables,
    items: Vec<Item>,
    remarks: Vec<Remark>,
    /// Patterns of devices that earlier units of a plugin have taken.
    taken: HashMap<String, Vec<String>>,
    /// Words for the command line, with `-` those that go.
    words: boot::Words,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, variables: Variables) -> Self {
        Self {
            catalogue,
            variables,
            items: Vec::new(),
            remarks: Vec::new(),
            taken: HashMap::new(),
            words: boot::Words::default(),
        }
    }

    /// Takes in a unit.
    pub(super) fn unit(&mut self, unit: &Unit, errors: &mut ImportError) {
        if let Some(why) = self.obstacle(unit) {
            return self.unit_left_out(unit, &why);
        }
        for script in &unit.scripts {
            let why = "a script would act on each device, and importing carries none over";
            self.leave_out(&script.origin, why);
        }
        self.dynamic(unit);
        for option in &unit.options {
            let expanded = match self.variables.expand(&option.value, &option.origin) {
                Ok(text) => text,
                Err(TooLong) => {
                    let (at, name) = (option.origin.at.clone(), option.name.clone());
                    errors.push(Problem::Expansion { at, name, most: LONGEST });
                    continue;
                }
            };
            let before = (self.items.len(), self.remarks.len());
            if let Err(why) = self.option(unit, option, &expanded) {
                self.leave_out(&option.origin, &why);
            } else if before == (self.items.len(), self.remarks.len())
                && !self.words.came_from(&option.origin)
            {
                // Nothing vanishes.
                self.leave_out(&option.origin, "it says nothing");
            }
        }
        self.claim(unit);
    }

    /// The statements, with those of the command line and what TuneD requires.
    pub(super) fn finish(mut self) -> (Vec<Item>, Vec<Remark>) {
        self.command_line();
        let mut all: Vec<Item> = Vec::new();
        for (expression, origin) in std::mem::take(&mut self.variables.required) {
            all.push(Item::stated(Subject::Requirement(expression), Change::Stated, origin));
        }
        all.append(&mut self.items);
        self.remarks.append(&mut self.variables.remarks);
        (all, self.remarks)
    }

    /// Why a whole unit is not in force, or cannot be.
    fn obstacle(&self, unit: &Unit) -> Option<Obstacle> {
        if !unit.enabled {
            return Some("the section is switched off".to_owned());
        }
        let pattern = |regex: &Setting| crate::diagnostic::quoted(&regex.value);
        if let Some(regex) = &unit.uname_regex {
            let regex = pattern(regex);
            return Some(format!(
                "only for machines whose `uname` fits `{regex}`: there is no such fact"
            ));
        }
        if let Some(regex) = &unit.cpuinfo_regex {
            let regex = pattern(regex);
            return Some(format!("only for CPUs that fit `{regex}`: there is no such fact"));
        }
        unit.devices_udev_regex.as_ref().map(|regex| {
            let regex = pattern(regex);
            format!("only for devices whose udev properties fit `{regex}`: scripts go by names")
        })
    }

    fn unit_left_out(&mut self, unit: &Unit, why: &str) {
        if unit.options.is_empty() {
            self.leave_out(&unit.origin, why);
        }
        for option in &unit.options {
            self.leave_out(&option.origin, why);
        }
    }

    fn option(&mut self, unit: &Unit, option: &Setting, text: &str) -> Result<(), Obstacle> {
        match unit.kind.as_str() {
            "sysctl" => self.sysctl(option, text),
            "sysfs" => self.sysfs(option, text),
            "vm" => self.vm(option, text),
            "cpu" => self.cpu(unit, option, text),
            "disk" => self.disk(unit, option, text),
            "scsi_host" => self.scsi_host(unit, option, text),
            "audio" => self.audio(unit, option, text),
            "selinux" => self.selinux(option, text),
            "acpi" => self.acpi(option, text),
            "net" => self.net(unit, option, text),
            "bootloader" => self.bootloader(option, text),
            "modules" => self.modules(option, text),
            "scheduler" => self.scheduler(option, text),
            _ => Err(nothing::why(&unit.kind, &option.name).to_owned()),
        }
    }

    /// Tells what a plugin does by itself for as long as TuneD runs.
    fn dynamic(&mut self, unit: &Unit) {
        let has = |name: &str| unit.options.iter().any(|option| option.name == name);
        let off = unit.options.iter().any(|option| {
            option.name == "dynamic" && matches!(option.value.as_str(), "0" | "false" | "False")
        });
        let why = match unit.kind.as_str() {
            "cpu" if !has("force_latency") => {
                "TuneD changes the latency of idle CPUs with their load while it runs; scripts say what holds"
            }
            "disk" if !off => {
                "TuneD changes power saving of disks with their use while it runs; scripts say what holds"
            }
            "net" if !off => {
                "TuneD changes the speed of links with their use while it runs; scripts say what holds"
            }
            kind if unit.options.is_empty() => nothing::why(kind, ""),
            _ => return,
        };
        self.leave_out(&unit.origin, why);
    }

    fn leave_out(&mut self, origin: &Origin, why: &str) {
        self.remarks.push(origin.left_out(why));
    }

    fn change(&mut self, origin: &Origin, why: &str) {
        self.remarks.push(origin.remark(Fate::Changed, why));
    }

    fn symbols(&self) -> &Symbols {
        &self.variables.symbols
    }

    /// What an option is worth, if that can be said at all.
    fn worth(&self, text: &str) -> Result<Worth, Obstacle> {
        let symbols = self.symbols();
        if let Some(why) = symbols.unknown(text) {
            return Err(why.to_owned());
        }
        if let Some(why) = unresolved(text) {
            return Err(why);
        }
        match symbols.alone(text) {
            Some(Symbol::Cpus(cpus)) => Ok(Worth::Cpus(cpus.to_string())),
            Some(Symbol::Number(number)) => Ok(Worth::Number(number.clone())),
            _ if symbols.stand_in(text) => {
                let told = crate::diagnostic::quoted(&symbols.told(text));
                Err(format!("a part of `{told}` is known by the machine only"))
            }
            _ => Ok(Worth::Text(text.to_owned())),
        }
    }

    /// The text of an option that has to be known now.
    fn known(&self, text: &str) -> Result<String, Obstacle> {
        match self.worth(text)? {
            Worth::Text(text) => Ok(text),
            Worth::Cpus(expression) | Worth::Number(expression) => {
                Err(format!("`{expression}` is known by the machine only"))
            }
        }
    }

    /// Sets a setting of the catalogue by its name.
    fn set(
        &mut self,
        (name, of): (&str, Of),
        text: &str,
        modifiers: bool,
        origin: &Origin,
    ) -> Result<(), Obstacle> {
        let worth = self.worth(text)?;
        let Some(setting) = self.catalogue.get(name) else {
            return Err(format!("the catalogue has no `{name}`"));
        };
        let item = item(setting, of, &worth, modifiers, Numbers::Doubtful, origin)?;
        self.items.push(item);
        Ok(())
    }

    /// Sets what is at a place of the catalogue.
    fn set_at(&mut self, (at, of): (At, Of), text: &str, origin: &Origin) -> Result<(), Obstacle> {
        match find::at(self.catalogue, &at) {
            Some(setting) => {
                let name = setting.name.clone();
                self.set((&name, of), text, true, origin)
            }
            None => Err(format!("the catalogue has nothing for {}", place(&at))),
        }
    }

    /// Writes a file that the catalogue does not know.
    fn raw(&mut self, path: &str, text: &str, origin: &Origin) -> Result<(), Obstacle> {
        let text = self.known(text)?;
        if text.starts_with(['<', '>']) && text.len() > 1 {
            let why =
                "the catalogue does not know this file, and files cannot be raised or lowered";
            return Err(why.to_owned());
        }
        let mut item = Item::raw(path, &text, origin.clone())?;
        item.note = Some("`raw`, as the catalogue does not know it".to_owned());
        self.items.push(item);
        Ok(())
    }

    /// CPUs that a text names.
    fn cpus(&self, text: &str) -> Result<Option<super::symbols::CpuExpression>, Obstacle> {
        if let Some(why) = self.symbols().unknown(text) {
            return Err(why.to_owned());
        }
        if let Some(why) = unresolved(text) {
            return Err(why);
        }
        match CpuList::read(text, self.symbols()) {
            Some(list) => Ok(list.expression()),
            None => Err(format!("`{}` is no list of CPUs", crate::diagnostic::quoted(text))),
        }
    }

    /// The patterns of devices that a unit is for.
    ///
    /// TuneD gives each device to the first unit of a plugin that asks for it. So a unit has nothing left
    /// where an earlier one asked for everything; and where one asked for some, the later's values are
    /// for the others, for which scripts have `default`.
    fn devices(&mut self, unit: &Unit) -> Result<(Vec<String>, bool), Obstacle> {
        let text = self.variables.expand(&unit.devices, &unit.origin).unwrap_or_default();
        let text = self.known(&text)?;
        let words = text.split([' ', ',', '\n']).map(str::trim).filter(|word| !word.is_empty());
        let mut patterns: Vec<String> = words.map(str::to_owned).collect();
        if patterns.len() > MOST_DEVICES {
            return Err(format!("it names more than {MOST_DEVICES} devices"));
        }
        if let Some(not) = patterns.iter().find(|word| word.starts_with('!')) {
            return Err(format!("all devices but `{not}`: scripts cannot leave any out"));
        }
        if let Some(odd) = patterns.iter().find(|word| word.contains(['[', '/']) || word.len() > 64)
        {
            let odd = crate::diagnostic::quoted(odd);
            return Err(format!("`{odd}` is no pattern of scripts, which have `*` and `?`"));
        }
        if patterns.is_empty() {
            patterns.push("*".to_owned());
        }
        let taken = self.taken.get(&unit.kind).map(Vec::as_slice).unwrap_or_default();
        let is_taken = |own: &String| taken.iter().any(|other| other == own || matches(other, own));
        if patterns.iter().all(is_taken) {
            return Err(
                "an earlier section has taken these devices already: TuneD never applies it"
                    .to_owned(),
            );
        }
        patterns.retain(|own| !is_taken(own));
        Ok((patterns, !taken.is_empty()))
    }

    fn claim(&mut self, unit: &Unit) {
        if let Ok((patterns, _)) = self.devices(unit) {
            self.taken.entry(unit.kind.clone()).or_default().extend(patterns);
        }
    }

    /// Sets something for the devices of a unit.
    fn for_devices(
        &mut self,
        unit: &Unit,
        (at, of): (At, fn(Vec<String>) -> Of),
        text: &str,
        origin: &Origin,
    ) -> Result<(), Obstacle> {
        let (patterns, rest) = self.devices(unit)?;
        let before = self.items.len();
        self.set_at((at, of(patterns)), text, origin)?;
        if rest {
            for item in self.items.iter_mut().skip(before) {
                item.weak = matches!(item.change, Change::Set(_));
            }
            let why = "TuneD keeps it from devices that an earlier section names; the script only lets that section's values win";
            self.change(origin, why);
        }
        Ok(())
    }
}

/// A statement that gives a setting what an option is worth.
fn item(
    setting: &catalogue::Setting,
    of: Of,
    worth: &Worth,
    modifiers: bool,
    numbers: Numbers,
    origin: &Origin,
) -> Result<Item, Obstacle> {
    match (worth, &setting.kind) {
        (Worth::Text(text), _) => {
            Item::written(setting, of, directed(text, modifiers), numbers, origin.clone())
        }
        (Worth::Cpus(text), Kind::Cpus(_)) | (Worth::Number(text), Kind::Integer) => {
            Item::computed(setting, of, text.clone(), origin.clone())
        }
        (Worth::Cpus(text) | Worth::Number(text), _) => {
            Err(format!("`{text}` is no value of `{}`", setting.name))
        }
    }
}

/// A value, and whether it is a bound: `>` in front of it means at least.
fn directed(text: &str, modifiers: bool) -> (Direction, &str) {
    if modifiers && text.len() > 1 {
        if let Some(text) = text.strip_prefix('>') {
            return (Direction::Raise, text);
        }
        if let Some(text) = text.strip_prefix('<') {
            return (Direction::Lower, text);
        }
    }
    (Direction::Exactly, text)
}

/// A text without the quotes around all of it.
fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text)
}

fn place(at: &At) -> String {
    match at {
        At::Ethtool(what) => format!("ethtool's {what}"),
        At::Link(what) => format!("the link's {what}"),
        At::Block(file) => format!("/sys/block/…/{file}"),
        At::Net(file) => format!("/sys/class/net/…/{file}"),
        other => format!("{other:?}"),
    }
}
