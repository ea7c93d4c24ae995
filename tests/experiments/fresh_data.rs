//! How old data are when they arrive.

use crate::experiment::{Better, Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "fresh-data",
    title: "Age of data on arrival",
    load: "A program that always has something newer to say fills a connection for 8 s, 4 KiB at a time, over \
           10 Mbit/s with 40 ms there and back, and room for 100 packets.",
    from: "web-front",
    script: include_str!("profiles/fresh-data.ks"),
    gained: Metric {
        name: "median_ms",
        title: "from `write` to arrival, median",
        unit: "ms",
        better: Better::Less,
    },
    harmed: Metric {
        name: "wakeups_per_mib",
        title: "wake-ups of the sender for a MiB",
        unit: "",
        better: Better::Less,
    },
    prepare: |server| {
        machine::way(server, "rate 10mbit limit 100", "delay 40ms limit 10000");
    },
    measure: |server| machine::over_the_way(server, "priority time=8000"),
    clean: |_| (),
};
