//! Interrupts of the host's that arrive on a partition's CPU while the host is busy.
//!
//! The host cannot tell: a CPU that is offline has no column in its `/proc/interrupts`. The partition
//! can: its kernel counts every vector that it has a handler for, spurious ones and errors, and
//! complains in its log of those that it has no handler for. With one CPU it sends itself nothing but
//! timer and irq work, so everything else came from outside. That it would be seen is tried: the host
//! is made to send some on purpose, of both sorts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use scenarios::Server;

use crate::figures::Table;
use crate::{Bench, IMAGE, RIG_CPUS, server};

/// The partition's CPU, and its APIC id.
const CPU: u32 = 3;
const PERIOD: Duration = Duration::from_secs(20);
/// Interrupts that are sent on purpose, of either sort. Linux complains ten times in five seconds at
/// most.
const SENT: u64 = 5;
/// The rescheduling interrupt (`RESCHEDULE_VECTOR` in the kernel's `irq_vectors.h`), and a vector
/// that is for devices, of which a partition has none.
const HANDLED: u64 = 0xfd;
const UNHANDLED: u64 = 0x81;
/// The kernel's complaint (`No irq handler for vector`, since 6.12 `for CPU.VECTOR`), and what it is
/// called here.
const COMPLAINT: &str = "No irq handler for";
const COMPLAINTS: &str = "vectors without a handler";

/// What a kernel with one CPU counts without anybody sending it something: its timer, work that it
/// defers to an interrupt, and looks at the machine-check registers, which are none.
const OWN: [&str; 3] = ["LOC", "IWI", "MCP"];

/// Pipes between CPUs (rescheduling), registers of other CPUs (function calls), processes that move
/// (TLB), files and processes that come and go, and everything over the virtual console (devices).
const LOAD: &str = "\
    i=0; end=$(($(date +%s) + SECONDS)); \
    (while [ $(date +%s) -lt $end ]; do \
        taskset -c 0 dd if=/dev/zero bs=64 count=20000 2>/dev/null | taskset -c 1 cat >/dev/null; \
     done) & \
    (while [ $(date +%s) -lt $end ]; do \
        for cpu in 0 1 2; do taskset -c $(((cpu + 1) % 3)) dd if=/dev/cpu/$cpu/msr bs=8 skip=2 count=1 2>/dev/null >/dev/null; done; \
     done) & \
    (while [ $(date +%s) -lt $end ]; do \
        dd if=/dev/zero of=/tmp/load bs=1M count=16 2>/dev/null; cat /tmp/load >/dev/null; rm /tmp/load; \
        taskset -p -c $((i % 3)) 1 >/dev/null; i=$((i + 1)); \
     done; taskset -p -c 0-2 1 >/dev/null) & \
    while [ $(date +%s) -lt $end ]; do cat /proc/kallsyms; sleep 1; done; wait";

pub fn run(bench: &Bench) -> String {
    let server = server(RIG_CPUS, 4, "");
    server.up(&format!(
        r#"Cluster(trust: Mutual, partitions: {{
            "one": (image: "{IMAGE}", cpus: Set("{CPU}")),
        }})"#
    ));

    bench.say("host idle");
    let start = Counts::of(&server);
    std::thread::sleep(PERIOD);
    let idle = Counts::of(&server);
    bench.say("host busy");
    server.sh(&LOAD.replace("SECONDS", &PERIOD.as_secs().to_string()));
    let busy = Counts::of(&server);
    bench.say("interrupts sent on purpose");
    for _ in 0..SENT {
        send(&server, HANDLED);
        send(&server, UNHANDLED);
    }
    let tried = Counts::of(&server);
    let aimed = aimed_at_partition(&server);

    let seen = tried.foreign - busy.foreign;
    assert_eq!(seen, 2 * SENT, "the partition does not see what the host sends it: {tried:?}");
    let quiet = [idle.foreign - start.foreign, busy.foreign - idle.foreign];
    let mut table = Table::new([
        "",
        "host's own interrupts, timers aside",
        "arrived at the partition from outside",
        "its own timer",
        "goal",
    ]);
    let mut row = |what: &str, from: &Counts, to: &Counts, goal: bool| {
        let arrived = to.foreign - from.foreign;
        let verdict = if arrived == 0 { "0: met" } else { "0: **not met**" };
        table.row([
            what.to_owned(),
            (to.host - from.host).to_string(),
            arrived.to_string(),
            (to.timer - from.timer).to_string(),
            if goal { verdict.to_owned() } else { "to try the count".to_owned() },
        ]);
    };
    row(&format!("host idle, {} s", PERIOD.as_secs()), &start, &idle, true);
    row(&format!("host busy, {} s", PERIOD.as_secs()), &idle, &busy, true);
    row(&format!("host sends {} on purpose", 2 * SENT), &busy, &tried, false);
    let mut text = table.text();
    let _ = writeln!(
        text,
        "\nWhat arrived, by kind: {}. Device interrupts of the host whose effective affinity has \
         the partition's CPU in it: {aimed}.",
        if quiet == [0, 0] { "nothing".to_owned() } else { difference(&start, &busy) }
    );
    text
}

