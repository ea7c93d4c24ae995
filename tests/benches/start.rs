//! From `partitiond up` to guest-init ready, against QEMU booting the same on its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use scenarios::image_files;

use crate::figures::{Table, against, median, paired_ratio, seconds, spread};
use crate::plain::Plain;
use crate::up::{Step, steps, until_ready, up};
use crate::{Bench, IMAGE, server};

const GOAL: f64 = 1.15;
const MEMORY_MIB: u64 = 512;
const RIG_CPUS: u32 = 4;

/// Times of one round, taken one after the other.
struct Round {
    up: Duration,
    steps: Vec<Step>,
    /// A command that only looks at its arguments, and one that only plans.
    version: Duration,
    plan: Duration,
    /// By the partition's kernel's clock.
    marks: Vec<(&'static str, f64)>,
    vmlinux: Duration,
    vmlinuz: Duration,
    /// As `vmlinux`, on a QEMU with as many CPUs as the rig.
    among: Duration,
}

pub fn run(bench: &Bench) -> String {
    let server = server(RIG_CPUS, 4);
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
    server.sh("partitiond down");

    let image = image_files(IMAGE);
    let command_line = command_line.expect("its command line");
    let new = || Plain::new(bench.qemu.clone(), &image, &command_line, MEMORY_MIB);
    let (plain, among) = (new(), new().among(RIG_CPUS));
    let rounds: Vec<Round> = (1..=bench.rounds)
        .map(|number| {
            let version = timed(|| server.sh("partitiond --version"));
            let plan = timed(|| server.sh("partitiond plan /cluster.ron"));
            let said = up(&server, "/cluster.ron");
            let marks = marks(&server.sh("partitiond exec one -- dmesg"));
            server.sh("partitiond down");
            let round = Round {
                up: until_ready(&said),
                steps: steps(&said),
                version,
                plan,
                marks,
                vmlinux: plain.boot(&image.vmlinux),
                vmlinuz: plain.boot(&image.vmlinuz),
                among: among.boot(&image.vmlinux),
            };
            bench.say(&format!(
                "round {number} of {}: up {:.2} s, QEMU {:.2} s, with vmlinuz {:.2} s, of {RIG_CPUS} \
                 CPUs {:.2} s",
                bench.rounds,
                round.up.as_secs_f64(),
                round.vmlinux.as_secs_f64(),
                round.vmlinuz.as_secs_f64(),
                round.among.as_secs_f64()
            ));
            round
        })
        .collect();
    text(&rounds, first)
}

fn text(rounds: &[Round], first: Duration) -> String {
    let column = |of: fn(&Round) -> Duration| seconds(&rounds.iter().map(of).collect::<Vec<_>>());
    let ours = column(|round| round.up);
    let mut table =
        Table::new(["start of one partition, 1 CPU, 512 MiB", "time", "`up` against it", "goal"]);
    table.row(["`partitiond up` in a rig".to_owned(), spread(&ours), String::new(), String::new()]);
    let mut peer = |what: &str, theirs: &[f64], goal: bool| {
        let ratio = paired_ratio(&ours, theirs);
        let goal = if goal { against(GOAL, ratio) } else { "for comparison".to_owned() };
        table.row([what.to_owned(), spread(theirs), format!("{ratio:.2}×"), goal]);
    };
    peer("QEMU, the same unpacked kernel", &column(|round| round.vmlinux), true);
    peer("QEMU, the kernel as packaged (vmlinuz)", &column(|round| round.vmlinuz), true);
    peer(
        &format!("QEMU, unpacked kernel, {RIG_CPUS} CPUs as the rig, 1 used"),
        &column(|round| round.among),
        false,
    );
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
    let mut row = |what: String, time: f64| {
        table.row([what, format!("{time:.3} s"), format!("{:.0} %", time / whole * 100.0)]);
    };
    for (step, time) in step_medians(rounds) {
        row(step, time);
    }
    row("(for comparison: `partitiond --version`)".into(), median(&column(|round| round.version)));
    row("(for comparison: `partitiond plan FILE`)".into(), median(&column(|round| round.plan)));
    text.push_str(&table.text());
    let clock: Vec<String> = medians_of(rounds.iter().flat_map(|round| round.marks.clone()))
        .into_iter()
        .map(|(what, time)| format!("{what} at {time:.2} s"))
        .collect();
    let _ = writeln!(text, "\nBy the clock of the partition's kernel: {}.", clock.join(", "));
    text
}

/// The median of each step, in the order in which they begin.
fn step_medians(rounds: &[Round]) -> Vec<(String, f64)> {
    let mut steps: Vec<&Step> = rounds.iter().flat_map(|round| &round.steps).collect();
    let mut latest: BTreeMap<&str, Duration> = BTreeMap::new();
    for step in &steps {
        let since = latest.entry(&step.what).or_default();
        *since = step.since.max(*since);
    }
    steps.sort_by_key(|step| latest[step.what.as_str()]);
    medians_of(steps.iter().map(|step| (step.what.clone(), step.took.as_secs_f64())))
}

fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    run();
    begun.elapsed()
}

/// The median of each, in the order in which they came first.
fn medians_of<T: Ord + Clone>(values: impl Iterator<Item = (T, f64)>) -> Vec<(T, f64)> {
    let mut all: BTreeMap<T, Vec<f64>> = BTreeMap::new();
    let mut order = Vec::new();
    for (what, value) in values {
        if !all.contains_key(&what) {
            order.push(what.clone());
        }
        all.entry(what).or_default().push(value);
    }
    order.into_iter().map(|what| (what.clone(), median(&all[&what]))).collect()
}

/// When a kernel reached what, in seconds, from its log.
fn marks(log: &str) -> Vec<(&'static str, f64)> {
    const MARKS: [(&str, &str); 4] = [
        ("Trying to unpack rootfs", "unpacking of the initramfs begins"),
        ("as init process", "PID 1 begins"),
        ("guest-init: started", "guest-init's first line"),
        ("guest-init: ready", "ready"),
    ];
    let stamp = |needle: &str| {
        let line = log.lines().find(|line| line.contains(needle))?;
        line.split_once(']')?.0.trim_start_matches(['[', ' ']).parse::<f64>().ok()
    };
    MARKS.into_iter().filter_map(|(needle, what)| Some((what, stamp(needle)?))).collect()
}
