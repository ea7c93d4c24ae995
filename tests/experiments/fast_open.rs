//! A connection for each request.

use crate::experiment::{Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "fast-open",
    title: "TCP Fast Open",
    load: "A connection for each of 30 requests of 200 bytes, over 40 ms there and back. Client and \
            server ask for Fast Open; the kernel's default allows it to clients alone.",
    words: "The setting is that of `web-front`. It saves a round trip. The answer may leave before the handshake is \
            over: where packets overtake each other, as between CPUs in this rig, it is thrown away when it \
            arrives first, and comes again after a timeout. Not seen here: a request may be delivered twice, so \
            it is for those that do no harm twice; and some middle-boxes drop it.",
    script: include_str!("profiles/fast-open.ks"),
    gained: Metric::less("median_ms", "a request, median", "ms"),
    harmed: &[
        Metric::less("p99_ms", "the slowest request", "ms"),
        Metric::less("bytes", "on the wire for a request", "B"),
    ],
    prepare: |server| machine::way(server, "delay 20ms limit 10000", "delay 20ms limit 10000"),
    measure: |server| machine::over_the_way(server, "fastopen requests=30 interface=here"),
    clean: |_| (),
};
