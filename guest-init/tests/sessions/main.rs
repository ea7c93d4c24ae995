//! guest-init's loop as an ordinary process, over rings in a mapped file, as a keeper sees it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside test functions")]

mod partition;

use std::thread;
use std::time::{Duration, Instant};

use protocol::channel::Channel;
use protocol::image::ImageConfig;
use protocol::mailbox::GuestState;
use protocol::{
    ExitStatus, Restart, SessionId, Stop, Stream, TerminalSize, ToGuest, ToHost, VERSION, WINDOW,
    Workload, WorkloadState,
};

use partition::{ONE, PATIENCE, Partition, workload};

#[test]
fn a_partition_says_hello_then_ready_then_beats() {
    let mut partition = Partition::ready(ImageConfig::default());
    assert!(matches!(&partition.seen[0], ToHost::Hello(hello)
        if hello.version == VERSION && hello.cpus > 0 && hello.memory_kib > 0
            && hello.boot_id.len() == 36 && !hello.kernel.is_empty()));
    assert_eq!(partition.seen[1], ToHost::Warning { text: "a warning from before".into() });
    let first = partition.wait(|message| matches!(message, ToHost::Heartbeat(_)));
    let second = partition.wait(|message| matches!(message, ToHost::Heartbeat(_)));
    let (ToHost::Heartbeat(first), ToHost::Heartbeat(second)) = (first, second) else {
        unreachable!()
    };
    assert_eq!(second.sequence, first.sequence + 1);
    assert!((800..2000).contains(&(second.uptime_ms - first.uptime_ms)));
    assert!(!second.interrupts.is_empty());
    assert!(second.memory_available_kib > 0);
    assert_eq!(partition.mailbox.guest_state(), GuestState::Running);
    let alive = partition.mailbox.alive();
    partition.listen(Duration::from_millis(100));
    assert!(partition.mailbox.alive() > alive);
}

#[test]
fn both_ways_of_measuring_answer() {
    let mut partition = Partition::ready(ImageConfig::default());
    for sequence in 0..100 {
        partition.send(ToGuest::Ping { sequence });
        partition.wait(|message| *message == ToHost::Pong { sequence });
    }
    for value in 1..100 {
        partition.mailbox.set_ping(value);
        let deadline = Instant::now() + PATIENCE;
        while partition.mailbox.pong() != value {
            assert!(Instant::now() < deadline);
            std::hint::spin_loop();
        }
    }
}

