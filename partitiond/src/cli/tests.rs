use std::collections::BTreeMap;

use boot::host_memory::NodeShare;
use boot::kvm::{Activity, Counters, Counts, DeviceActivity};
use boot::memory::Segment;
use boot::units::{Bytes, NodeId, PhysAddr};
use clap::{CommandFactory, Parser};
use protocol::{ExitStatus, Interrupts, Pressure, PressureLine, Signals, WorkloadState};

use super::render::{
    Outcome, Style, details, entry, event, headline, obstacles, outcome, overview,
};
use super::*;
use crate::api::{End, Event, LogEntry, PartitionStatus, Phase, Problem, ProblemKind, StartStep};
use crate::client::fake::{Fake, chunked, respond};
use crate::cluster::MemorySource;
use crate::doctor::Obstacle;

/// A partition in this phase.
pub(super) fn status(name: &str, phase: Phase) -> PartitionStatus {
    PartitionStatus {
        name: name.to_owned(),
        phase,
        end: None,
        image: "general".to_owned(),
        digest: "ab12cd34ef56ab12cd34ef56".to_owned(),
        kernel: "6.12.117+deb12-rt-amd64".to_owned(),
        backend: "bare".to_owned(),
        cpus: "2-3".parse().unwrap(),
        shared_cpus: None,
        memory: Bytes::mib(512),
        nodes: vec![NodeShare { node: NodeId(0), size: Bytes::mib(512) }],
        memory_source: MemorySource::default(),
        ranges: Vec::new(),
        keeper: Some(4711),
        boot_id: Some("0f0e0d0c-0000-4000-8000-000000000000".to_owned()),
        start: vec![
            StartStep { step: "taking its CPUs from the host".to_owned(), at_ms: 0 },
            StartStep { step: "booting its kernel".to_owned(), at_ms: 74 },
        ],
        ready_after_ms: Some(3100),
        restart_guard: true,
        profile: None,
        restarts: 0,
        signals: None,
        signals_age_ms: None,
        workloads: BTreeMap::new(),
        last_words: Vec::new(),
        command_line: "rdinit=/.partition/init quiet".to_owned(),
        machine: None,
    }
}

fn parse(line: &str) -> Result<Line, clap::Error> {
    Line::try_parse_from(line.split_whitespace())
}

/// How a command ends against a supervisor.
fn ends(fake: &Fake, line: &str) -> Result<(), Failure> {
    let socket = fake.socket.display();
    let line = parse(&format!("partitiond --quiet --socket {socket} {line}")).unwrap();
    dispatch(&Context::new(line.global), line.command)
}

#[test]
fn the_table_is_sound() {
    Line::command().debug_assert();
}

#[test]
fn what_follows_the_program_is_the_programs() {
    for line in ["partitiond exec -t db -- ls -l --color", "partitiond exec -t db ls -l --color"] {
        let Command::Exec(exec) = parse(line).unwrap().command else { panic!() };
        assert!(exec.tty);
        assert_eq!(exec.argv, ["ls", "-l", "--color"]);
    }
    let line = "partitiond exec db -u web -w /srv -e A=1 -e B=x=y -- env";
    let Command::Exec(exec) = parse(line).unwrap().command else { panic!() };
    assert_eq!((exec.user.as_str(), exec.workdir.as_str()), ("web", "/srv"));
    assert_eq!(exec.env, [("A".into(), "1".into()), ("B".into(), "x=y".into())]);
    assert!(parse("partitiond exec db").is_err());
    assert!(parse("partitiond exec db -e =1 -- env").is_err());
}

#[test]
fn a_rig_needs_no_name() {
    let rig = |line: &str| parse(line).unwrap().global.rig.map(|name| name.to_string());
    assert_eq!(rig("partitiond up --rig cluster.ron").as_deref(), Some("default"));
    assert_eq!(rig("partitiond ps --rig=demo").as_deref(), Some("demo"));
    assert_eq!(rig("partitiond --rig ps").as_deref(), Some("default"));
    assert_eq!(rig("partitiond ps"), None);
    assert!(parse("partitiond ps --rig=../x").is_err());
    assert!(parse("partitiond ps --rig --socket /x").is_err());
    assert!(parse("partitiond up f --cpus 0").is_err());
}

