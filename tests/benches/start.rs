//! From `partitiond up` to guest-init ready, against QEMU booting the same on its own.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use scenarios::{Server, image_files};

use crate::figures::{Table, against, median, medians_of, paired_ratio, seconds, spread};
use crate::plain::Plain;
use crate::up::{steps, until_ready, up};
use crate::{Bench, CLUSTER, IMAGE, MEMORY_MIB, RIG_CPUS, partitions, server};

const GOAL: f64 = 1.15;

/// Times taken one after the other, on a host that was booted with huge pages.
struct Round {
    /// The image has to be looked at first.
    first: Duration,
    /// It has been looked at.
    up: Duration,
    steps: Vec<(String, Duration)>,
    /// By the partition's kernel's clock.
    marks: Vec<(&'static str, f64)>,
    /// A command that only looks at its arguments, and one that only plans.
    version: Duration,
    plan: Duration,
    vmlinux: Duration,
    vmlinuz: Duration,
    /// As `vmlinux`, without memory that is taken at the start.
    lazy: Duration,
    /// As `lazy`, on a QEMU with as many CPUs as the rig.
    among: Duration,
}

/// Likewise, on a host that has to find the huge pages first.
struct Grown {
    up: Duration,
    steps: Vec<(String, Duration)>,
    vmlinux: Duration,
}

/// The machines that are compared.
struct Machines {
    server: Server,
    plain: Plain,
    lazy: Plain,
    among: Plain,
}

pub fn run(bench: &Bench) -> String {
    let server = server(RIG_CPUS, 4, "hugepages=640");
    server.write(CLUSTER, &partitions(1, MEMORY_MIB));
    bench.say("a first `up`, which starts the supervisor");
    let very_first = until_ready(&up(&server, CLUSTER));
    let command_line = server.partition("p1")["command_line"].as_str().map(str::to_owned);
    server.sh("partitiond down");

    let image = image_files(IMAGE);
    let command_line = command_line.expect("its command line");
    let plain = || Plain::new(bench.qemu.clone(), &image, &command_line, MEMORY_MIB);
    let (lazy, among) = (plain().lazy(), plain().lazy().among(RIG_CPUS));
    let machines = Machines { server, plain: plain(), lazy, among };
    let rounds: Vec<Round> = (1..=bench.rounds)
        .map(|number| {
            let round = machines.round();
            bench.say(&format!(
                "round {number} of {}: up {:.2?} (first {:.2?}), QEMU {:.2?} (vmlinuz {:.2?}, \
                 lazy {:.2?}, of {RIG_CPUS} CPUs {:.2?})",
                bench.rounds,
                round.up,
                round.first,
                round.vmlinux,
                round.vmlinuz,
                round.lazy,
                round.among
            ));
            round
        })
        .collect();
    machines.server.sh("echo 0 >/proc/sys/vm/nr_hugepages");
    let grown: Vec<Grown> = (1..=bench.rounds)
        .map(|number| {
            let grown = machines.grown();
            bench.say(&format!(
                "without huge pages, round {number} of {}: up {:.2?}, QEMU {:.2?}",
                bench.rounds, grown.up, grown.vmlinux
            ));
            grown
        })
        .collect();
    text(&rounds, &grown, very_first)
}

impl Machines {
    fn round(&self) -> Round {
        let server = &self.server;
        let version = timed(|| server.sh("partitiond --version"));
        let plan = timed(|| server.sh(&format!("partitiond plan {CLUSTER}")));
        // Without these stamps an image counts as never looked at.
        server.sh("rm -r /run/partitiond/verified");
        let first = until_ready(&up(server, CLUSTER));
        server.sh("partitiond down");
        let said = up(server, CLUSTER);
        let marks = marks(&server.sh("partitiond exec p1 -- dmesg"));
        server.sh("partitiond down");
        Round {
            first,
            up: until_ready(&said),
            steps: steps(&said),
            marks,
            version,
            plan,
            vmlinux: self.plain.boot(self.plain.vmlinux()),
            vmlinuz: self.plain.boot(self.plain.vmlinuz()),
            lazy: self.lazy.boot(self.lazy.vmlinux()),
            among: self.among.boot(self.among.vmlinux()),
        }
    }

