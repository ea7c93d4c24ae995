//! Read-ahead on a slow disk.

use crate::experiment::{Better, Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "read-ahead",
    title: "Read-ahead on a slow disk",
    load: "64 MiB of the slow disk read from begin to end; then single pages of it touched at random, mapped.",
    from: "throughput",
    script: include_str!("profiles/read-ahead.ks"),
    gained: Metric {
        name: "mib_per_s",
        title: "read from begin to end",
        unit: "MiB/s",
        better: Better::More,
    },
    harmed: Metric {
        name: "touch_median_ms",
        title: "a page touched at random, median",
        unit: "ms",
        better: Better::Less,
    },
    prepare: |_| (),
    measure: |server| server.sh("load readahead device=/dev/vda mib=64 touches=30"),
    clean: |_| (),
};
