//! Readers beside writers, with a scheduler and without.

use crate::experiment::{Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "io-scheduler",
    title: "A reader beside writers",
    load: "One thread reads 4 KiB at a time, 96 write 64 KiB at a time, past the page cache, for 8 s \
            on a disk (null_blk) that does 32 requests at once, 20 ms each.",
    words: "The setting is that of `latency` and `oltp` for disks with a queue of their own. Without a \
             scheduler a read may have to wait for any number of writes; `mq-deadline` gives it a place \
             and a deadline. A read that would have found a place takes longer.",
    script: include_str!("profiles/io-scheduler.ks"),
    gained: Metric::less("read_p99_ms", "a read, 99th percentile", "ms"),
    harmed: &[
        Metric::less("read_median_ms", "a read, median", "ms"),
        Metric::more("write_mib_per_s", "written", "MiB/s"),
    ],
    prepare: |_| (),
    measure: |server| server.sh("load mixed device=/dev/nullb0 mib=512 writers=96 time=8000"),
    clean: |_| (),
};
