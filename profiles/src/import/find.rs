//! From files of the kernel to the catalogue's settings.

use super::item::Of;
use crate::catalogue::{At, Catalogue, Setting};
use transaction::glob::matches;

/// Characters that make a path a pattern.
pub const PATTERN: [char; 3] = ['*', '?', '['];

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Target<'a> {
    /// Settings of the catalogue; of a path that is no pattern, one.
    Settings(Vec<(&'a Setting, Of)>),
    /// A file that the catalogue does not know.
    Unknown,
}

/// The setting of a path below `/proc/sys`, such as `net/ipv4/conf/eth0/rp_filter`.
pub fn of_sysctl<'a>(catalogue: &'a Catalogue, path: &str) -> Target<'a> {
    let Some(setting) = catalogue.of_sysctl(path) else { return Target::Unknown };
    let device = setting.places.iter().find_map(|place| match &place.at {
        At::NetSysctl(own) => {
            let (before, behind) = own.split_once("{device}")?;
            path.strip_prefix(before)?.strip_suffix(behind)
        }
        _ => None,
    });
    let of = device.map_or(Of::Everything, |device| Of::Named(device.to_owned()));
    Target::Settings(vec![(setting, of)])
}

/// The settings that a pattern of such paths meets. Where it meets devices, those of each device with
/// such a name and, if the pattern meets them as well, `all` and `default`. Each with its path.
pub fn of_sysctl_pattern<'a>(
    catalogue: &'a Catalogue,
    pattern: &str,
) -> Vec<(&'a Setting, Of, String)> {
    let mut found: Vec<(&Setting, Of, String)> = Vec::new();
    for setting in catalogue.settings() {
        for place in &setting.places {
            match &place.at {
                At::Sysctl(path) if paths_match(pattern, path) => {
                    found.push((setting, Of::Everything, path.clone()));
                }
                At::NetSysctl(path) => {
                    let device = path.split('/').position(|part| part == "{device}");
                    let wanted = device.and_then(|at| pattern.split('/').nth(at));
                    let Some(wanted) = wanted.filter(|_| paths_match(pattern, path)) else {
                        continue;
                    };
                    let file = |device: &str| path.replace("{device}", device);
                    if wanted.contains(PATTERN) {
                        for group in ["all", "default"].into_iter().filter(|it| matches(wanted, it))
                        {
                            found.push((setting, Of::Named(group.to_owned()), file(group)));
                        }
                        found.push((setting, Of::Net(vec![wanted.to_owned()]), file(wanted)));
                    } else {
                        found.push((setting, Of::Named(wanted.to_owned()), file(wanted)));
                    }
                }
                _ => {}
            }
        }
    }
    found.dedup_by(|one, other| one.2 == other.2);
    found
}

/// Whether a pattern of a path meets a path, part by part. Parts in braces are met by anything.
fn paths_match(pattern: &str, path: &str) -> bool {
    let (patterns, parts) = (pattern.split('/'), path.split('/'));
    patterns.clone().count() == parts.clone().count()
        && patterns.zip(parts).all(|(pattern, part)| part == "{device}" || matches(pattern, part))
}

/// Other names of folders below `/sys`: each is a link to the second.
const LINKS: &[(&str, &str)] = &[
    ("bus/workqueue/devices/", "devices/virtual/workqueue/"),
    ("class/block/", "block/"),
    ("bus/cpu/devices/", "devices/system/cpu/"),
];

/// The settings of a path below `/sys`, which may be a pattern.
pub fn of_sysfs<'a>(catalogue: &'a Catalogue, path: &str) -> Target<'a> {
    let link = LINKS
        .iter()
        .find_map(|(link, real)| path.strip_prefix(link).map(|rest| format!("{real}{rest}")));
    let path = one_policy(link.as_deref().unwrap_or(path));
    let mut found: Vec<(&Setting, Of)> = Vec::new();
    for setting in catalogue.settings() {
        let of = setting.places.iter().find_map(|place| selection(&place.at, &path));
        found.extend(of.map(|of| (setting, of)));
    }
    if found.is_empty() { Target::Unknown } else { Target::Settings(found) }
}

