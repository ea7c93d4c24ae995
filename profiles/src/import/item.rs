//! Statements to be written, and where each comes from.

use std::collections::HashMap;

use super::judge;
use super::kernel_text::{Numbers, typed};
use super::name;
use super::remark::{Fate, Place, Remark};
use crate::catalogue::{At, Catalogue, Couple, Scope, Setting};
use crate::diagnostic::quoted;
use crate::expression::Value;

/// Longer paths of files are not written, in bytes.
const LONGEST_PATH: usize = 512;
/// So much of a reason is told, in characters; it may quote the source.
const LONGEST_REASON: usize = 600;

/// To what a setting applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Of {
    /// There is one of it.
    Everything,
    /// The network device in the setting's name; `all` and `default` too.
    Named(String),
    /// Block devices with these names or patterns.
    Block(Vec<String>),
    /// Network devices with these names or patterns.
    Net(Vec<String>),
    /// These CPUs, as an expression; all where it is empty.
    Cpus(String),
    /// All interrupts.
    Irq,
    /// A control group.
    Cgroup(String),
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A parameter of the profile, of type `cpus`.
    Parameter(String),
    /// What has to hold.
    Requirement(String),
    /// A setting of the catalogue.
    Setting(String, Of),
    /// A file that the catalogue does not know.
    Raw(String),
}

/// What is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This value, as a script writes it.
    Set(String),
    /// At least this.
    Raise(String),
    /// At most this.
    Lower(String),
    /// Nothing: a requirement says all by itself.
    Stated,
}

/// Where something is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The line.
    pub at: Place,
    /// The profile.
    pub owner: String,
    /// What stands there.
    pub said: String,
}

/// A statement to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub subject: Subject,
    pub change: Change,
    /// Whether any other value wins.
    pub weak: bool,
    pub origin: Origin,
    /// The value, where it does not rest on the machine.
    pub value: Option<Value>,
    /// Why `check` would refuse it.
    pub refused: Option<String>,
    /// Why it takes a guard.
    pub guard: Option<String>,
    /// In which way it is not what the source says.
    pub note: Option<String>,
}

/// Whether a value is exact or a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Exactly,
    Raise,
    Lower,
}

impl Origin {
    /// A remark about it.
    pub fn remark(&self, fate: Fate, why: impl Into<String>) -> Remark {
        Remark {
            at: self.at.clone(),
            profile: self.owner.clone(),
            what: name::comment(&self.said),
            fate,
            why: name::comment(&why.into()).chars().take(LONGEST_REASON).collect(),
        }
    }

    /// Says that it is not in the script.
    pub fn left_out(&self, why: impl Into<String>) -> Remark {
        self.remark(Fate::LeftOut, why)
    }
}

impl Item {
    /// A setting with what the source would write to its file.
    ///
    /// # Errors
    /// Why a script cannot say it.
    pub fn written(
        setting: &Setting,
        of: Of,
        (direction, text): (Direction, &str),
        numbers: Numbers,
        origin: Origin,
    ) -> Result<Self, String> {
        reachable(setting, &of)?;
        let typed = typed(setting, text, numbers)?;
        if direction != Direction::Exactly && typed.value.amount().is_none() {
            return Err(format!("`{}` is not a number, so it is no bound", quoted(text)));
        }
        Ok(Self {
            subject: Subject::Setting(setting.name.clone(), of),
            change: match direction {
                Direction::Exactly => Change::Set(typed.text),
                Direction::Raise => Change::Raise(typed.text),
                Direction::Lower => Change::Lower(typed.text),
            },
            weak: false,
            origin,
            refused: judge::refused(setting, &typed.value),
            guard: judge::needs_guard(setting, Some(&typed.value)),
            value: Some(typed.value),
            note: typed.note,
        })
    }

    /// A setting with an expression over facts.
    ///
    /// # Errors
    /// Why a script cannot say it.
    pub fn computed(
        setting: &Setting,
        of: Of,
        expression: String,
        origin: Origin,
    ) -> Result<Self, String> {
        reachable(setting, &of)?;
        Ok(Self {
            subject: Subject::Setting(setting.name.clone(), of),
            change: Change::Set(expression),
            weak: false,
            origin,
            value: None,
            refused: None,
            guard: judge::needs_guard(setting, None),
            note: None,
        })
    }

