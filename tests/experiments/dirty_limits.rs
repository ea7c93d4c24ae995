//! A log beside a copy.

use crate::experiment::{Better, Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "dirty-limits",
    title: "fsync beside a copy",
    load: "A log on ext4 on the slow disk gets 4 KiB and an fdatasync every 50 ms for 12 s, beside a copy of \
           256 MiB of which nobody waits.",
    from: "oltp",
    script: include_str!("profiles/dirty-limits.ks"),
    gained: Metric {
        name: "fsync_worst_ms",
        title: "the slowest fdatasync",
        unit: "ms",
        better: Better::Less,
    },
    harmed: Metric {
        name: "copy_s",
        title: "the copy, as its program sees it",
        unit: "s",
        better: Better::Less,
    },
    prepare: |server| {
        server.sh("/sbin/mke2fs -q -t ext4 -E lazy_itable_init=1 /dev/vda && mkdir -p /disk && mount /dev/vda /disk");
    },
    measure: |server| server.sh("sync; load fsync folder=/disk mib=256 time=12000 period=50"),
    clean: |server| drop(server.sh("umount /disk")),
};
