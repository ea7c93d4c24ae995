//! How old data are when they arrive.

use crate::experiment::{Experiment, Metric};
use crate::machine;

pub const EXPERIMENT: Experiment = Experiment {
    name: "fresh-data",
    title: "Age of data on arrival",
    load: "A program that always has something newer to say fills a connection for 8 s, 4 KiB at a \
            time, over 10 Mbit/s with 40 ms there and back, and room for 100 packets.",
    words: "The setting is that of `web-front`. Less waits in the socket, so what is written is newer \
             when it arrives; the price is that the sender is woken more often, and that the link may \
             run dry.",
    script: include_str!("profiles/fresh-data.ks"),
    gained: Metric::less("median_ms", "from `write` to arrival, median", "ms"),
    harmed: &[
        Metric::more("mbit_per_s", "throughput", "Mbit/s"),
        Metric::less("wakeups_per_mib", "wake-ups of the sender for a MiB", ""),
    ],
    prepare: |server| {
        machine::way(server, "rate 10mbit limit 100", "delay 40ms limit 10000");
    },
    measure: |server| machine::over_the_way(server, "priority time=8000"),
    clean: |_| (),
};
