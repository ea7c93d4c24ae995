//! Memory pressure with swap that is compressed in memory.

use crate::experiment::{Experiment, Metric};

pub const EXPERIMENT: Experiment = Experiment {
    name: "compressed-swap",
    title: "Memory pressure with zswap",
    load: "A program reads pages of its 160 MiB at random for 8 s, in a control group of 96 MiB, with \
            swap on the slow disk.",
    words: "No standard profile has this setting. Pages are compressed to about a third before they go \
             to the disk, and most never have to. The pool lies in memory, too, so more pages are \
             missing; and a CPU works instead of waiting.",
    script: include_str!("profiles/compressed-swap.ks"),
    gained: Metric::more("pages_per_s", "pages read", "1/s"),
    harmed: &[
        Metric::less("swapped_in_percent", "pages that were not in memory", "%"),
        Metric::less("cpu_percent", "of a CPU taken by the kernel", "%"),
    ],
    prepare: |server| {
        server.sh("mkswap /dev/vda >/dev/null && swapon /dev/vda && \
            echo +memory >/sys/fs/cgroup/cgroup.subtree_control && \
            mkdir -p /sys/fs/cgroup/pressure && echo 96M >/sys/fs/cgroup/pressure/memory.max");
    },
    measure: |server| {
        server.sh("echo $$ >/sys/fs/cgroup/pressure/cgroup.procs && \
            load pressure memory=160 warming=3000 time=8000")
    },
    clean: |server| drop(server.sh("swapoff /dev/vda")),
};
