//! From what a statement is about to entries of the catalogue.

use transaction::glob::matches;

use super::Present;
use crate::catalogue::{At, Catalogue, Scope, Setting};
use crate::diagnostic::{Diagnostic, codes};
use crate::expression::{Scope as Values, Value, evaluate};
use crate::script::{DeviceKind, Devices, Name};

/// An entry, for one device or pattern of devices where it is for devices.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub setting: &'a Setting,
    pub device: Option<String>,
}

impl Entry<'_> {
    /// The name by which people know it.
    pub fn name(&self) -> String {
        match &self.device {
            Some(device) => format!("{} of {device}", self.setting.name),
            None => self.setting.name.clone(),
        }
    }
}

/// Why there is no entry.
pub enum NoEntry {
    /// It is an error.
    Wrong(Box<Diagnostic>),
    /// Nothing is selected.
    Nobody {
        /// The setting, where that is known.
        name: String,
        /// Which devices were looked for.
        reason: String,
    },
}

impl From<Diagnostic> for NoEntry {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Wrong(Box::new(diagnostic))
    }
}

/// The entries that a name stands for.
pub fn entries<'a>(
    name: &Name,
    of: Option<&Devices>,
    catalogue: &'a Catalogue,
    present: &Present,
    values: &dyn Values,
) -> Result<Vec<Entry<'a>>, NoEntry> {
    match of {
        None => alone(name, catalogue),
        Some(devices) => {
            let setting = match below(name, devices.kind, catalogue) {
                Ok(setting) => setting,
                // `net { ipv4 { … } }` is about no devices, but the beginning of names.
                Err(told) if devices.selectors.is_empty() => {
                    let text = format!("{}.{}", devices.kind.word(), name.text);
                    let whole = Name { text, span: name.span };
                    return match alone(&whole, catalogue) {
                        Err(NoEntry::Wrong(other)) if other.code == codes::UNKNOWN_SETTING => {
                            Err(told.into())
                        }
                        found => found,
                    };
                }
                Err(told) => return Err(told.into()),
            };
            let selected = selected(devices, present, values).map_err(|none| match none {
                NoEntry::Nobody { reason, .. } => {
                    NoEntry::Nobody { name: setting.name.clone(), reason }
                }
                wrong @ NoEntry::Wrong(_) => wrong,
            })?;
            let entry = |device| Entry { setting, device: Some(device) };
            Ok(selected.into_iter().map(entry).collect())
        }
    }
}

/// A setting outside of blocks for devices.
fn alone<'a>(name: &Name, catalogue: &'a Catalogue) -> Result<Vec<Entry<'a>>, NoEntry> {
    if let Some(setting) = catalogue.get(&name.text) {
        let device = match setting.scope {
            Scope::PerBlock | Scope::PerNet | Scope::PerCpu | Scope::PerIrq | Scope::PerNode => {
                let message = format!("`{}` is there for each device: for which one?", name.text);
                let told = Diagnostic::error(codes::NO_DEVICE, name.span, message);
                return Err(told.help(how_to_select(setting)).into());
            }
            Scope::PerCgroup | Scope::PerWorkload => {
                let message = format!("`{}` stands in a cgroup or workload", name.text);
                let told = Diagnostic::error(codes::NO_DEVICE, name.span, message);
                return Err(told.help(how_to_select(setting)).into());
            }
            _ => None,
        };
        return Ok(vec![Entry { setting, device }]);
    }
    // `net.ipv4.conf.all.rp_filter`: the device stands in the name.
    if let Some((setting, device)) = with_device(&name.text, catalogue) {
        return Ok(vec![Entry { setting, device: Some(device) }]);
    }
    Err(unknown(name, &name.text, catalogue).into())
}

fn how_to_select(setting: &Setting) -> String {
    let last = setting.name.rsplit('.').next().unwrap_or(&setting.name);
    match setting.scope {
        Scope::PerBlock => format!("block \"*\" {{ {last} = … }}"),
        Scope::PerNet if setting.name.contains(".conf.") => {
            format!(
                "name `all`, `default` or a device: {}",
                setting.name.replace(".conf.", ".conf.all.")
            )
        }
        Scope::PerNet => format!("net \"eth*\" {{ {last} = … }}"),
        Scope::PerIrq => format!("irq {{ {last} = … }}"),
        Scope::PerCgroup => format!("cgroup \"system.slice\" {{ {last} = … }}"),
        Scope::PerWorkload => format!("workload name {{ {last} = … }}"),
        _ => format!("cpus 2-3 {{ {last} = … }}"),
    }
}

fn with_device<'a>(name: &str, catalogue: &'a Catalogue) -> Option<(&'a Setting, String)> {
    catalogue.settings().filter(|setting| setting.scope == Scope::PerNet).find_map(|setting| {
        let device = setting.places.iter().find_map(|place| match &place.at {
            At::NetSysctl(path) => {
                let dotted = path.replace('/', ".");
                let (before, behind) = dotted.split_once("{device}")?;
                name.strip_prefix(before)?.strip_suffix(behind).map(str::to_owned)
            }
            _ => None,
        })?;
        let fits = !device.is_empty() && !device.contains('/');
        fits.then_some((setting, device))
    })
}

