//! Answers on a connection that was idle for a while.

use crate::experiment::{Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "idle-restart",
    title: "Answer after an idle time",
    load: "Answers of 256 KiB on a connection that is idle for 2 s before each, over 50 Mbit/s with 80 \
            ms there and back, and room for 400 packets; a neighbour sends a datagram every 4 ms on the \
            same way.",
    words: "The setting is that of `server`. The answer leaves in one burst at the pace that the \
             connection had before, so a neighbour's packets wait behind it.",
    script: include_str!("profiles/idle-restart.ks"),
    gained: Metric::less("median_ms", "an answer, median", "ms"),
    harmed: &[Metric::less(
        "neighbour_ms",
        "a neighbour's slowest datagram during an answer",
        "ms",
    )],
    prepare: |server| {
        machine::way(server, "rate 50mbit limit 400", "delay 80ms limit 10000");
    },
    measure: |server| machine::over_the_way(server, "idle kib=256 requests=4 pause=2000"),
    clean: |_| (),
};
