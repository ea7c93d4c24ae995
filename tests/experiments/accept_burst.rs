//! A burst of connections while the server is busy.

use crate::experiment::{Better, Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "accept-burst",
    title: "Accept-queue burst",
    load: "6,000 clients connect at once, while the server is away for 4 s; then it answers them one by one. \
           Its own backlog is 65,535.",
    from: "web-front",
    script: include_str!("profiles/accept-burst.ks"),
    gained: Metric {
        name: "p99_ms",
        title: "connected and answered, 99th percentile",
        unit: "ms",
        better: Better::Less,
    },
    harmed: Metric {
        name: "slab_mib",
        title: "kernel memory while they wait",
        unit: "MiB",
        better: Better::Less,
    },
    prepare: |server| machine::way(server, "delay 1ms limit 100000", "delay 1ms limit 100000"),
    measure: |server| machine::over_the_way(server, "accept clients=6000 pause=4000"),
    clean: |_| (),
};
