//! A connection for each request.

use crate::experiment::{Better, Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "fast-open",
    title: "TCP Fast Open",
    load: "A connection for each of 30 requests of 200 bytes, over 40 ms there and back. Client and server ask \
           for Fast Open.",
    from: "web-front",
    script: include_str!("profiles/fast-open.ks"),
    gained: Metric {
        name: "median_ms",
        title: "a request, median",
        unit: "ms",
        better: Better::Less,
    },
    harmed: Metric {
        name: "bytes",
        title: "bytes on the wire for a request",
        unit: "B",
        better: Better::Less,
    },
    prepare: |server| machine::way(server, "delay 20ms limit 10000", "delay 20ms limit 10000"),
    measure: |server| machine::over_the_way(server, "fastopen requests=30 interface=here"),
    clean: |_| (),
};