    fn grown(&self) -> Grown {
        let said = up(&self.server, CLUSTER);
        self.server.sh("partitiond down");
        let vmlinux = self.plain.boot(self.plain.vmlinux());
        Grown { up: until_ready(&said), steps: steps(&said), vmlinux }
    }
}

fn text(rounds: &[Round], grown: &[Grown], very_first: Duration) -> String {
    let column = |of: fn(&Round) -> Duration| seconds(&rounds.iter().map(of).collect::<Vec<_>>());
    let column_grown =
        |of: fn(&Grown) -> Duration| seconds(&grown.iter().map(of).collect::<Vec<_>>());
    let heading = format!("one partition, 1 CPU, {MEMORY_MIB} MiB");
    let mut table = Table::new([&heading, "`up`", "QEMU on its own", "ratio", "goal"]);
    let mut row = |what: &str, ours: &[f64], theirs: &[f64], goal: bool| {
        let ratio = paired_ratio(ours, theirs);
        let goal = if goal { against(GOAL, ratio) } else { "for comparison".to_owned() };
        table.row([what.to_owned(), spread(ours), spread(theirs), format!("{ratio:.2}×"), goal]);
    };
    let (ours, vmlinux) = (column(|round| round.up), column(|round| round.vmlinux));
    row("host booted with `hugepages=`", &ours, &vmlinux, true);
    row("the same; QEMU boots the packaged vmlinuz", &ours, &column(|round| round.vmlinuz), false);
    row("the same; QEMU takes its memory as it goes", &ours, &column(|round| round.lazy), false);
    row(
        &format!("the same, and QEMU has {RIG_CPUS} CPUs, as the rig; the kernel takes one"),
        &ours,
        &column(|round| round.among),
        false,
    );
    row("first `up` of an image", &column(|round| round.first), &vmlinux, false);
    row(
        "huge pages found at the start",
        &column_grown(|round| round.up),
        &column_grown(|round| round.vmlinux),
        false,
    );
    let mut text = table.text();
    let _ = writeln!(
        text,
        "\nMedian (least to most) of {} rounds; a ratio is the median of the rounds' ratios. The \
         very first `up` of the server, which starts the supervisor too, took {:.2} s.\n",
        rounds.len(),
        very_first.as_secs_f64()
    );
    text.push_str(&breakdown(rounds, grown, median(&ours)));
    let _ = writeln!(
        text,
        "\nA command that does nothing, `partitiond --version`, takes {:.2} s in the rig, and \
         `partitiond plan` {:.2} s. By the clock of the partition's kernel: {}.",
        median(&column(|round| round.version)),
        median(&column(|round| round.plan)),
        medians_of(rounds.iter().flat_map(|round| round.marks.iter().copied()))
            .into_iter()
            .map(|(what, time)| format!("{what} at {time:.2} s"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    text
}

fn breakdown(rounds: &[Round], grown: &[Grown], whole: f64) -> String {
    let medians = |steps: &mut dyn Iterator<Item = &(String, Duration)>| {
        medians_of(steps.map(|(what, took)| (what.clone(), took.as_secs_f64())))
    };
    let ours = medians(&mut rounds.iter().flat_map(|round| &round.steps));
    let grown = medians(&mut grown.iter().flat_map(|round| &round.steps));
    let mut table = Table::new([
        "what `up` takes its time for",
        "median",
        "share",
        "huge pages found at the start",
    ]);
    for (what, time) in ours {
        let other = grown.iter().find(|(other, _)| *other == what);
        let other = other.map_or(String::new(), |(_, time)| format!("{time:.3} s"));
        table.row([what, format!("{time:.3} s"), format!("{:.0} %", time / whole * 100.0), other]);
    }
    table.text()
}

fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    run();
    begun.elapsed()
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
