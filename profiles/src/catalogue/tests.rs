//! The data, held against themselves.

use std::collections::BTreeSet;

use transaction::Target;

use super::*;

mod against_dumps;

fn catalogue() -> &'static Catalogue {
    match Catalogue::built_in() {
        Ok(catalogue) => catalogue,
        Err(error) => panic!("{error}"),
    }
}

/// Fails with all complaints at once: whoever edits the data wants to see them together.
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn is_as_large_as_what_people_tune() {
    assert!(catalogue().settings().count() >= 350, "{}", catalogue().settings().count());
}

#[test]
fn names_are_dotted_words() {
    let odd = |name: &str| {
        name.split('.').count() < 2
            || name.split('.').any(|part| {
                !part.starts_with(|c: char| c.is_ascii_alphabetic())
                    || part.ends_with('-')
                    || part.contains("--")
                    || !part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            })
    };
    none(catalogue().settings().filter(|s| odd(&s.name)).map(|s| s.name.clone()).collect());
}

#[test]
fn every_reference_names_an_entry() {
    let known = |name: &str| catalogue().get(name).is_some();
    let mut complaints = Vec::new();
    for setting in catalogue().settings() {
        let mut others: Vec<&str> = setting.couples.iter().map(Couple::other).collect();
        match &setting.undo {
            Undo::ThroughTwin(name) => others.push(name),
            Undo::AlsoRestore(names) => others.extend(names.iter().map(String::as_str)),
            _ => {}
        }
        if let Kind::Record(forms) = &setting.kind {
            others.extend(forms.values().flat_map(|form| form.values()).map(String::as_str));
        }
        for other in others.into_iter().filter(|other| !known(other) || *other == setting.name) {
            complaints.push(format!("{} refers to {other}", setting.name));
        }
    }
    none(complaints);
}

#[test]
fn twins_know_of_each_other() {
    let mut complaints = Vec::new();
    for setting in catalogue().settings() {
        for couple in &setting.couples {
            let Couple::Twin(name) = couple else { continue };
            let back =
                |other: &Setting| other.couples.contains(&Couple::Twin(setting.name.clone()));
            if !catalogue().get(name).is_some_and(back) {
                complaints.push(format!("{name} does not name its twin {}", setting.name));
            }
        }
    }
    none(complaints);
}

#[test]
fn every_row_of_the_dangers_is_covered() {
    let covered: BTreeSet<u8> = catalogue().settings().filter_map(|s| s.danger_row).collect();
    assert_eq!(covered, (1..=15).collect());
}

#[test]
fn what_is_dangerous_says_so_and_is_bounded() {
    let mut complaints = Vec::new();
    for setting in catalogue().settings() {
        let named = matches!(
            setting.class,
            Class::OneWay | Class::Security | Class::Brick | Class::Guarded
        );
        if named && setting.danger.is_none() {
            complaints.push(format!("{} is {:?} and names no danger", setting.name, setting.class));
        }
        let bounded = setting.safe.is_some() || setting.condition.is_some();
        if matches!(setting.class, Class::Brick | Class::Security) && !bounded {
            complaints.push(format!("{} is {:?} without a bound", setting.name, setting.class));
        }
        if setting.danger_row.is_some() && !named {
            complaints
                .push(format!("{} has a row of dangers, yet is {:?}", setting.name, setting.class));
        }
        if setting.class == Class::OneWay && setting.order != Order::Last {
            complaints.push(format!("{} is a latch, yet not written last", setting.name));
        }
    }
    none(complaints);
}

#[test]
fn every_entry_is_documented() {
    let mut complaints = Vec::new();
    let mut docs = BTreeSet::new();
    for setting in catalogue().settings() {
        if setting.doc.len() < 40 || !setting.doc.ends_with('.') {
            complaints.push(format!("{}: `{}` is no sentence", setting.name, setting.doc));
        }
        if !docs.insert(&setting.doc) {
            complaints.push(format!("{} says what another entry says", setting.name));
        }
        if setting.evidence.is_empty() {
            complaints.push(format!("{} has no evidence", setting.name));
        }
    }
    none(complaints);
}

#[test]
fn what_devices_have_can_be_reached() {
    let places = catalogue().settings().flat_map(|setting| &setting.places);
    let targets: Vec<Target> = places
        .filter_map(|place| match &place.at {
            At::Ethtool(attribute) => {
                Some(Target::Ethtool { device: "eth0".into(), attribute: attribute.clone() })
            }
            At::Link(attribute) => {
                Some(Target::Link { device: "eth0".into(), attribute: attribute.clone() })
            }
            _ => None,
        })
        .collect();
    assert!(targets.len() > 15);
    let unknown = targets.iter().filter(|target| !transaction::network::is_known(target));
    none(unknown.map(ToString::to_string).collect());
}

