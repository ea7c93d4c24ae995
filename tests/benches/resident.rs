//! Memory that supervisor and keepers take of the host.

use std::fmt::Write as _;
use std::time::Duration;

use crate::figures::{Table, median};
use crate::{Bench, CLUSTER, partitions, server};

const PARTITIONS: usize = 8;
const GOAL_KIB: f64 = 12.0 * 1024.0;

/// One line for each process of ours: what it is, and its memory in KiB. By their program: the shell that
/// looks has the words that are looked for among its own.
const LOOK: &str = "\
    for p in /proc/[0-9]*; do \
        [ \"$(readlink $p/exe)\" = /usr/bin/partitiond ] || continue; \
        line=$(tr '\\0' ' ' 2>/dev/null <$p/cmdline); \
        case \"$line\" in *' serve '*) what=supervisor ;; *' keeper '*) what=keeper ;; *) continue ;; esac; \
        echo $what $(sed -n 's/^Vm\\(RSS\\|HWM\\):[^0-9]*\\([0-9]*\\) kB/\\1=\\2/p' $p/status) \
             $(sed -n 's/^Pss:[^0-9]*\\([0-9]*\\) kB/Pss=\\1/p' $p/smaps_rollup); \
    done";

/// KiB of one process.
#[derive(Debug)]
struct Process {
    /// Resident, what it shares with others counted in full.
    resident: f64,
    /// Its share: what is shared by n processes counts as an n-th.
    share: f64,
    /// The most that was ever resident.
    most: f64,
}

pub fn run(bench: &Bench) -> String {
    let server = server(PARTITIONS as u32 + 4, 6, "hugepages=1100");
    // One after the other: eight kernels that boot at once are too much for a few real CPUs.
    for count in 1..=PARTITIONS {
        bench.say(&format!("starting partition {count} of {PARTITIONS}"));
        server.write(CLUSTER, &partitions(count, 256));
        server.sh(&format!("partitiond up {CLUSTER}"));
    }
    // What the start took may go again.
    std::thread::sleep(Duration::from_secs(5));
    let looked = server.sh(LOOK);
    let of = |what: &str| -> Vec<Process> {
        looked.lines().filter(|line| line.starts_with(what)).map(process).collect()
    };
    let (supervisors, keepers) = (of("supervisor"), of("keeper"));
    assert_eq!((supervisors.len(), keepers.len()), (1, PARTITIONS), "{looked}");
    text(&supervisors[0], &keepers)
}

fn process(line: &str) -> Process {
    let figure = |name: &str| {
        let found = line.split_whitespace().find_map(|word| word.strip_prefix(name));
        found.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    Process { resident: figure("RSS="), share: figure("Pss="), most: figure("HWM=") }
}

fn text(supervisor: &Process, keepers: &[Process]) -> String {
    let mib = |kib: f64| format!("{:.1} MiB", kib / 1024.0);
    let of = |figure: fn(&Process) -> f64| keepers.iter().map(figure).collect::<Vec<f64>>();
    let goal = |kib: f64| {
        let verdict = if kib < GOAL_KIB { "met" } else { "**not met**" };
        format!("under {}: {verdict}", mib(GOAL_KIB))
    };
    let mut table = Table::new(["with 8 partitions", "resident", "its share", "most ever", "goal"]);
    table.row([
        "supervisor".to_owned(),
        mib(supervisor.resident),
        mib(supervisor.share),
        mib(supervisor.most),
        goal(supervisor.resident),
    ]);
    table.row([
        "a keeper (median)".to_owned(),
        mib(median(&of(|keeper| keeper.resident))),
        mib(median(&of(|keeper| keeper.share))),
        mib(median(&of(|keeper| keeper.most))),
        String::new(),
    ]);
    let shares = supervisor.share + of(|keeper| keeper.share).iter().sum::<f64>();
    table.row([
        "all nine together".to_owned(),
        mib(supervisor.resident + of(|keeper| keeper.resident).iter().sum::<f64>()),
        mib(shares),
        String::new(),
        goal(shares),
    ]);
    let mut text = table.text();
    let _ = writeln!(
        text,
        "\n*Resident* counts in full what processes share, which is the program itself; *its share* \
         divides it among them, and is what adds up."
    );
    text
}
