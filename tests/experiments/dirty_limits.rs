//! A database's log beside its tables.

use crate::experiment::{Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "dirty-limits",
    title: "fsync beside written tables",
    load: "On ext4 on the slow disk, a log gets 4 KiB and an fdatasync every 50 ms for 20 s, beside \
            tables that get 16 MiB a second and an fdatasync every 6 s, as at a checkpoint. Then a \
            burst of 128 MiB of which nobody waits.",
    words: "The settings are those of `oltp`, as it has them where memory is smallest. The disk begins \
             early with what a checkpoint would otherwise find all at once. A program that writes much \
             at a time is made to wait for the disk.",
    script: include_str!("profiles/dirty-limits.ks"),
    gained: Metric::less("fsync_worst_ms", "the log's slowest fdatasync", "ms"),
    harmed: &[
        Metric::less("burst_ms", "the burst, as its program sees it", "ms"),
        Metric::less("fsync_p90_ms", "the log's fdatasync, 90th percentile", "ms"),
    ],
    prepare: |server| {
        server.sh(
            "/sbin/mke2fs -q -t ext4 /dev/vda && mkdir -p /disk && mount -t ext4 /dev/vda /disk",
        );
    },
    measure: |server| {
        server.sh("sync; load fsync folder=/disk rate=16 time=20000 period=50 burst=128")
    },
    clean: |server| drop(server.sh("umount /disk")),
};