/// With what the names of the settings of a block for devices begin, and what they are for.
fn scopes(kind: DeviceKind) -> (&'static [&'static str], &'static [Scope]) {
    match kind {
        DeviceKind::Block => (&["block"], &[Scope::PerBlock]),
        DeviceKind::Net => (&["net.device", "net"], &[Scope::PerNet]),
        DeviceKind::Irq => (&["irq"], &[Scope::PerIrq, Scope::Global]),
        DeviceKind::Cpus => (&["cpu"], &[Scope::PerCpu]),
        DeviceKind::Cgroup => (&["cgroup"], &[Scope::PerCgroup]),
    }
}

/// The setting that a name stands for, in a block for devices or outside of any, whichever devices it is for.
pub(crate) fn named<'a>(
    name: &str,
    kind: Option<DeviceKind>,
    catalogue: &'a Catalogue,
) -> Option<&'a Setting> {
    let in_block = kind.and_then(|kind| {
        let (prefixes, scopes) = scopes(kind);
        let found = prefixes.iter().filter_map(|prefix| catalogue.get(&format!("{prefix}.{name}")));
        found.into_iter().find(|setting| scopes.contains(&setting.scope))
    });
    // `net { ipv4 { … } }` is about no devices, but the beginning of names.
    let begun = || catalogue.get(&format!("{}.{name}", kind?.word()));
    let device = || with_device(name, catalogue).map(|(setting, _)| setting);
    in_block.or_else(begun).or_else(|| catalogue.get(name)).or_else(device)
}

/// What settings are called in a block for devices, or outside of any.
pub(crate) fn called(kind: Option<DeviceKind>, setting: &Setting) -> Option<&str> {
    let Some(kind) = kind else { return Some(&setting.name) };
    let (prefixes, scopes) = scopes(kind);
    let relative = |prefix: &&str| setting.name.strip_prefix(*prefix)?.strip_prefix('.');
    prefixes.iter().find_map(relative).filter(|_| scopes.contains(&setting.scope))
}

/// A setting in a block for devices, whose name is relative to it.
fn below<'a>(
    name: &Name,
    kind: DeviceKind,
    catalogue: &'a Catalogue,
) -> Result<&'a Setting, Diagnostic> {
    let (prefixes, scopes) = scopes(kind);
    let found = prefixes
        .iter()
        .filter_map(|prefix| catalogue.get(&format!("{prefix}.{}", name.text)))
        .find(|setting| scopes.contains(&setting.scope));
    found.ok_or_else(|| {
        let first = prefixes.first().copied().unwrap_or_default();
        unknown(name, &format!("{first}.{}", name.text), catalogue)
    })
}

/// What is said of a name that the catalogue does not know.
fn unknown(name: &Name, whole: &str, catalogue: &Catalogue) -> Diagnostic {
    let message = format!("the catalogue has no setting `{whole}`");
    let told = Diagnostic::error(codes::UNKNOWN_SETTING, name.span, message);
    match catalogue.nearest(whole) {
        // In a block, only a part of the name stands in the script.
        Some(nearest) if whole == name.text => {
            told.fix(format!("did you mean `{nearest}`?"), name.span, nearest)
        }
        Some(nearest) => told.help(format!("did you mean `{nearest}`?")),
        None => told.help("`raw \"/proc/sys/…\" = …` reaches what the catalogue does not know"),
    }
}

/// The devices that a block selects: by name where they are known, or else the patterns.
fn selected(
    devices: &Devices,
    present: &Present,
    values: &dyn Values,
) -> Result<Vec<String>, NoEntry> {
    let mut patterns = Vec::new();
    for selector in &devices.selectors {
        match evaluate(selector, values).map_err(|fault| fault.diagnostic())? {
            Value::Text(pattern) => patterns.push(pattern),
            value => match value.to_cpus() {
                Ok(cpus)
                    if devices.kind != DeviceKind::Block && devices.kind != DeviceKind::Net =>
                {
                    patterns.extend(cpus.iter().map(|cpu| cpu.to_string()));
                }
                _ => {
                    let message =
                        format!("expected names of devices, and this is {}", value.type_of());
                    return Err(Diagnostic::error(codes::TYPE, selector.span, message).into());
                }
            },
        }
    }
    if patterns.is_empty() {
        patterns.push("*".to_owned());
    }
    let unfit = |pattern: &String| pattern.contains('/') || pattern == ".." || pattern == ".";
    if let Some(pattern) = patterns.iter().find(|pattern| unfit(pattern))
        && devices.kind != DeviceKind::Cgroup
    {
        let message = format!("{pattern:?} is not the name of a device");
        return Err(Diagnostic::error(codes::NO_DEVICE, devices.span, message).into());
    }
    let Some(names) = present.devices.get(&devices.kind) else { return Ok(patterns) };
    let mut selected: Vec<String> = names
        .iter()
        .filter(|name| patterns.iter().any(|pattern| matches(pattern, name)))
        .cloned()
        .collect();
    selected.dedup();
    if selected.is_empty() {
        let reason = format!("no device is called {}", patterns.join(" or "));
        return Err(NoEntry::Nobody { name: String::new(), reason });
    }
    Ok(selected)
}
