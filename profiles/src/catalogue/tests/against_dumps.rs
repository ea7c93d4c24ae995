//! The data, held against kernels that were booted.

use super::*;

#[test]
fn every_sysctl_is_an_entry_or_noise() {
    let mut complaints = BTreeSet::new();
    for dump in dumps().unwrap() {
        for key in dump.keys.iter().filter(|key| key.is_writable()) {
            let entry = catalogue().of_sysctl(&key.path());
            let noise = catalogue().noise().iter().find(|noise| noise.matches(&key.name));
            match (entry, noise) {
                (None, None) => complaints.insert(format!("{} is not known", key.name)),
                (Some(_), Some(_)) => complaints.insert(format!("{} is noise, too", key.name)),
                _ => continue,
            };
        }
    }
    none(complaints.into_iter().collect());
}

#[test]
fn every_pattern_of_noise_meets_something() {
    let names: BTreeSet<String> =
        dumps().unwrap().into_iter().flat_map(|dump| dump.keys).map(|key| key.name).collect();
    let mut complaints = Vec::new();
    for noise in catalogue().noise() {
        assert!(noise.why.ends_with('.'), "{}", noise.why);
        for pattern in &noise.patterns {
            if !names.iter().any(|name| noise::matches(pattern, name)) {
                complaints.push(format!("{pattern} meets nothing"));
            }
        }
    }
    none(complaints);
}

#[test]
fn sysctls_are_where_the_catalogue_says() {
    let mut complaints = Vec::new();
    let dumps = dumps().unwrap();
    // Modules that were not loaded in any dump: of their sysctls, dumps say nothing.
    let seen = |setting: &Setting| {
        let is_its = |key: &Key| setting.places.iter().any(|p| p.at.covers_sysctl(&key.path()));
        dumps.iter().any(|dump| dump.keys.iter().any(is_its))
    };
    let silent = |setting: &&Setting| !setting.modules.is_empty() && !seen(setting);
    let unseen: Vec<&str> =
        catalogue().settings().filter(silent).map(|setting| setting.name.as_str()).collect();
    for dump in &dumps {
        let kernel = &dump.kernel;
        let checked =
            |setting: &&Setting| !is_record(setting) && !unseen.contains(&setting.name.as_str());
        for setting in catalogue().settings().filter(checked) {
            let is_sysctl = setting.places.iter().any(|place| place.at.sysctl().is_some());
            if !is_sysctl {
                continue;
            }
            let presence = kernel.find(setting);
            let found = dump
                .keys
                .iter()
                .find(|key| setting.places.iter().any(|place| place.at.covers_sysctl(&key.path())));
            let named = format!("{} in {} {}", setting.name, kernel.version, kernel.flavour);
            match (&presence, found) {
                (Presence::Present(place), None) if place.at.sysctl().is_some() => {
                    complaints.push(format!("{named} is not there, the catalogue says it is"));
                }
                (Presence::Absent(why), Some(_)) => {
                    complaints.push(format!("{named} is there, the catalogue says: {why}"));
                }
                (Presence::Present(place), Some(key)) => {
                    let depends = matches!(place.access, Access::Depends(_));
                    if !depends && presence.is_writable() != key.is_writable() {
                        complaints.push(format!("{named} has mode {:o}", key.mode));
                    }
                    if !place.at.covers_sysctl(&key.path()) {
                        complaints.push(format!(
                            "{named} is at {}, not {:?}",
                            key.path(),
                            place.at
                        ));
                    }
                }
                _ => {}
            }
        }
    }
    none(complaints);
}

#[test]
fn defaults_are_those_of_booted_kernels() {
    let mut complaints = Vec::new();
    let mut compared = 0;
    for dump in dumps().unwrap() {
        for setting in catalogue().settings() {
            let Some(default) = setting.default.as_ref().and_then(|d| d.of(&dump.kernel)) else {
                continue;
            };
            let covers =
                |key: &&Key| setting.places.iter().any(|place| place.at.covers_sysctl(&key.path()));
            for key in dump.keys.iter().filter(covers) {
                compared += 1;
                if key.value != default {
                    complaints.push(format!(
                        "{} in {} {} is `{}`, not `{default}`",
                        key.name, dump.kernel.version, dump.kernel.flavour, key.value
                    ));
                }
            }
        }
    }
    none(complaints);
    assert!(compared > 2000, "{compared}");
}

#[test]
fn plain_defaults_lie_in_what_is_accepted() {
    let mut complaints = Vec::new();
    let mut compared = 0;
    for dump in dumps().unwrap() {
        for setting in catalogue().settings() {
            let of = |value: &Option<ByKernel>| {
                value.as_ref().and_then(|value| value.of(&dump.kernel)).map(str::to_owned)
            };
            let (Some(default), Some(accepts)) = (of(&setting.default), of(&setting.accepts))
            else {
                continue;
            };
            let Ok(number) = default.parse::<i128>() else { continue };
            let Some(inside) = is_inside(number, &accepts) else { continue };
            compared += 1;
            // A default that cannot be written again has to be undone some other way: 0 of twins, latches.
            if !inside && setting.undo == Undo::Write {
                complaints.push(format!("{}: {default} is not in {accepts}", setting.name));
            }
        }
    }
    none(complaints);
    assert!(compared > 200, "{compared}");
}

/// Whether a number is in a plain range or list; nothing if that is no plain one.
fn is_inside(number: i128, range: &str) -> Option<bool> {
    let bound = |text: &str| match text.trim() {
        "int.max" => Some(i128::from(i32::MAX)),
        "uint.max" => Some(i128::from(u32::MAX)),
        "long.max" => Some(i128::from(i64::MAX)),
        "ulong.max" => Some(i128::from(u64::MAX)),
        text => text.parse().ok(),
    };
    let parts = range.trim_matches(['[', ']']).split(',');
    let mut inside = false;
    for part in parts {
        let (low, high) = part.split_once("..").unwrap_or((part, part));
        inside |= (bound(low)?..=bound(high)?).contains(&number);
    }
    Some(inside)
}
