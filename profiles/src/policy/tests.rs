use proptest::prelude::*;

use super::*;
use crate::diagnostic::{Source, Sources};
use crate::script::Script;

fn policy(text: &str) -> Compiled {
    let mut sources = Sources::new();
    let file = sources.add(Source::new("policy.ks", text));
    let read = Script::read(file, text);
    assert!(read.is_ok(), "{:?}", read.diagnostics);
    let mut diagnostics = Vec::new();
    let compiled = compile(&read.script.policies[0], &sources, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    compiled
}

/// Switches as `SECONDS: RULE (WHY)`.
fn switches(policy: &Compiled, trace: &str) -> Vec<String> {
    let told = |switch: &Switch| {
        let to = switch.to.map_or("default".to_owned(), |rule| rule.to_string());
        format!("{}: {to} ({})", switch.at.as_secs(), switch.why)
    };
    simulate(policy, &Trace::read(trace).unwrap()).iter().map(told).collect()
}

/// A trace of one signal, a value every ten seconds.
fn every_ten(values: &[u32]) -> String {
    let lines = values.iter().enumerate().map(|(at, value)| format!("{}s, {value}%\n", at * 10));
    "time, psi.io.full.avg10\n".to_owned() + &lines.collect::<String>()
}

#[test]
fn a_rule_waits_and_ends_as_it_says() {
    let policy = policy(
        "policy { default calm; when psi.io.full.avg10 > 20% for 20s until < 5% for 20s -> storm }",
    );
    assert_eq!(
        switches(&policy, &every_ten(&[30, 30, 10, 30, 30, 30, 10, 10, 4, 10, 4, 4, 4])),
        ["50: 0 (psi.io.full.avg10 > 20%)", "120: default (psi.io.full.avg10 > 20% is over)"]
    );
}

#[test]
fn without_until_a_rule_ends_with_its_condition() {
    let policy = policy("policy { default calm; when psi.io.full.avg10 > 20% -> storm }");
    let told = switches(&policy, &every_ten(&[0, 30, 30, 10, 30]));
    let short: Vec<_> = told.iter().map(|line| line.split(" (").next().unwrap()).collect();
    assert_eq!(short, ["10: 0", "30: default", "40: 0"]);
}

#[test]
fn dwell_and_cooldown_slow_it_down() {
    let policy = policy(
        "policy { default calm; when psi.io.full.avg10 > 20% dwell 30s cooldown 40s -> storm }",
    );
    let told = switches(&policy, &every_ten(&[30, 0, 0, 0, 30, 30, 30, 30, 30]));
    let short: Vec<_> = told.iter().map(|line| line.split(" (").next().unwrap()).collect();
    assert_eq!(short, ["0: 0", "30: default", "70: 0"]);
}

#[test]
fn the_first_rule_that_is_due_counts() {
    let policy = policy(
        "policy { default calm; when psi.io.full.avg10 > 50% -> worst; when psi.io.full.avg10 > 20% -> bad }",
    );
    let told = switches(&policy, &every_ten(&[30, 60, 30, 0]));
    let short: Vec<_> = told.iter().map(|line| line.split(" (").next().unwrap()).collect();
    assert_eq!(short, ["0: 1", "10: 0", "20: 1", "30: default"]);
}

#[test]
fn traces_are_read_or_refused_with_their_line() {
    let wrong = |text: &str| Trace::read(text).unwrap_err().to_string();
    assert!(wrong("").contains("first line"));
    assert!(wrong("times, x").contains("first line"));
    assert_eq!(wrong("time, memory.total"), "line 1: `memory.total` is no signal");
    assert!(wrong("time, psi.io.full.avg10\n0s").contains("line 2: expected 2 cells"));
    assert!(wrong("time, psi.io.full.avg10\n0s, 3s").contains("line 2: `3s` is no value of"));
    assert!(wrong("time, psi.io.full.avg10\n3s, 3%\n1s, 3%").contains("line 3: time goes back"));
    let trace =
        Trace::read("time, load.avg1, workload.db.active\n0s, 0.5, true\n1s,,false\n").unwrap();
    assert_eq!(trace.moments.len(), 2);
    let path = ["load", "avg1"].map(str::to_owned);
    assert_eq!(trace.moments[1].find(&path), trace.moments[0].find(&path), "as before");
}

proptest! {
    /// No policy leaves a rule before its dwell is over, or enters one before its cooldown is.
    #[test]
    fn policies_never_switch_faster_than_their_dwell(
        values in proptest::collection::vec(0_u32..100, 1..60),
        dwell in 0_u64..60,
        cooldown in 0_u64..60,
        hold in 0_u64..30,
    ) {
        let policy = policy(&format!(
            "policy {{ default a
                when psi.io.full.avg10 > 60% for {hold}s dwell {dwell}s cooldown {cooldown}s -> b
                when psi.io.full.avg10 > 30% dwell {dwell}s cooldown {cooldown}s -> c }}"
        ));
        let switches = simulate(&policy, &Trace::read(&every_ten(&values)).unwrap());
        let mut left = [None::<Duration>; 2];
        for pair in switches.windows(2) {
            let (one, next) = (&pair[0], &pair[1]);
            prop_assert_eq!(one.to, next.from);
            if let Some(rule) = next.from {
                prop_assert!(next.at - one.at >= Duration::from_secs(dwell));
                left[rule] = Some(next.at);
            }
            if let Some(Some(since)) = next.to.and_then(|rule| left.get(rule))
                && next.from != next.to {
                    prop_assert!(next.at - *since >= Duration::from_secs(cooldown));
                }
        }
    }
}
