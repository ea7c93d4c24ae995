//! The data, held against kernels that were booted.

use super::*;

#[test]
fn every_difference_to_a_kernel_is_explained() {
    let mut complaints = Vec::new();
    for dump in dumps().unwrap() {
        let told = catalogue().unexplained(&dump);
        complaints.extend(told.into_iter().map(|told| format!("{}: {told}", dump.kernel)));
    }
    none(complaints);
}

/// What the machine of the matrix does not have: an entry whose place no kernel showed has to say what
/// it depends on, or which module. Else nobody would notice a slip in a path.
#[test]
fn every_place_was_seen_or_says_on_what_it_depends() {
    let dumps = dumps().unwrap();
    let names: BTreeSet<String> = dumps.iter().flat_map(|dump| &dump.keys).map(Key::path).collect();
    let options: BTreeSet<&String> = dumps.iter().flat_map(|dump| &dump.module_options).collect();
    let mut complaints = Vec::new();
    for setting in catalogue().settings() {
        for place in &setting.places {
            let of_matrix = dumps.iter().any(|dump| {
                // What only reports may be there with what it reports of.
                dump.kernel.find(setting) == Presence::Present(place)
                    && !matches!(place.access, Access::Depends(_) | Access::ReadOnly)
            });
            let files = place.at.files();
            let seen = match &place.at {
                At::ModuleOption(option) => options.contains(option),
                At::Task(_) => true,
                _ => {
                    files.is_empty()
                        || files.iter().any(|file| names.iter().any(|name| matches(file, name)))
                }
            };
            if of_matrix && !seen {
                complaints.push(format!("{}: {:?} was in no kernel", setting.name, place.at));
            }
        }
    }
    none(complaints);
}

#[test]
fn what_a_kernel_does_not_have_is_noticed() {
    let mut dump = dump(&"6.12-cloud".parse().unwrap()).unwrap().unwrap();
    let complaints = |dump: &Dump| catalogue().unexplained(dump);
    let key = |dump: &Dump, name: &str| dump.keys.iter().position(|key| key.name == name).unwrap();

    let lost = key(&dump, "vm.swappiness");
    let lost = dump.keys.remove(lost);
    assert_eq!(
        complaints(&dump),
        ["vm.swappiness: /proc/sys/vm/swappiness is not there, the catalogue says it is"]
    );
    dump.keys.push(Key { value: "30".to_owned(), ..lost.clone() });
    assert_eq!(complaints(&dump), ["vm.swappiness: vm.swappiness is `30`, not `60`"]);
    dump.keys.pop();
    dump.keys.push(Key { mode: 0o444, ..lost.clone() });
    assert_eq!(complaints(&dump), ["vm.swappiness: vm.swappiness has mode 444"]);
    dump.keys.pop();
    let tried = |value, reads: Option<&str>| Tried { value, reads: reads.map(str::to_owned) };
    dump.keys.push(Key { tried: vec![tried(100, None)], ..lost.clone() });
    assert_eq!(complaints(&dump).len(), 1, "refused, against the entry");
    dump.keys.pop();
    dump.keys.push(Key { tried: vec![tried(100, Some("96"))], ..lost.clone() });
    assert_eq!(complaints(&dump).len(), 1, "made into something else, and nothing says so");
    dump.keys.pop();
    dump.keys.push(lost.clone());
    assert!(complaints(&dump).is_empty());

    // Nothing but what the kernel takes bounds this one.
    let open = key(&dump, "vm.compaction_proactiveness");
    dump.keys[open].tried.push(tried(101, Some("101")));
    let told = complaints(&dump);
    assert!(told.len() == 1 && told[0].contains("101 is taken"), "{told:?}");
    dump.keys[open].tried.pop();

    dump.keys.push(Key { name: "vm.swappier".to_owned(), ..lost.clone() });
    assert_eq!(complaints(&dump), ["vm.swappier is not known"]);
    dump.keys.pop();
    dump.keys.push(Key { name: "/sys/kernel/debug/sched/latency_ns".to_owned(), ..lost });
    let told = complaints(&dump);
    assert!(told.len() == 1 && told[0].contains("is there, against: EEVDF"), "{told:?}");
}

#[test]
fn every_pattern_of_noise_meets_something() {
    let names: BTreeSet<String> =
        dumps().unwrap().into_iter().flat_map(|dump| dump.keys).map(|key| key.name).collect();
    let mut complaints = Vec::new();
    for noise in catalogue().noise() {
        assert!(noise.why.ends_with('.'), "{}", noise.why);
        for pattern in &noise.patterns {
            if !names.iter().any(|name| matches(pattern, name)) {
                complaints.push(format!("{pattern} meets nothing"));
            }
        }
    }
    none(complaints);
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
            let Some(inside) = ranges::is_inside(number, &accepts) else { continue };
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
