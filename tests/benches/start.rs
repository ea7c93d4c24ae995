//! From `partitiond up` to guest-init ready, against QEMU booting the same on its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use scenarios::image_files;

use crate::figures::{Table, against, median, paired_ratio, seconds, spread};
use crate::plain::Plain;
use crate::up::{steps, until_ready, up};
use crate::{Bench, IMAGE, server};

const GOAL: f64 = 1.15;
const MEMORY_MIB: u64 = 512;

/// Times of one round, taken one after the other.
struct Round {
    up: Duration,
    steps: Vec<(String, Duration)>,
    vmlinux: Duration,
    vmlinuz: Duration,
}

pub fn run(bench: &Bench) -> String {
    let server = server(4, 4);
    server.write(
        "/cluster.ron",
        &format!(
            r#"Cluster(trust: Mutual, partitions: {{
                "one": (image: "{IMAGE}", memory: "{MEMORY_MIB}MiB"),
            }})"#
        ),
    );
    bench.say("a first `up`, which starts the supervisor");
    let first = until_ready(&up(&server, "/cluster.ron"));
    let command_line = server.partition("one")["command_line"].as_str().map(str::to_owned);
    let kernel_clock = kernel_clock(&server.sh("partitiond exec one -- dmesg"));
    server.sh("partitiond down");

    let image = image_files(IMAGE);
    let command_line = command_line.expect("its command line");
    let plain = Plain::new(bench.qemu.clone(), &image, &command_line, MEMORY_MIB);
    let rounds: Vec<Round> = (1..=bench.rounds)
        .map(|number| {
            let said = up(&server, "/cluster.ron");
            server.sh("partitiond down");
            let round = Round {
                up: until_ready(&said),
                steps: steps(&said),
                vmlinux: plain.boot(&image.vmlinux),
                vmlinuz: plain.boot(&image.vmlinuz),
            };
            bench.say(&format!(
                "round {number} of {}: up {:.2} s, QEMU {:.2} s, QEMU with vmlinuz {:.2} s",
                bench.rounds,
                round.up.as_secs_f64(),
                round.vmlinux.as_secs_f64(),
                round.vmlinuz.as_secs_f64()
            ));
            round
        })
        .collect();
    text(&rounds, first, &kernel_clock)
}

fn text(rounds: &[Round], first: Duration, kernel_clock: &str) -> String {
    let column = |of: fn(&Round) -> Duration| seconds(&rounds.iter().map(of).collect::<Vec<_>>());
    let ours = column(|round| round.up);
    let mut table =
        Table::new(["start of one partition, 1 CPU, 512 MiB", "time", "`up` against it", "goal"]);
    table.row(["`partitiond up` in a rig".to_owned(), spread(&ours), String::new(), String::new()]);
    let mut peer = |what: &str, theirs: &[f64]| {
        let ratio = paired_ratio(&ours, theirs);
        table.row([what.to_owned(), spread(theirs), format!("{ratio:.2}×"), against(GOAL, ratio)]);
    };
    peer("QEMU, the same unpacked kernel", &column(|round| round.vmlinux));
    peer("QEMU, the kernel as packaged (vmlinuz)", &column(|round| round.vmlinuz));
    let mut text = table.text();
    let _ = writeln!(
        text,
        "\nMedian (least to most) of {} rounds. The first `up`, which starts the supervisor too, \
         took {:.2} s.\n",
        rounds.len(),
        first.as_secs_f64()
    );
    let mut table = Table::new(["where `up` spends its time", "median", "share"]);
    let whole = median(&ours);
    for (step, time) in medians(rounds) {
        table.row([step, format!("{time:.3} s"), format!("{:.0} %", time / whole * 100.0)]);
    }
    text.push_str(&table.text());
    let _ = writeln!(text, "\nBy the partition's kernel's own clock: {kernel_clock}.");
    text
}

/// The median of each step, in the order in which they are done.
fn medians(rounds: &[Round]) -> Vec<(String, f64)> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for (step, time) in rounds.iter().flat_map(|round| &round.steps) {
        if !order.contains(&step.as_str()) {
            order.push(step);
        }
        times.entry(step).or_default().push(time.as_secs_f64());
    }
    order.into_iter().map(|step| (step.to_owned(), median(&times[step]))).collect()
}

/// When a kernel reached what, from its log.
fn kernel_clock(log: &str) -> String {
    let marks = [
        ("Trying to unpack rootfs", "initramfs is being unpacked at"),
        ("as init process", "PID 1 begins at"),
        ("guest-init: started", "guest-init's first line at"),
        ("guest-init: ready", "ready at"),
    ];
    let stamp = |needle: &str| {
        let line = log.lines().find(|line| line.contains(needle))?;
        line.split_once(']')?.0.trim_start_matches(['[', ' ']).parse::<f64>().ok()
    };
    let found = marks.iter().filter_map(|(needle, words)| {
        stamp(needle).map(|seconds| format!("{words} {seconds:.2} s"))
    });
    found.collect::<Vec<_>>().join(", ")
}
