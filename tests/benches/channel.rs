//! A message there and back, against a bare word in shared memory.

use crate::Bench;
use crate::cargo::cargo;
use crate::figures::{Table, against};

const GOAL: f64 = 2.0;

pub fn run(bench: &Bench) -> String {
    bench.say("building and running guest-init/protocol/examples/roundtrip.rs");
    let printed = cargo("run", &["--release", "-p", "protocol", "--example", "roundtrip"]);
    let figure = |name: &str| -> f64 {
        let words = printed.split_whitespace();
        let value = words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name);
        let value = value.and_then(|(_, value)| value.parse().ok());
        value.unwrap_or_else(|| panic!("the example does not say `{name}`:\n{printed}"))
    };
    let (raw, channel, ratio) = (figure("raw_ns"), figure("channel_ns"), figure("ratio"));
    let mut table = Table::new(["there and back", "time", "against the word", "goal"]);
    table.row([
        "a polled word, two CPUs".to_owned(),
        format!("{raw:.0} ns"),
        String::new(),
        String::new(),
    ]);
    table.row([
        "ping and its answer through the channel".to_owned(),
        format!("{channel:.0} ns"),
        format!("{ratio:.2}×"),
        against(GOAL, ratio),
    ]);
    table.text()
}