#[test]
fn wait_must_know_for_what() {
    assert!(parse("partitiond wait db").is_err());
    let line = "partitiond wait db --for=ready --timeout 60s";
    assert!(matches!(parse(line).unwrap().command, Command::Wait(_)));
    assert!(parse("partitiond wait --for=ready --timeout 60").is_err());
}

#[test]
fn every_kind_of_problem_has_its_exit_status() {
    for (kind, expected) in [
        (ProblemKind::NotFound, exit::NOT_FOUND),
        (ProblemKind::Invalid, exit::INVALID),
        (ProblemKind::Refused, exit::REFUSED),
        (ProblemKind::Busy, exit::FAILED),
        (ProblemKind::Failed, exit::FAILED),
    ] {
        let problem = Problem { kind, message: "m".to_owned(), hint: Some("h".to_owned()) };
        let body = serde_json::to_string(&problem).unwrap();
        let fake = Fake::start(move |_, stream| respond(stream, 418, &body));
        let failure = ends(&fake, "show db").unwrap_err();
        assert_eq!(failure, Failure::with_status(expected, "m").hint("h"));
    }
}

#[test]
fn down_ends_as_its_partitions_do() {
    let run = |lines: &'static [u8]| {
        let fake = Fake::start(move |asked, stream| match asked.line.as_str() {
            "GET /v1/version" => respond(stream, 200, r#"{"version":"1","pid":1}"#),
            _ => chunked(stream, &[lines], false),
        });
        ends(&fake, "down").map_err(|failure| failure.status)
    };
    assert_eq!(run(b"{\"what\":\"done\",\"ok\":true}\n"), Ok(()));
    assert_eq!(run(b"{\"what\":\"done\",\"ok\":false}\n"), Err(exit::FAILED));
    // A stream that ends without saying that it is done, however quietly, is a failure.
    assert_eq!(run(b"{\"what\":\"kept\",\"partition\":\"a\"}\n"), Err(exit::FAILED));
    let refused = b"{\"what\":\"failed\",\"partition\":\"a\",\"problem\":{\"kind\":\"refused\",\"message\":\"lockdown\",\"hint\":null}}\n{\"what\":\"done\",\"ok\":false}\n";
    assert_eq!(run(refused), Err(exit::REFUSED));
}

#[test]
fn waiting_ends_in_time() {
    let all = serde_json::to_string(&[status("a", Phase::Booting)]).unwrap();
    let fake = Fake::start(move |_, stream| respond(stream, 200, &all));
    let begin = std::time::Instant::now();
    let failure = ends(&fake, "wait a --for=ready --timeout 250ms").unwrap_err();
    assert_eq!(failure.status, exit::TIMEOUT);
    let took = begin.elapsed().as_millis();
    assert!((250..2000).contains(&took), "{took}");
    assert_eq!(ends(&fake, "wait b --for=ready").unwrap_err().status, exit::NOT_FOUND);
}