/// `…/cpu3/cpufreq/…` is `…/cpufreq/policy3/…`.
fn one_policy(path: &str) -> String {
    let moved = || {
        let (cpu, file) = path.strip_prefix("devices/system/cpu/cpu")?.split_once("/cpufreq/")?;
        let plain = !cpu.contains('/') && !file.contains('/');
        plain.then(|| format!("devices/system/cpu/cpufreq/policy{cpu}/{file}"))
    };
    moved().unwrap_or_else(|| path.to_owned())
}

/// To what a path below `/sys` selects a place, if it is that place's.
fn selection(at: &At, path: &str) -> Option<Of> {
    let below = |prefix: &str| {
        let (device, file) = path.strip_prefix(prefix)?.split_once('/')?;
        Some((device.to_owned(), file))
    };
    match at {
        At::Sysfs(own) => with_number(own, path),
        At::Debugfs(own) => with_number(own, path.strip_prefix("kernel/debug/")?),
        At::Block(own) => {
            let (device, file) = below("block/")?;
            (file == own).then(|| Of::Block(vec![device]))
        }
        At::Net(own) => {
            let (device, file) = below("class/net/")?;
            let all = match with_number(own, file)? {
                Of::Everything => true,
                // All queues, or it is another setting than the catalogue's.
                of => of == Of::Cpus(String::new()),
            };
            all.then(|| Of::Net(vec![device]))
        }
        At::ModuleOption(own) => {
            let (module, option) = own.split_once('.')?;
            let file = format!("module/{module}/parameters/{option}");
            (path == file).then_some(Of::Everything)
        }
        At::Cgroup(own) => {
            let (group, file) = path.strip_prefix("fs/cgroup/")?.rsplit_once('/')?;
            let plain = file == own && !group.contains(PATTERN);
            plain.then(|| Of::Cgroup(group.to_owned()))
        }
        _ => None,
    }
}

/// Compares a path with one of the catalogue that may have one number in braces, `cpu{cpu}`: what
/// stands there is the selection.
fn with_number(own: &str, path: &str) -> Option<Of> {
    if own.split('/').count() != path.split('/').count() {
        return None;
    }
    let mut of = Of::Everything;
    for (own, part) in own.split('/').zip(path.split('/')) {
        let Some((before, rest)) = own.split_once('{') else {
            if !matches(part, own) {
                return None;
            }
            continue;
        };
        let behind = rest.split_once('}').map_or("", |(_, behind)| behind);
        let number = part.strip_prefix(before)?.strip_suffix(behind)?;
        of = match number {
            "*" | "[0-9]*" if of == Of::Everything => Of::Cpus(String::new()),
            digits if digits.parse::<u16>().is_ok() && of == Of::Everything => {
                Of::Cpus(digits.to_owned())
            }
            // Nothing but CPUs can be selected by number.
            other => Of::Named(other.to_owned()),
        };
    }
    Some(of)
}

/// The setting of a word of the kernel's command line, and the value that it gives it.
pub fn of_word<'a, 'w>(catalogue: &'a Catalogue, word: &'w str) -> Option<(&'a Setting, &'w str)> {
    let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
    let fits = |at: &At| match (at, value) {
        (At::CommandLine(own), Some(_)) => own.strip_suffix('=') == Some(key),
        (At::CommandLine(own), None) => own == key,
        // `-` and `_` are the same in names of modules.
        (At::ModuleOption(own), Some(_)) => *own == key.replace('-', "_"),
        _ => false,
    };
    let found = |setting: &&Setting| setting.places.iter().any(|place| fits(&place.at));
    Some((catalogue.settings().find(found)?, value.unwrap_or(word)))
}

