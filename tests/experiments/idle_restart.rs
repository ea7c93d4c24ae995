//! Answers on a connection that was idle for a while.

use crate::experiment::{Better, Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "idle-restart",
    title: "Answer after an idle time",
    load: "Answers of 256 KiB on a connection that is idle for 2 s before each, over 50 Mbit/s with 80 ms \
           there and back, and room for 400 packets; a neighbour sends datagrams on the same way.",
    from: "server",
    script: include_str!("profiles/idle-restart.ks"),
    gained: Metric {
        name: "median_ms",
        title: "an answer, median",
        unit: "ms",
        better: Better::Less,
    },
    harmed: Metric {
        name: "neighbour_ms",
        title: "a neighbour's slowest datagram during an answer",
        unit: "ms",
        better: Better::Less,
    },
    prepare: |server| {
        machine::way(server, "rate 50mbit limit 400", "delay 80ms limit 10000");
    },
    measure: |server| machine::over_the_way(server, "idle kib=256 requests=4 pause=2000"),
    clean: |_| (),
};
