//! BBR over a slow link that loses packets.

use crate::experiment::{Better, Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "lossy-link",
    title: "Bulk transfer over a lossy link",
    load: "One connection sends for 8 s over 10 Mbit/s with 40 ms there and back, 1 % of all packets lost, \
           room for 100 packets.",
    from: "web-front",
    script: include_str!("profiles/lossy-link.ks"),
    gained: Metric {
        name: "mbit_per_s",
        title: "throughput",
        unit: "Mbit/s",
        better: Better::More,
    },
    harmed: Metric {
        name: "retransmitted_percent",
        title: "segments sent again",
        unit: "%",
        better: Better::Less,
    },
    prepare: |server| {
        machine::way(server, "rate 10mbit loss 1% limit 100", "delay 40ms limit 10000");
    },
    measure: |server| machine::over_the_way(server, "bulk time=8000"),
    clean: |_| (),
};
