//! What huge pages cost who uses little of each, and what they give who follows pointers.

use crate::experiment::{Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "no-huge-pages",
    title: "Huge pages and pointer chasing",
    load: "3 million pointers followed through 128 MiB in random order; and a heap of 128 MiB of which \
            every 16th page is used.",
    words: "The setting is that of `key-value`. Huge pages make a sparse heap as large as it looks. Programs that \
            use their memory densely pay for small ones, with a fault for each and with slower translation of \
            addresses. How much slower cannot be said here: QEMU translates in software. Measure on hardware.",
    script: include_str!("profiles/no-huge-pages.ks"),
    gained: Metric::less("sparse_mib", "memory of the sparse heap", "MiB"),
    harmed: &[
        Metric::less("ns_per_step", "a pointer followed", "ns"),
        Metric::less("first_touch_ms", "the first touch of 128 MiB", "ms"),
    ],
    prepare: |_| (),
    measure: |server| server.sh("load chase mib=128 steps=3000000"),
    clean: |_| (),
};