/// Interrupts counted so far.
#[derive(Debug)]
struct Counts {
    /// By the host, timers aside.
    host: u64,
    /// By the partition, timer.
    timer: u64,
    /// By the partition, from outside.
    foreign: u64,
    /// By the partition, all kinds.
    kinds: BTreeMap<String, u64>,
}

impl Counts {
    fn of(server: &Server) -> Self {
        let mut kinds = kinds(&server.sh("partitiond exec one -- cat /proc/interrupts"));
        let log = server.sh("partitiond exec one -- dmesg");
        let complaints = log.lines().filter(|line| line.contains(COMPLAINT)).count();
        kinds.insert(COMPLAINTS.to_owned(), complaints as u64);
        let host = self::kinds(&server.sh("cat /proc/interrupts"));
        let others = |kinds: &BTreeMap<String, u64>| {
            let others = kinds.iter().filter(|(kind, _)| !OWN.contains(&kind.as_str()));
            others.map(|(_, count)| *count).sum()
        };
        let timer = kinds.get("LOC").copied().expect("a kernel counts its timer");
        Self { host: others(&host), timer, foreign: others(&kinds), kinds }
    }
}

/// The lines of `/proc/interrupts`, all CPUs together.
fn kinds(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines
        .map(|(kind, rest)| {
            let counts = rest.split_whitespace().map_while(|word| word.parse::<u64>().ok());
            (kind.trim().to_owned(), counts.sum())
        })
        .collect()
}

fn difference(before: &Counts, after: &Counts) -> String {
    let grown = after.kinds.iter().filter_map(|(kind, count)| {
        let grown = count - before.kinds.get(kind).copied().unwrap_or_default();
        (grown > 0 && !OWN.contains(&kind.as_str())).then(|| format!("{kind} {grown}"))
    });
    grown.collect::<Vec<_>>().join(", ")
}

/// Sends the partition's CPU an interrupt: the interrupt command register in x2APIC mode is the
/// model-specific register 0x830, the destination in its upper half.
fn send(server: &Server, vector: u64) {
    let command = u64::from(CPU) << 32 | vector;
    let bytes: String = command.to_le_bytes().iter().map(|byte| format!("\\{byte:03o}")).collect();
    server.sh(&format!(
        "printf '{bytes}' | dd of=/dev/cpu/0/msr bs=8 seek={} count=1 conv=notrunc 2>/dev/null",
        0x830 / 8
    ));
    std::thread::sleep(Duration::from_millis(20));
}

/// How many of the host's interrupts may be sent to the partition's CPU.
fn aimed_at_partition(server: &Server) -> usize {
    let text = server.sh("cd /proc/irq; for i in [0-9]*; do cat $i/effective_affinity_list; done");
    let lists = text.lines().filter(|line| !line.trim().is_empty());
    lists
        .filter(|list| {
            list.parse::<boot::units::CpuSet>()
                .expect("a list of CPUs")
                .iter()
                .any(|id| id.0 == CPU)
        })
        .count()
}
