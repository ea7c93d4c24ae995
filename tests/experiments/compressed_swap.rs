//! Memory pressure with swap in compressed memory.

use crate::experiment::{Better, Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "compressed-swap",
    title: "Memory pressure with zram",
    load: "A program with 160 MiB of memory, seldom touched, reads pages of a file of 96 MiB on the slow disk \
           at random. Its control group has 192 MiB, and there is swap on zram.",
    from: "desktop",
    script: include_str!("profiles/compressed-swap.ks"),
    gained: Metric {
        name: "operations_per_s",
        title: "operations",
        unit: "1/s",
        better: Better::More,
    },
    harmed: Metric {
        name: "swapped_in",
        title: "pages swapped in",
        unit: "",
        better: Better::Less,
    },
    prepare: |server| {
        server.sh(
            "echo 512M >/sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
            echo +memory >/sys/fs/cgroup/cgroup.subtree_control
            mkdir -p /sys/fs/cgroup/pressure && echo 192M >/sys/fs/cgroup/pressure/memory.max",
        );
    },
    measure: |server| {
        server.sh("echo 3 >/proc/sys/vm/drop_caches
            echo $$ >/sys/fs/cgroup/pressure/cgroup.procs
            load pressure file=/dev/vda memory=160 mib=96 operations=8000")
    },
    clean: |server| drop(server.sh("swapoff /dev/zram0; echo 1 >/sys/block/zram0/reset")),
};
