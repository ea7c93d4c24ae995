//! Wake-ups beside programs that compute, on a CPU of its own.

use crate::experiment::{Better, Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "isolation",
    title: "Wake-ups beside hogs, a CPU apart",
    load: "As above; the profile gives the program one CPU, and the hogs the other three.",
    from: "realtime",
    script: include_str!("profiles/isolation.ks"),
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
