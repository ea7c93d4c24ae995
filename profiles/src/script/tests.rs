use super::*;
use crate::diagnostic::FileId;

const TOUR: &str = include_str!("../syntax/tests/tour.ks");

fn read(text: &str) -> Script {
    let read = Script::read(FileId::default(), text);
    assert!(read.is_ok(), "{:?}", read.diagnostics);
    read.script
}

/// `NAME [kind] if CONDITIONS`, one for each statement.
fn told(statements: &[Statement]) -> Vec<String> {
    let told = statements.iter().map(|statement| {
        let mut text = match &statement.subject {
            Subject::Raw(file) => format!("raw {}", file.text),
            Subject::Setting { name, of: None } => name.text.clone(),
            Subject::Setting { name, of: Some(devices) } => {
                format!("{} of {:?} {}", name.text, devices.kind, devices.selectors.len())
            }
        };
        for condition in &statement.conditions {
            text += if condition.negated { " unless" } else { " if" };
            for (path, _) in condition.expression.names() {
                text += &format!(" {}", path.join("."));
            }
        }
        text
    });
    told.collect()
}

#[test]
fn the_tour_is_understood() {
    let script = read(TOUR);
    assert!(!script.profiles.is_empty() && !script.policies.is_empty());
    assert!(!script.guards.is_empty());
}

#[test]
fn blocks_and_branches_are_gone() {
    let script = read(
        r#"
        profile p extends a, b {
            mm { lru_gen { min_ttl = 1s } }
            block "nvme*", "sd*" { deadline { read_expire = 50ms } }
            if kernel.version >= 6.6 {
                cpu.base_slice = 3ms if memory.total > 1GiB
            } else if cpus.count > 4 {
                default cpu.latency = 4ms
            } else {
                cpu { wakeup_granularity = 1ms }
            }
            raw "/proc/sys/vm/x" = 1
            raise net.core.somaxconn to 4096
        }"#,
    );
    let profile = &script.profiles[0];
    assert_eq!(profile.parents.iter().map(|name| &*name.text).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        told(&profile.statements),
        [
            "mm.lru_gen.min_ttl",
            "deadline.read_expire of Block 2",
            "cpu.base_slice if kernel.version if memory.total",
            "cpu.latency unless kernel.version if cpus.count",
            "cpu.wakeup_granularity unless kernel.version unless cpus.count",
            "raw /proc/sys/vm/x",
            "net.core.somaxconn",
        ]
    );
    assert_eq!(profile.statements[3].priority, Priority::Default);
    assert!(matches!(profile.statements[6].change, Change::Bound(Direction::Raise, _)));
}

#[test]
fn what_a_kernel_has_to_be_is_a_requirement() {
    let script =
        read("profile p { kernel flavour in [cloud], version >= 5.10; forbid kernel.lockdown }");
    let told: Vec<_> = script.profiles[0]
        .requirements
        .iter()
        .map(|it| (it.expression.names()[0].0.join("."), it.of_kernel, it.forbids))
        .collect();
    assert_eq!(
        told,
        [
            ("kernel.flavour".to_owned(), true, false),
            ("kernel.version".to_owned(), true, false),
            ("kernel.lockdown".to_owned(), false, true),
        ]
    );
}

#[test]
fn a_rule_ends_by_what_it_began_with() {
    let script =
        read("policy { default a; when psi.io.full.avg10 > 20% for 60s until < 5% for 2min -> b }");
    let rule = &script.policies[0].rules[0];
    let until = rule.until.as_ref().unwrap();
    assert_eq!(until.condition.names()[0].0.join("."), "psi.io.full.avg10");
    assert!(until.hold.is_some() && rule.cooldown.is_none());
}

#[test]
fn an_unknown_type_is_told_once() {
    let read = Script::read(FileId::default(), "profile p { param a: bites = 3 }");
    assert_eq!(read.diagnostics.len(), 1);
    assert_eq!(read.diagnostics[0].message, "there is no type `bites`");
    assert_eq!(read.script.profiles[0].parameters[0].of, Some(Type::Unknown));
}

#[test]
fn what_stands_under_a_broken_condition_is_not_judged() {
    let read = Script::read(
        FileId::default(),
        "profile p { if mim(1) > 2 { vm.swappiness = 3 } else { vm.swappiness = 4 } }",
    );
    assert!(!read.is_ok());
    assert_eq!(told(&read.script.profiles[0].statements), ["vm.swappiness"]);
}