    /// A file that the catalogue does not know; written where it exists.
    ///
    /// # Errors
    /// Why a script cannot say it.
    pub fn raw(path: &str, text: &str, origin: Origin) -> Result<Self, String> {
        let text = text.trim();
        if path.len() > LONGEST_PATH {
            return Err("its name is too long".to_owned());
        }
        crate::resolution::safety::raw_path(path)?;
        if !name::is_text(path) || !name::is_text(text) || text.len() > 4095 {
            return Err("it has characters that a script cannot hold, or is too long".to_owned());
        }
        // `007` and the like go as they are: what the file makes of them is not known.
        let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        Ok(Self {
            subject: Subject::Raw(path.to_owned()),
            change: Change::Set(
                number.map_or_else(|| name::quoted(text), |number| number.to_string()),
            ),
            weak: false,
            origin,
            value: None,
            refused: None,
            guard: Some("the catalogue does not know what it does".to_owned()),
            note: None,
        })
    }

    /// Something that is said about the profile itself.
    pub fn stated(subject: Subject, change: Change, origin: Origin) -> Self {
        Self {
            subject,
            change,
            weak: false,
            origin,
            value: None,
            refused: None,
            guard: None,
            note: None,
        }
    }

    /// Whether it says nothing but that another form of the same state is in force.
    fn is_zero(&self) -> bool {
        self.value.as_ref().and_then(Value::amount) == Some(0)
    }

    /// The name, and the selection of devices, of a setting.
    pub fn setting(&self) -> Option<(&str, &Of)> {
        match &self.subject {
            Subject::Setting(name, of) => Some((name, of)),
            _ => None,
        }
    }
}

/// Whether a script has a way to name a setting of something.
fn reachable(setting: &Setting, of: &Of) -> Result<(), String> {
    let below =
        |prefix: &str, scope: Scope| setting.scope == scope && setting.name.starts_with(prefix);
    let can = match of {
        Of::Everything => !matches!(
            setting.scope,
            Scope::PerBlock
                | Scope::PerNet
                | Scope::PerCpu
                | Scope::PerNode
                | Scope::PerIrq
                | Scope::PerCgroup
                | Scope::PerWorkload
        ),
        Of::Named(_) => setting.places.iter().any(|place| matches!(place.at, At::NetSysctl(_))),
        Of::Block(_) => below("block.", Scope::PerBlock),
        Of::Net(_) => below("net.", Scope::PerNet),
        Of::Cpus(_) => below("cpu.", Scope::PerCpu),
        Of::Irq => below("irq.", Scope::PerIrq),
        Of::Cgroup(_) => below("cgroup.", Scope::PerCgroup),
    };
    match can {
        true => Ok(()),
        false => Err(format!("scripts have no way yet to say for what `{}` is set", setting.name)),
    }
}

/// Keeps one of several statements about the same: the last. Of two forms of one state (`vm.dirty_ratio`
/// and `vm.dirty_bytes`), the one that is not 0, or the last.
pub fn settled(items: Vec<Item>, catalogue: &Catalogue, remarks: &mut Vec<Remark>) -> Vec<Item> {
    let mut last = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        last.insert(item.subject.clone(), at);
    }
    let mut kept = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match overriding(at, item, &items, &last, catalogue) {
            None => kept.push(item.clone()),
            Some(other) => {
                let place = &other.origin.at;
                let place = match place.file == item.origin.at.file {
                    true => format!("line {}", place.line),
                    false => place.to_string(),
                };
                let said = quoted(&other.origin.said);
                let why = format!("`{said}` in {place} takes its place");
                remarks.push(item.origin.remark(Fate::Overridden, why));
            }
        }
    }
    kept
}

/// The statement that counts instead of one, if one does.
fn overriding<'i>(
    at: usize,
    item: &Item,
    items: &'i [Item],
    last: &HashMap<Subject, usize>,
    catalogue: &Catalogue,
) -> Option<&'i Item> {
    if let Some(other) = last.get(&item.subject).filter(|other| **other != at) {
        return items.get(*other);
    }
    let (own, of) = item.setting()?;
    catalogue.get(own)?.couples.iter().find_map(|couple| {
        let Couple::Twin(twin) = couple else { return None };
        let behind = *last.get(&Subject::Setting(twin.clone(), of.clone()))?;
        let other = items.get(behind)?;
        let gives_way = match (item.is_zero(), other.is_zero()) {
            (true, false) => true,
            (false, true) => false,
            _ => behind > at,
        };
        gives_way.then_some(other)
    })
}
