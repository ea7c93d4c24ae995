//! Wake-ups beside programs that compute, on a CPU of its own.

use crate::experiment::{Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "isolation",
    title: "Wake-ups beside hogs, on a CPU apart",
    load: "As above; the profile gives the program one of the two CPUs, and the hogs the other.",
    words: "Two `workload`s. A CPU that mostly sleeps is the price: half of what the others had.",
    script: include_str!("profiles/isolation.ks"),
    gained: Metric::less("p90_ms", "late, 90th percentile", "ms"),
    harmed: &[Metric::more("hogs_work", "work done by the others", "thousand rounds")],
    prepare: |_| (),
    measure: |server| server.sh("taskset 3 waker wakeups samples=400 hogs=4 hog=/usr/bin/hog"),
    clean: |_| (),
};