#[test]
fn a_cluster_file_with_errors_asks_nobody() {
    let fake = Fake::start(|asked, _| panic!("{asked:?}"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cluster.ron");
    std::fs::write(&path, "(partitions: {\"a\": (image: \"general\", cpu: 3)})").unwrap();
    let failure = ends(&fake, &format!("up {}", path.display())).unwrap_err();
    assert_eq!(failure.status, exit::INVALID);
    assert!(failure.message.contains("cpu"), "{}", failure.message);
    let failure = ends(&fake, &format!("up {}/missing.ron", dir.path().display())).unwrap_err();
    assert_eq!(failure.status, exit::INVALID);
}

#[test]
fn documents_are_made_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    documents::man(dir.path()).unwrap();
    let page = std::fs::read_to_string(dir.path().join("partitiond-exec.1")).unwrap();
    assert!(page.contains("without a shell"));
    assert!(!dir.path().join("partitiond-keeper.1").exists());
}

#[test]
fn partitions_are_listed() {
    let mut db = status("db", Phase::Ready);
    db.signals = Some(Signals { uptime_ms: 3_723_000, ..Signals::default() });
    let mut batch = status("batch", Phase::Ended);
    batch.end = Some(End::Panicked { message: "Oops".to_owned() });
    batch.restarts = 2;
    insta::assert_snapshot!("overview", overview(&[db, batch], Style::PLAIN));
}

#[test]
fn what_up_did_is_told() {
    let mut trading = status("trading", Phase::Ended);
    trading.kernel = "6.1.0-56-cloud-amd64".to_owned();
    let rows = [
        (status("db", Phase::Ready), Outcome::Up(3100)),
        (status("web", Phase::Ready), Outcome::Kept),
        (trading, Outcome::Failed),
    ];
    insta::assert_snapshot!("outcome", outcome(&rows, Style::PLAIN));
}

#[test]
fn a_partition_is_shown_in_detail() {
    let mut db = status("db", Phase::Ended);
    db.end = Some(End::Panicked { message: "Kernel panic - not syncing: \x1b[2Jboo".to_owned() });
    db.restart_guard = false;
    db.signals_age_ms = Some(400);
    let line = PressureLine { avg10: 1234, avg60: 5, avg300: 0, total_us: 1 };
    db.signals = Some(Signals {
        sequence: 12,
        uptime_ms: 65_000,
        memory_available_kib: 400 << 10,
        load_hundredths: 105,
        processes: 9,
        cpu: Pressure { some: line, full: PressureLine::default() },
        interrupts: vec![Interrupts { cpu: 0, timer: 100, ipi: 2, nmi: 0, device: 0, spurious: 1 }],
        ..Signals::default()
    });
    let state = WorkloadState::Restarting { status: ExitStatus::Signal(9), delay_ms: 400 };
    db.workloads.insert("web".to_owned(), state);
    db.last_words = vec!["[    1.0] Kernel panic".to_owned()];
    let cpu = Counters { port_writes: 12, register_writes: 1234, ..Counters::default() };
    let counts = Counts { served: 3, requests: 2, interrupts: 1 };
    let own = [("bytes_read".to_owned(), 4096), ("failed".to_owned(), 0)].into();
    let disk = DeviceActivity { name: "disk data".to_owned(), counts, own };
    db.machine = Some(Activity { cpus: vec![cpu], devices: vec![disk] });
    insta::assert_snapshot!("details", details(&db, Style::PLAIN));
    db.memory_source = MemorySource::Memmap;
    db.ranges = vec![Segment { start: PhysAddr(5 << 30), size: Bytes::mib(512) }];
    let memory = "512 MiB on node 0, memmap 0x140000000-0x15fffffff";
    assert!(details(&db, Style::PLAIN).contains(memory));
    assert!(overview(&[db], Style::PLAIN).contains("512 MiB memmap"));
}

#[test]
fn obstacles_stand_with_their_remedies() {
    let obstacle = |name: &str, accept: Option<&str>| Obstacle {
        name: name.to_owned(),
        found: format!("found {name}"),
        remedy: format!("remove {name}"),
        accept: accept.map(str::to_owned),
    };
    let hard = obstacle("lockdown", None);
    let soft = obstacle("host-ipi-broadcast", Some("HostIpiBroadcast"));
    let machine = crate::inventory::Machine::four_sockets();
    let mut text = headline(&machine, Some("rig"), Style::PLAIN);
    text += &obstacles("bare", "native", &[hard, soft.clone()], Style::PLAIN);
    text += &obstacles("bare", "native", &[soft], Style::PLAIN);
    text += &obstacles("kvm", "virtual", &[], Style::PLAIN);
    insta::assert_snapshot!("obstacles", text);
}

#[test]
fn logs_and_events_are_lines() {
    let log = |source: &str, level, text: &str| LogEntry {
        time_ms: 0,
        source: source.to_owned(),
        level,
        text: text.to_owned(),
    };
    let mut text = String::new();
    for line in [
        log("kernel", 6, "[    0.000000] Linux version 6.12"),
        log("kernel", 3, "[    0.100000] no luck"),
        log("workload:web", 6, "GET /"),
        log("workload:web", 3, "oops"),
        log("keeper", 5, "ready"),
    ] {
        text += &entry(&line, Style::PLAIN);
    }
    text += &event(
        &Event {
            sequence: 1,
            time_ms: 1_767_225_600_123,
            partition: Some("db".to_owned()),
            kind: "ended".to_owned(),
            text: "its kernel panicked".to_owned(),
            last_words: vec!["Kernel panic".to_owned()],
        },
        Style::PLAIN,
    );
    insta::assert_snapshot!("lines", text);
}