/// The setting of a module's option.
pub fn of_module<'a>(catalogue: &'a Catalogue, module: &str, option: &str) -> Option<&'a Setting> {
    let (module, own) = (module.replace('-', "_"), format!("module/{module}/parameters/{option}"));
    let whole = format!("{module}.{option}");
    let fits = |at: &At| match at {
        At::ModuleOption(known) => *known == whole,
        At::Sysfs(known) => *known == own,
        _ => false,
    };
    catalogue.settings().find(|setting| setting.places.iter().any(|place| fits(&place.at)))
}

/// The setting at a place of another kind.
pub fn at<'a>(catalogue: &'a Catalogue, wanted: &At) -> Option<&'a Setting> {
    catalogue.settings().find(|setting| setting.places.iter().any(|place| place.at == *wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> &'static Catalogue {
        Catalogue::built_in().unwrap()
    }

    fn sysfs(path: &str) -> Vec<(String, Of)> {
        match of_sysfs(catalogue(), path) {
            Target::Settings(found) => {
                found.into_iter().map(|(setting, of)| (setting.name.clone(), of)).collect()
            }
            Target::Unknown => Vec::new(),
        }
    }

    #[test]
    fn files_of_devices_select_them() {
        let block = |device: &str| Of::Block(vec![device.into()]);
        for (path, name, of) in [
            ("block/sd*/queue/scheduler", "block.scheduler", block("sd*")),
            ("class/block/vda/queue/nr_requests", "block.nr_requests", block("vda")),
            ("kernel/mm/ksm/run", "mm.ksm", Of::Everything),
            ("kernel/debug/sched/migration_cost_ns", "cpu.migration_cost", Of::Everything),
            ("module/nvme_core/parameters/max_retries", "module.nvme.max_retries", Of::Everything),
            (
                "devices/system/cpu/cpufreq/policy*/scaling_governor",
                "cpu.governor",
                Of::Cpus(String::new()),
            ),
            (
                "devices/system/cpu/cpu3/cpufreq/scaling_governor",
                "cpu.governor",
                Of::Cpus("3".into()),
            ),
            (
                "class/net/eth*/gro_flush_timeout",
                "net.device.gro_flush_timeout",
                Of::Net(vec!["eth*".into()]),
            ),
            (
                "bus/workqueue/devices/writeback/cpumask",
                "workqueue.writeback_cpumask",
                Of::Everything,
            ),
            (
                "fs/cgroup/system.slice/cpu.weight",
                "cgroup.cpu.weight",
                Of::Cgroup("system.slice".into()),
            ),
        ] {
            assert_eq!(sysfs(path), [(name.to_owned(), of)], "{path}");
        }
        assert!(sysfs("kernel/nonsense").is_empty());
        assert!(sysfs("devices/system/machinecheck/machinecheck*/ignore_ce").is_empty());
    }

    #[test]
    fn patterns_of_sysctls_meet_groups_and_devices() {
        let found = of_sysctl_pattern(catalogue(), "net/ipv4/conf/*/rp_filter");
        let of: Vec<&Of> = found.iter().map(|(_, of, _)| of).collect();
        let named = |name: &str| Of::Named(name.into());
        assert_eq!(of, [&named("all"), &named("default"), &Of::Net(vec!["*".into()])]);
        assert!(of_sysctl_pattern(catalogue(), "vm/nonsense*").is_empty());
        assert!(of_sysctl_pattern(catalogue(), "vm/dirty_*ratio").len() == 2);
    }

    #[test]
    fn words_of_the_command_line_have_settings() {
        let name = |word: &str| {
            of_word(catalogue(), word)
                .map(|(setting, value)| (setting.name.as_str(), value.to_owned()))
        };
        assert_eq!(name("skew_tick=1"), Some(("boot.skew_tick", "1".to_owned())));
        assert_eq!(name("nosmt"), Some(("boot.nosmt", "nosmt".to_owned())));
        assert_eq!(
            name("nvme_core.io_timeout=30"),
            Some(("module.nvme.io_timeout", "30".to_owned()))
        );
        assert_eq!(name("nonsense"), None);
    }
}
