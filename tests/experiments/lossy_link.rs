//! BBR over a slow link that loses packets.

use crate::experiment::{Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "lossy-link",
    title: "Bulk transfer over a lossy link",
    load: "One connection sends for 6 s over 10 Mbit/s with 40 ms there and back, 1 % of all packets \
            lost, and room for 100 packets; then another 6 s beside a neighbour's connection with \
            CUBIC.",
    words: "The settings are those of `web-front`. CUBIC takes each loss for a full queue and slows \
             down; BBR goes by what arrives. On a link that it shares it takes more than its part.",
    script: include_str!("profiles/lossy-link.ks"),
    gained: Metric::more("mbit_per_s", "throughput alone", "Mbit/s"),
    harmed: &[
        Metric::more("neighbour_mbit_per_s", "the neighbour's throughput", "Mbit/s"),
        Metric::less("retransmitted_percent", "segments sent again", "%"),
    ],
    prepare: |server| {
        machine::way(server, "rate 10mbit loss 1% limit 100", "delay 40ms limit 10000");
    },
    measure: |server| machine::over_the_way(server, "bulk time=6000"),
    clean: |_| (),
};
