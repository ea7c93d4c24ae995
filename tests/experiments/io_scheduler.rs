//! Readers beside writers, with a scheduler and without.

use crate::experiment::{Better, Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "io-scheduler",
    title: "A reader beside writers",
    load: "One thread reads 4 KiB at a time, 48 write 64 KiB at a time, past the page cache, on a disk \
           (null_blk) of two queues that does 8 requests at once, 4 ms each.",
    from: "latency",
    script: include_str!("profiles/io-scheduler.ks"),
    gained: Metric {
        name: "read_median_ms",
        title: "a read, median",
        unit: "ms",
        better: Better::Less,
    },
    harmed: Metric {
        name: "write_mib_per_s",
        title: "written",
        unit: "MiB/s",
        better: Better::More,
    },
    prepare: |_| (),
    measure: |server| server.sh("load mixed device=/dev/nullb0 mib=512 writers=48 time=4000"),
    clean: |_| (),
};
