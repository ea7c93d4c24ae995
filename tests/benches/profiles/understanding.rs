//! From text to plans.

use crate::Bench;
use crate::cargo::cargo;
use crate::figures::Table;

use super::within;

pub fn run(bench: &Bench) -> String {
    bench.say("building and running profiles/examples/plan_time.rs");
    let printed = cargo("run", &["--release", "-p", "profiles", "--example", "plan_time"]);
    let figure = |name: &str| -> f64 {
        let words = printed.split_whitespace();
        let value = words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name);
        let value = value.and_then(|(_, value)| value.parse().ok());
        value.unwrap_or_else(|| panic!("the example does not say `{name}`:\n{printed}"))
    };
    let mut table = Table::new(["from text to plan, for one kernel", "time", "goal"]);
    let mut row = |what: &str, name: &str, goal: Option<f64>| {
        let ms = figure(name);
        let goal = goal.map_or_else(|| "for comparison".to_owned(), |goal| within(goal, ms));
        table.row([what.to_owned(), format!("{ms:.2} ms"), goal]);
    };
    row("one profile of 300 settings", "profile_ms", Some(5.0));
    row("1,000 profiles in lines of ten ancestors", "thousand_ms", Some(300.0));
    row("reading the catalogue, once a process", "catalogue_ms", None);
    table.text()
}