#[test]
fn what_was_asked_before_the_start_is_answered_after_it() {
    let mut partition = Partition::boot_after(ImageConfig::default(), |mailbox| {
        mailbox.set_ping(7);
        let sent = mailbox.host_channel().unwrap().send(&ToGuest::Ping { sequence: 8 });
        assert!(sent.unwrap());
    });
    partition.channel = partition.mailbox.host_channel().unwrap();
    partition.wait(|message| *message == ToHost::Pong { sequence: 8 });
    let deadline = Instant::now() + PATIENCE;
    while partition.mailbox.pong() != 7 {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_program_gets_its_directory_environment_and_both_outputs() {
    let mut partition = Partition::ready(ImageConfig::default());
    partition.sh("pwd; echo $GREETING; echo wrong >&2; exit 7");
    assert_eq!(partition.exited(ONE), ExitStatus::Code(7));
    assert_eq!(partition.stdout(), "/tmp\nhello\n");
    assert_eq!(partition.output(ONE, Stream::Stderr), b"wrong\n");
    assert!(matches!(partition.seen.last(), Some(ToHost::Exited { .. })));
}

#[test]
fn what_cannot_be_run_says_so_as_a_shell_would() {
    let mut partition = Partition::ready(ImageConfig::default());
    let cases: [(&[&str], u8); 3] =
        [(&["no-such-program"], 127), (&["/etc/passwd"], 126), (&[], 125)];
    for (argv, expected) in cases {
        partition.exec(ONE, argv, None);
        let failed = partition.wait(|message| matches!(message, ToHost::Failed { .. }));
        assert!(
            matches!(failed, ToHost::Failed { session: ONE, status, .. } if status == expected)
        );
    }
}

#[test]
fn input_arrives_and_ends() {
    let mut partition = Partition::ready(ImageConfig::default());
    partition.exec(ONE, &["cat"], None);
    for piece in ["one ", "two\n"] {
        partition.send(ToGuest::Input { session: ONE, data: piece.into() });
    }
    partition.send(ToGuest::InputEnd { session: ONE });
    assert_eq!(partition.exited(ONE), ExitStatus::Code(0));
    assert_eq!(partition.stdout(), "one two\n");
    let granted: u32 = partition
        .seen
        .iter()
        .map(|message| if let ToHost::Credit { bytes, .. } = message { *bytes } else { 0 })
        .sum();
    assert_eq!(granted, 8);
}

#[test]
fn output_stops_at_the_window_and_nothing_is_lost() {
    let mut partition = Partition::ready(ImageConfig::default());
    let bytes = 1_000_000;
    partition.sh(&format!("head -c {bytes} /dev/zero; exit 3"));
    partition.listen(Duration::from_millis(500));
    let mut received = partition.output(ONE, Stream::Stdout).len();
    assert_eq!(received, WINDOW as usize);
    let mut granted = 0;
    while !matches!(partition.seen.last(), Some(ToHost::Exited { .. })) {
        let bytes = (received - granted) as u32;
        partition.send(ToGuest::Credit { session: ONE, bytes });
        granted = received;
        partition.wait(|message| matches!(message, ToHost::Output { .. } | ToHost::Exited { .. }));
        received = partition.output(ONE, Stream::Stdout).len();
    }
    assert_eq!(received, bytes);
    assert_eq!(partition.exited_status(), ExitStatus::Code(3));
}

#[test]
fn a_signal_reaches_the_whole_process_group() {
    let mut partition = Partition::ready(ImageConfig::default());
    partition.sh("trap 'echo caught; exit 9' TERM; echo up; while :; do sleep 0.05; done");
    partition.wait(|message| matches!(message, ToHost::Output { .. }));
    partition.send(ToGuest::Signal { session: ONE, signal: libc::SIGTERM as u8 });
    assert_eq!(partition.exited(ONE), ExitStatus::Code(9));
    assert_eq!(partition.stdout(), "up\ncaught\n");
    partition.sh("sleep 100");
    partition.send(ToGuest::Signal { session: ONE, signal: libc::SIGKILL as u8 });
    assert_eq!(partition.exited(ONE), ExitStatus::Signal(9));
}

#[test]
fn a_program_left_behind_does_not_hold_the_session() {
    let mut partition = Partition::ready(ImageConfig::default());
    let start = Instant::now();
    partition.sh("sleep 3 & echo done");
    assert_eq!(partition.exited(ONE), ExitStatus::Code(0));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(partition.stdout(), "done\n");
}

#[test]
fn a_terminal_is_one_and_can_be_resized() {
    let mut partition = Partition::ready(ImageConfig::default());
    let size = TerminalSize { rows: 24, columns: 80 };
    let script = "tty >/dev/null && echo terminal; stty size; read line; stty size; echo got $line";
    partition.exec(ONE, &["sh", "-c", script], Some(size));
    partition.wait(|message| {
        matches!(message, ToHost::Output { data, .. }
        if data.windows(5).any(|bytes| bytes == b"24 80"))
    });
    partition.send(ToGuest::Resize { session: ONE, size: TerminalSize { rows: 50, columns: 132 } });
    partition.send(ToGuest::Input { session: ONE, data: b"words\r".to_vec() });
    assert_eq!(partition.exited(ONE), ExitStatus::Code(0));
    let output = partition.stdout();
    for expected in ["terminal\r\n", "24 80\r\n", "50 132\r\n", "got words\r\n"] {
        assert!(output.contains(expected), "{expected:?} in {output:?}");
    }
}

#[test]
fn a_terminals_interrupt_key_and_end_key_work() {
    let mut partition = Partition::ready(ImageConfig::default());
    let size = TerminalSize { rows: 24, columns: 80 };
    partition.exec(ONE, &["sleep", "100"], Some(size));
    partition.wait(|message| matches!(message, ToHost::Started { .. }));
    partition.send(ToGuest::Input { session: ONE, data: vec![3] });
    assert_eq!(partition.exited(ONE), ExitStatus::Signal(libc::SIGINT as u8));
    partition.exec(ONE, &["cat"], Some(size));
    partition.send(ToGuest::InputEnd { session: ONE });
    assert_eq!(partition.exited(ONE), ExitStatus::Code(0));
}

#[test]
fn a_hangup_ends_even_what_ignores_it() {
    let mut partition = Partition::ready(ImageConfig::default());
    let start = Instant::now();
    partition.sh("trap '' HUP; echo up; while :; do sleep 0.1; done");
    partition.wait(|message| matches!(message, ToHost::Output { .. }));
    partition.send(ToGuest::Hangup { session: ONE });
    assert_eq!(partition.exited(ONE), ExitStatus::Signal(9));
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[test]
fn sessions_have_a_bound_and_do_not_disturb_each_other() {
    let mut partition = Partition::ready(ImageConfig::default());
    for number in 0..64 {
        partition.exec(SessionId(number), &["cat"], None);
    }
    partition.exec(SessionId(64), &["cat"], None);
    partition.wait(|message| {
        matches!(message, ToHost::Failed { session: SessionId(64), status: 125, .. })
    });
    partition.exec(SessionId(5), &["cat"], None);
    partition.wait(|message| matches!(message, ToHost::Failed { session: SessionId(5), .. }));
    for number in 0..64 {
        let session = SessionId(number);
        partition.send(ToGuest::Input { session, data: vec![number as u8; 100] });
        partition.send(ToGuest::InputEnd { session });
    }
    for _ in 0..64 {
        partition
            .wait(|message| matches!(message, ToHost::Exited { status: ExitStatus::Code(0), .. }));
    }
    for number in 0..64 {
        assert_eq!(partition.output(SessionId(number), Stream::Stdout), [number as u8; 100]);
    }
}

#[test]
fn workloads_log_restart_and_give_up() {
    let image = ImageConfig {
        workloads: vec![
            workload("once", "echo out; echo err >&2; printf rest", Restart::Never),
            workload("fails", "exit 4", Restart::OnFailure { max: 2 }),
        ],
        ..ImageConfig::default()
    };
    let mut partition = Partition::boot(image);
    let missing =
        Workload { argv: vec!["no-such".into()], ..workload("none", "", Restart::Always) };
    partition.configure(vec![missing]);
    partition.wait(|message| matches!(message, ToHost::Workload { name, state: WorkloadState::Ended { .. } } if name == "fails"));
    partition.listen(Duration::from_millis(100));
    let delays: Vec<u32> = partition
        .states("fails")
        .iter()
        .filter_map(|state| match state {
            WorkloadState::Restarting { status: ExitStatus::Code(4), delay_ms } => Some(*delay_ms),
            _ => None,
        })
        .collect();
    assert_eq!(delays, [100, 200]);
    assert!(
        matches!(partition.states("none")[..], [WorkloadState::Failed { reason }] if reason.contains("no-such"))
    );
    let lines: Vec<&[u8]> = partition
        .seen
        .iter()
        .filter_map(|message| match message {
            ToHost::Log { workload, line, .. } if workload == "once" => Some(line.as_slice()),
            _ => None,
        })
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in [&b"out"[..], b"err", b"rest"] {
        assert!(lines.contains(&line));
    }
}

#[test]
fn a_new_keeper_learns_everything_and_old_sessions_end() {
    let image = ImageConfig {
        workloads: vec![workload("w", "sleep 100", Restart::Never)],
        ..ImageConfig::default()
    };
    let mut partition = Partition::ready(image);
    partition.sh("sleep 100");
    // The keeper dies, and another one attaches where it was.
    partition.channel = partition.mailbox.host_channel().unwrap();
    partition.seen.clear();
    partition.mailbox.next_generation();
    partition.wait(|message| matches!(message, ToHost::Hello(_)));
    partition.wait(|message| {
        matches!(message, ToHost::Workload { state: WorkloadState::Running { .. }, .. })
    });
    partition.wait(|message| matches!(message, ToHost::Ready { .. }));
    assert_eq!(partition.exited(ONE), ExitStatus::Signal(libc::SIGHUP as u8));
    partition.sh("true");
    assert_eq!(partition.exited(ONE), ExitStatus::Code(0));
}

#[test]
fn a_keeper_that_does_not_read_loses_lines_and_is_told() {
    let mut partition = Partition::ready(ImageConfig::default());
    let flood = "i=0; while [ $i -lt 20000 ]; do echo line $i of a flood of lines that nobody reads at all; i=$((i+1)); done";
    partition.configure(vec![workload("flood", flood, Restart::Never)]);
    thread::sleep(Duration::from_secs(2));
    partition
        .wait(|message| matches!(message, ToHost::Warning { text } if text.contains("were lost")));
    // The program was not held up, and what comes later arrives.
    partition.sh("echo later");
    partition.exited(ONE);
    assert_eq!(partition.stdout(), "later\n");
}

#[test]
fn nonsense_in_the_ring_is_survived() {
    let mut partition = Partition::ready(ImageConfig::default());
    let head = protocol::mailbox::TO_GUEST.head;
    let memory = partition.mailbox.memory().clone();
    let word = memory.u64(head).unwrap();
    word.fetch_add(1 << 40, std::sync::atomic::Ordering::Relaxed);
    partition
        .wait(|message| matches!(message, ToHost::Warning { text } if text.contains("spoilt")));
    partition.channel = partition.mailbox.host_channel().unwrap();
    partition.sh("echo well");
    partition.exited(ONE);
    assert_eq!(partition.stdout(), "well\n");
}

#[test]
fn a_shutdown_asks_before_it_kills() {
    let stubborn =
        workload("stubborn", "trap '' TERM; while :; do sleep 0.05; done", Restart::Always);
    let polite = workload(
        "polite",
        "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done",
        Restart::Always,
    );
    let image = ImageConfig { workloads: vec![stubborn, polite], ..ImageConfig::default() };
    let mut partition = Partition::ready(image);
    partition.listen(Duration::from_millis(300));
    let start = Instant::now();
    partition.send(ToGuest::Shutdown { stop: Stop::Reboot, grace_ms: 700 });
    partition.wait(|message| matches!(message, ToHost::Stopping { stop: Stop::Reboot, reason } if reason == "asked by the keeper"));
    let ending = partition.guest.take().unwrap().join().unwrap();
    assert_eq!(ending.stop, Stop::Reboot);
    assert!(start.elapsed() >= Duration::from_millis(700));
    partition.listen(Duration::from_millis(10));
    assert!(
        partition
            .seen
            .iter()
            .any(|message| matches!(message, ToHost::Log { line, .. } if line == b"bye"))
    );
    let states = partition.states("stubborn");
    let Some(WorkloadState::Running { pid }) = states.last() else { panic!("{states:?}") };
    let deadline = Instant::now() + PATIENCE;
    while is_running(*pid) {
        assert!(Instant::now() < deadline, "SIGTERM was ignored, and SIGKILL did not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process exists that is not merely waiting to be reaped.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|state| state.starts_with('Z')))
}
