//! Read-ahead on a slow disk.

use crate::experiment::{Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "read-ahead",
    title: "Read-ahead on a slow disk",
    load: "64 MiB of the slow disk read from begin to end, 64 KiB at a time; then 30 single pages of \
            it touched at random, mapped.",
    words: "The setting is that of `throughput`. Few large requests suit a disk that counts requests. \
             Whoever maps a file and touches it here and there reads 4 MiB for each page.",
    script: include_str!("profiles/read-ahead.ks"),
    gained: Metric::more("mib_per_s", "read from begin to end", "MiB/s"),
    harmed: &[Metric::less("touch_median_ms", "a page touched at random, median", "ms")],
    prepare: |_| (),
    measure: |server| server.sh("load readahead device=/dev/vda mib=64 touches=30"),
    clean: |_| (),
};
