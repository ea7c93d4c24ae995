//! A burst of connections while the server is away.

use crate::experiment::{Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "accept-burst",
    title: "Accept-queue burst",
    load: "6,000 clients connect at once while the server is away for 2 s; then it answers them one by \
            one. Its own backlog is 65,535.",
    words: "The settings are those of `web-front`. Whoever finds the queue full is not told: it tries \
             again after a second, and after several. What the queue costs is kernel memory for those \
             who wait.",
    script: include_str!("profiles/accept-burst.ks"),
    gained: Metric::less("p99_ms", "from `connect` to the answer, 99th percentile", "ms"),
    harmed: &[Metric::less("slab_mib", "kernel memory while they wait", "MiB")],
    prepare: |server| machine::way(server, "limit 100000", "limit 100000"),
    measure: |server| machine::over_the_way(server, "accept clients=6000 pause=2000"),
    clean: |_| (),
};
