//! A burst of connections while the server is away.

use crate::experiment::{Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "accept-burst",
    title: "Accept-queue burst",
    load: "6,000 clients connect at once while the server is away for 5 s; then it answers them one by one. Its \
           own backlog is 65,535. Who gets no answer tries again after 1, 3 and 7 s, as RFC 6298 has it.",
    words: "The settings are those of `web-front`. Whoever finds the queue full is not told, and waits until it \
            tries again. How much that is depends on when the server comes back: next to nothing where that is \
            just before the clients try, seconds where it is just after, as here. Linux clients since 6.5 try \
            every second at first, and so lose half a second on average. What the queue costs is kernel memory \
            for those who wait.",
    script: include_str!("profiles/accept-burst.ks"),
    gained: Metric::less("p99_ms", "from `connect` to the answer, 99th percentile", "ms"),
    harmed: &[Metric::less("slab_mib", "kernel memory while they wait", "MiB")],
    prepare: |server| {
        machine::way(server, "limit 100000", "limit 100000");
        server.sh("/bin/ip netns exec way sysctl -w net.ipv4.tcp_syn_linear_timeouts=0");
    },
    measure: |server| machine::over_the_way(server, "accept clients=6000 pause=5000"),
    clean: |_| (),
};
