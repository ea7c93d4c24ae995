//! Wake-ups beside programs that compute.

use crate::experiment::{Better, Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "wake-ups",
    title: "Wake-ups beside hogs, CPUs shared",
    load: "A program sleeps until every 10th millisecond, beside 8 that compute all the time, on 4 CPUs.",
    from: "realtime",
    script: include_str!("profiles/wake-ups.ks"),
    gained: Metric { name: "median_ms", title: "late, median", unit: "ms", better: Better::Less },
    harmed: Metric {
        name: "hogs_work",
        title: "work done by the others",
        unit: "thousand rounds",
        better: Better::More,
    },
    prepare: |_| (),
    measure: |server| server.sh("waker wakeups samples=400 hogs=8 hog=/usr/bin/hog"),
    clean: |_| (),
};
