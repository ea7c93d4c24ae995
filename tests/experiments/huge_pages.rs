//! What huge pages cost who uses little of each, and what they give who follows pointers.

use crate::experiment::{Better, Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "no-huge-pages",
    title: "Huge pages and pointer chasing",
    load: "A heap of 128 MiB of which every 16th page is used; and pointers followed through 128 MiB in random \
           order.",
    from: "key-value",
    script: include_str!("profiles/no-huge-pages.ks"),
    gained: Metric {
        name: "sparse_mib",
        title: "memory of the sparse heap",
        unit: "MiB",
        better: Better::Less,
    },
    harmed: Metric {
        name: "ns_per_step",
        title: "a pointer followed",
        unit: "ns",
        better: Better::Less,
    },
    prepare: |_| (),
    measure: |server| server.sh("load chase mib=128 steps=3000000"),
    clean: |_| (),
};
