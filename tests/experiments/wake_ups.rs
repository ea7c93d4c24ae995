//! Wake-ups beside programs that compute.

use crate::experiment::{Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "wake-ups",
    title: "Wake-ups beside hogs, by priority",
    load: "A program sleeps until every 10th millisecond, 400 times, beside 4 that compute all the \
            time, on the same 2 CPUs.",
    words: "A `workload` with a real-time priority, and the guard that this takes. The virtual CPUs \
             share real ones with QEMU itself and whatever else runs there, which delays both by \
             milliseconds now and then; no profile inside can help that.",
    script: include_str!("profiles/wake-ups.ks"),
    gained: Metric::less("p90_ms", "late, 90th percentile", "ms"),
    harmed: &[Metric::more("hogs_work", "work done by the others", "thousand rounds")],
    prepare: |_| (),
    measure: |server| server.sh("taskset 3 waker wakeups samples=400 hogs=4 hog=/usr/bin/hog"),
    clean: |_| (),
};