#[test]
fn expressions_speak_of_what_there_is() {
    let mut complaints = Vec::new();
    for setting in catalogue().settings() {
        let mut texts: Vec<&str> = Vec::new();
        for value in [&setting.accepts, &setting.safe, &setting.condition].into_iter().flatten() {
            texts.extend(value.texts());
        }
        texts.extend(setting.guarded.iter().map(|guarded| guarded.when.as_str()));
        for text in texts {
            let balance = |open, close| text.matches(open).count() == text.matches(close).count();
            if !balance('(', ')') || !balance('[', ']') || text.matches('"').count() % 2 == 1 {
                complaints.push(format!("{}: `{text}` is not balanced", setting.name));
            }
            for word in words(text).filter(|word| !is_known(word, setting)) {
                complaints.push(format!("{}: `{word}` in `{text}` is nothing known", setting.name));
            }
        }
    }
    none(complaints);
}

/// The paths in an expression; strings, and numbers with their units, are left out.
fn words(text: &str) -> impl Iterator<Item = String> {
    let bare: Vec<&str> = text.split('"').step_by(2).collect();
    bare.join(" ")
        .replace("..", " ")
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Operators and functions of expressions.
const WORDS: &[&str] =
    &["and", "or", "not", "in", "true", "false", "min", "max", "count", "starts_with"];

fn is_known(word: &str, setting: &Setting) -> bool {
    let choice = match &setting.kind {
        Kind::Choice(words) | Kind::Words(words) => words.iter().any(|known| known == word),
        Kind::Switch { off, on } => off == word || on == word,
        Kind::Text(_) => true,
        _ => false,
    };
    choice
        || word == "value" || crate::facts::ALL.iter().any(|fact| fact.name == word)
        || catalogue().get(word).is_some()
        || WORDS.contains(&word)
        || word.strip_prefix("value.").is_some_and(|part| {
            matches!(&setting.kind, Kind::Numbers(names) | Kind::Sizes(_, names) if names.iter().any(|name| name == part))
        })
}

#[test]
fn intents_outlive_kernels() {
    let setting = catalogue().get("cpu.base_slice").unwrap();
    let at = |version: &str| match Kernel::new(version.parse().unwrap(), Flavour::Generic)
        .find(setting)
    {
        Presence::Present(place) => place.at.clone(),
        Presence::Absent(why) => panic!("{why}"),
    };
    assert_eq!(at("5.10"), At::Sysctl("kernel/sched_min_granularity_ns".into()));
    assert_eq!(at("6.1"), At::Debugfs("sched/min_granularity_ns".into()));
    assert_eq!(at("6.12"), At::Debugfs("sched/base_slice_ns".into()));
    assert_eq!(at("7.2"), At::Debugfs("sched/base_slice_ns".into()));
}

#[test]
fn former_values_have_a_successor_that_is_accepted() {
    for setting in catalogue().settings() {
        for (old, new) in &setting.former {
            let Kind::Choice(words) = &setting.kind else {
                panic!("{} has no words", setting.name)
            };
            assert!(!words.contains(old) && words.contains(new), "{}: {old}", setting.name);
        }
    }
    let scheduler = catalogue().get("block.scheduler").unwrap();
    assert_eq!(scheduler.former.get("noop").map(String::as_str), Some("none"));
}

#[test]
fn what_is_absent_has_a_reason() {
    let kernel = Kernel::new(Version::new(6, 12), Flavour::Rt);
    let why = |name: &str| match kernel.find(catalogue().get(name).unwrap()) {
        Presence::Absent(why) => why,
        Presence::Present(place) => panic!("{place:?}"),
    };
    assert!(why("mm.thp").contains("real-time"), "{}", why("mm.thp"));
    assert!(why("cpu.latency").contains("EEVDF"), "{}", why("cpu.latency"));
    let mut cloud = Kernel::new(Version::new(6, 12), Flavour::Cloud);
    cloud.config.insert("CONFIG_ZSWAP".to_owned(), false);
    let zswap = catalogue().get("mm.zswap").unwrap();
    let Presence::Absent(why) = cloud.find(zswap) else { panic!("zswap is there") };
    assert_eq!(why, "this kernel is built without CONFIG_ZSWAP");
}

#[test]
fn suggests_what_was_meant() {
    let nearest = |wrong| catalogue().nearest(wrong);
    assert_eq!(nearest("vm.swapiness"), Some("vm.swappiness"));
    assert_eq!(nearest("VM.Swappiness"), Some("vm.swappiness"));
    assert_eq!(nearest("swappiness"), Some("vm.swappiness"));
    assert_eq!(nearest("net/core/somaxcon"), Some("net.core.somaxconn"));
    assert_eq!(nearest("net.ipv4.tcp_fastopne"), Some("net.ipv4.tcp_fastopen"));
    assert_eq!(nearest("kernel.sched_min_granularity_ns"), Some("cpu.base_slice"));
    assert_eq!(nearest("net.ipv4.conf.eth0.rp_filter"), Some("net.ipv4.conf.rp_filter"));
    assert_eq!(nearest("quite.another.thing"), None);
    assert_eq!(nearest(""), None);
    assert_eq!(nearest(&"v".repeat(100_000)), None);
}

#[test]
fn the_page_of_the_book_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/catalogue.md");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == document(catalogue()),
        "docs/catalogue.md is not what the data say: cargo run -p profiles --example catalogue"
    );
}
