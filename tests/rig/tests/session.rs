//! A session with one rig, as a person at a shell would have it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rig::flake::is_stale_breakpoint;
use rig::qemu::QemuVersion;
use rig::trace::{Direction, Space};
use rig::wire::{Exec, FromExec, Status, TerminalSize};
use rig::{ClientError, GuestFile, KeptBy, Rig, RigError, RigSpec, Running, StateDir, StateError};

/// Starts a rig, twice more where QEMU's own fault ends it.
fn start(state: &StateDir, spec: &RigSpec, kept_by: impl Fn() -> KeptBy) -> Rig {
    for attempt in 1.. {
        let started = Instant::now();
        match Rig::start_in(state, spec, kept_by(), |progress| eprintln!("  {progress}")) {
            Ok(rig) => {
                eprintln!("{} is up after {:.1} s", spec.name, started.elapsed().as_secs_f32());
                return rig;
            }
            Err(RigError::NotUp { failure, .. }) if attempt < 3 => {
                let evidence = is_stale_breakpoint(&failure.console.join("\n"));
                let evidence = evidence.unwrap_or_else(|| panic!("{failure:#?}"));
                eprintln!("attempt {attempt}: {evidence}; once more");
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

fn keeper_process() -> KeptBy {
    KeptBy::Process(Command::new(env!("CARGO_BIN_EXE_rig-keeper")))
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within 20 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Reads until the program has written just this; it may come in pieces.
fn wait_for_output(running: &mut Running, expected: &str) {
    let mut seen = Vec::new();
    while seen != expected.as_bytes() {
        match running.message().unwrap() {
            FromExec::Output(bytes) => seen.extend(bytes),
            other => panic!("{other:?} instead of {expected:?}"),
        }
        assert!(expected.as_bytes().starts_with(&seen), "{seen:?}");
    }
}

/// Processes that have this text in their command line.
fn processes_with(text: &str) -> Vec<Pid> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&line).contains(text).then(|| Pid::from_raw(pid))
        })
        .collect()
}

#[test]
fn a_rig_on_qemu_7_serves_programs_files_and_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::at(&folder.path().join("rigs")).unwrap();
    let note = folder.path().join("note");
    fs::write(&note, "from outside\n").unwrap();
    let mut spec = common::spec(
        "session",
        QemuVersion::V7,
        ("linux-image-6.12-cloud-amd64", "bookworm-backports"),
    );
    let echo = common::static_programs().join("examples/unix-echo");
    spec.files = vec![
        GuestFile { guest: "/srv/deep/note".into(), host: note.clone(), mode: Some(0o640) },
        GuestFile { guest: "/usr/bin/unix-echo".into(), host: echo, mode: None },
    ];
    let rig = start(&state, &spec, || KeptBy::Thread);

    // The machine is what was asked for.
    assert_eq!(rig.run(["uname", "-r"]).unwrap().text(), spec.kernel.release);
    assert_eq!(rig.run(["nproc"]).unwrap().text(), "4");
    assert_eq!(rig.sh("cat /sys/devices/system/node/node*/cpulist").unwrap().text(), "0-1\n2-3");
    assert_eq!(
        rig.sh("sort -u /sys/devices/system/cpu/cpu*/topology/physical_package_id").unwrap().text(),
        "0\n1"
    );
    assert_eq!(
        rig.sh("stat -c %a /srv/deep/note; cat /srv/deep/note").unwrap().text(),
        "640\nfrom outside"
    );
    assert_eq!(rig.sh("cat /sys/module/msr/parameters/allow_writes").unwrap().text(), "on");
    assert_eq!(
        rig.qmp()
            .unwrap()
            .run("query-cpus-fast", serde_json::json!({}))
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let version = rig.qmp().unwrap().run("query-version", serde_json::json!({})).unwrap();
    assert_eq!(version["qemu"]["major"], 7, "{version}");

    // A second one of that name is refused, and the first does not notice.
    let second = Rig::start_in(&state, &spec, KeptBy::Thread, |_| {});
    assert!(matches!(second, Err(RigError::State(StateError::Running(_)))), "{second:?}");
    assert_eq!(state.list().unwrap().len(), 1);
    let attached = Rig::attach_in(&state, &spec.name).unwrap();
    assert_eq!(attached.run(["hostname"]).unwrap().text(), "session");

    programs(&rig);
    files(&rig, folder.path());
    sockets(&rig);
    devices(&rig);

    let console = rig.dir().console();
    rig.stop().unwrap();
    assert_eq!(state.list().unwrap(), []);
    assert!(!console.exists());
    assert!(processes_with(folder.path().to_str().unwrap()).is_empty());
    assert!(matches!(attached.run(["true"]), Err(ClientError::Gone(_))));
}

fn programs(rig: &Rig) {
    let output = rig.sh("echo out; echo err >&2; exit 3").unwrap();
    assert_eq!(output.status, Status::Exited(3));
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(rig.sh("kill -9 $$").unwrap().status, Status::Signalled(9));
    assert!(matches!(rig.run(["no-such-program"]), Err(ClientError::Refused(_))));
    assert!(matches!(rig.run(Vec::<String>::new()), Err(ClientError::Refused(_))));

    // Input, environment, folder.
    let exec = Exec {
        argv: vec!["sh".into(), "-c".into(), "pwd; echo $A; cat | wc -c".into()],
        env: vec![("A".into(), "b c".into())],
        cwd: Some("/srv".into()),
        tty: None,
    };
    let mut running = rig.spawn(exec).unwrap();
    running.input(&vec![b'x'; 300_000]).unwrap();
    running.end_input().unwrap();
    assert_eq!(running.output().unwrap().text(), "/srv\nb c\n300000");

    // A program that takes no input keeps nobody waiting who sends it some.
    let running = rig.spawn(Exec { argv: vec!["true".into()], ..Exec::default() }).unwrap();
    let mut sender = running.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.input(&vec![b'x'; 16 << 20]));
    assert_eq!(running.output().unwrap().status, Status::Exited(0));
    assert!(sending.join().unwrap().is_err());

    // A terminal, its size, and a signal.
    let size = TerminalSize { rows: 40, columns: 100 };
    let argv = ["sh", "-c", "stty size; sleep 100"].map(str::to_owned).to_vec();
    let mut running = rig.spawn(Exec { argv, tty: Some(size), ..Exec::default() }).unwrap();
    wait_for_output(&mut running, "40 100\r\n");
    running.signal(2).unwrap();
    assert_eq!(running.output().unwrap().status, Status::Signalled(2));

    // A daemon neither holds the stream open nor ends with it; what a lost client ran does end.
    assert!(rig.sh("setsid sleep 1001 & echo started").unwrap().status.success());
    let argv =
        ["sh", "-c", "trap '' HUP; echo go; sleep 1002 & sleep 1003"].map(str::to_owned).to_vec();
    let mut lost = rig.spawn(Exec { argv, ..Exec::default() }).unwrap();
    wait_for_output(&mut lost, "go\n");
    wait_for("three programs", || sleeping(rig) == 3);
    drop(lost);
    wait_for("the end of a lost client's programs", || sleeping(rig) == 1);
    assert!(rig.sh("killall sleep").unwrap().status.success());
    // Nobody is left unreaped.
    wait_for("the last reaping", || {
        rig.sh("cat /proc/[0-9]*/stat | grep -c ') Z '").unwrap().text() == "0"
    });

    // Many at once, and one too many.
    let sleep = || Exec { argv: vec!["sleep".into(), "1000".into()], ..Exec::default() };
    let mut many: Vec<_> = (0..64).map(|_| rig.spawn(sleep()).unwrap()).collect();
    wait_for("64 programs", || match rig.run(["true"]) {
        Ok(_) => false,
        Err(ClientError::Refused(reason)) => reason.contains("64"),
        Err(error) => panic!("{error}"),
    });
    many.pop();
    wait_for("a free place", || rig.run(["true"]).is_ok());
    drop(many);
    wait_for("the end of all", || sleeping(rig) == 0);
}

fn sleeping(rig: &Rig) -> usize {
    rig.sh("pidof sleep").map_or(usize::MAX, |output| output.text().split_whitespace().count())
}

fn files(rig: &Rig, folder: &Path) {
    let (local, back) = (folder.join("local"), folder.join("back"));
    let contents: Vec<u8> = (0..100_u32 << 18).flat_map(u32::to_le_bytes).collect();
    fs::write(&local, &contents).unwrap();
    fs::set_permissions(&local, fs::Permissions::from_mode(0o751)).unwrap();
    let started = Instant::now();
    rig.put(&local, Path::new("/tmp/a/b/c")).unwrap();
    let put = started.elapsed();
    assert_eq!(rig.sh("stat -c %a,%s /tmp/a/b/c; ls /tmp/a/b").unwrap().text(), "751,104857600\nc");
    let started = Instant::now();
    rig.get(Path::new("/tmp/a/b/c"), &back).unwrap();
    let get = started.elapsed();
    assert!(fs::read(&back).unwrap() == contents);
    assert_eq!(fs::metadata(&back).unwrap().permissions().mode() & 0o7777, 0o751);
    let rate = |time: Duration| 100.0 / time.as_secs_f32();
    eprintln!("100 MiB: in {:.0} MiB/s, out {:.0} MiB/s", rate(put), rate(get));

    assert!(matches!(rig.get(Path::new("/tmp"), &back), Err(ClientError::Refused(_))));
    assert!(matches!(rig.get(Path::new("/none"), &back), Err(ClientError::Refused(_))));
    // More than fits: refused in the rig's words, and nothing of it stays.
    let big = fs::File::create(folder.join("big")).unwrap();
    big.set_len(2 << 30).unwrap();
    let full = rig.put(&folder.join("big"), Path::new("/tmp/a/big"));
    assert!(matches!(&full, Err(ClientError::Refused(why)) if why.contains("space")), "{full:?}");
    assert_eq!(rig.sh("rm /tmp/a/b/c; ls /tmp/a").unwrap().text(), "b");
}

fn sockets(rig: &Rig) {
    assert!(matches!(rig.connect("/run/echo"), Err(ClientError::Refused(_))));
    let echo = Exec { argv: vec!["unix-echo".into()], ..Exec::default() };
    let _running = rig.spawn(echo).unwrap();
    wait_for("the server", || rig.sh("test -S /run/echo").unwrap().status.success());
    let mut first = rig.connect("/run/echo").unwrap();
    let mut second = rig.connect("/run/echo").unwrap();
    second.write_all(b"two").unwrap();
    let mut writer = first.try_clone().unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let writing = std::thread::spawn({
        let sent = sent.clone();
        move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        }
    });
    // The end of what we send is no end of what comes back.
    let mut received = Vec::new();
    first.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent);
    let mut answer = [0; 3];
    second.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"two");

    let started = Instant::now();
    for _ in 0..100 {
        second.write_all(b"x").unwrap();
        second.read_exact(&mut answer[..1]).unwrap();
    }
    eprintln!("round trip: {:.2} ms", started.elapsed().as_secs_f32() * 10.0);
}

fn devices(rig: &Rig) {
    rig.trace(true).unwrap();
    rig.sh("echo '<1>traced' | taskset -c 1 tee /dev/kmsg").unwrap();
    rig.trace(false).unwrap();
    let accesses = rig.accesses().unwrap();
    let sent: Vec<u8> = accesses
        .iter()
        .filter(|access| {
            access.cpu.is_some()
                && access.direction == Direction::Write
                && access.space == Space::Port
                && access.address == 0x3f8
        })
        .map(|access| access.value as u8)
        .collect();
    assert!(String::from_utf8_lossy(&sent).contains("traced"), "{accesses:?}");
    assert!(rig.console_log().unwrap().contains("traced"));
}

#[test]
fn a_rig_on_qemu_10_outlives_its_starter_but_not_its_keeper() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::at(&folder.path().join("rigs")).unwrap();
    let mut spec =
        common::spec("kept", QemuVersion::V10, ("linux-image-6.1-cloud-amd64", "bookworm"));
    // Interrupt remapping is what Linux wants before it uses x2APIC.
    spec.qemu_args = ["-device", "intel-iommu,intremap=on,eim=on"].map(str::to_owned).to_vec();
    let rig = start(&state, &spec, keeper_process);
    let version = rig.qmp().unwrap().run("query-version", serde_json::json!({})).unwrap();
    assert_eq!(version["qemu"]["major"], 10, "{version}");
    assert!(rig.sh("dmesg").unwrap().text().contains("x2apic enabled"));

    // The handle goes, the rig stays.
    drop(rig);
    let rig = Rig::attach_in(&state, &spec.name).unwrap();
    assert_eq!(rig.run(["uname", "-r"]).unwrap().text(), spec.kernel.release);
    let keeper: i32 = fs::read_to_string(rig.dir().pid()).unwrap().parse().unwrap();
    let here = folder.path().to_str().unwrap();
    assert_eq!(processes_with(here).len(), 2, "the keeper and QEMU");
    let mut running =
        rig.spawn(Exec { argv: vec!["sleep".into(), "1000".into()], ..Exec::default() }).unwrap();

    kill(Pid::from_raw(keeper), Signal::SIGKILL).unwrap();
    wait_for("the end of QEMU", || processes_with(here).is_empty());
    assert!(matches!(running.message(), Err(ClientError::Gone(_))));
    assert!(rig.dir().path().exists());
    assert_eq!(state.list().unwrap(), []);
    assert!(!rig.dir().path().exists());
    let lost = Rig::attach_in(&state, &spec.name);
    assert!(matches!(lost, Err(RigError::State(StateError::NotRunning(_)))));

    // The same name again; this time it is stopped as it should be.
    let rig = start(&state, &spec, keeper_process);
    Rig::attach_in(&state, &spec.name).unwrap().stop().unwrap();
    assert!(!rig.dir().path().exists());
    assert!(processes_with(here).is_empty());
}

#[test]
fn a_machine_that_does_not_come_up_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::at(&folder.path().join("rigs")).unwrap();
    let good = common::spec(
        "broken",
        QemuVersion::V7,
        ("linux-image-6.12-cloud-amd64", "bookworm-backports"),
    );
    let failure = |spec: &RigSpec, kept_by: fn() -> KeptBy| {
        for _ in 0..3 {
            match Rig::start_in(&state, spec, kept_by(), |_| {}) {
                Err(RigError::NotUp { failure, .. }) => {
                    match is_stale_breakpoint(&failure.console.join("\n")) {
                        Some(evidence) => eprintln!("{evidence}; once more"),
                        None => return failure,
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("a stale breakpoint in each of three attempts");
    };

    let mut spec = good.clone();
    spec.command_line.push_str(" rdinit=/none root=/dev/none");
    let panicked = failure(&spec, || KeptBy::Thread);
    assert!(panicked.reason.contains("panicked"), "{panicked:?}");
    assert!(
        panicked.console.iter().any(|line| line.contains("Unable to mount root fs")),
        "{panicked:?}"
    );

    let mut spec = good.clone();
    spec.qemu_args = vec!["-device".into(), "no-such-device".into()];
    let refused = failure(&spec, keeper_process);
    assert!(refused.reason.contains("no-such-device"), "{refused:?}");

    let mut spec = good.clone();
    spec.modules = vec!["no-such-module".into()];
    let missing = failure(&spec, || KeptBy::Thread);
    assert!(missing.reason.contains("no module `no_such_module`"), "{missing:?}");

    let mut spec = good.clone();
    spec.boot_timeout = Duration::from_millis(800);
    let late = failure(&spec, || KeptBy::Thread);
    assert!(late.reason.contains("was not up within"), "{late:?}");

    let mut spec = good;
    spec.topology.nodes = 3;
    assert!(matches!(
        Rig::start_in(&state, &spec, KeptBy::Thread, |_| {}),
        Err(RigError::Topology(_))
    ));
    assert_eq!(state.list().unwrap(), []);
    assert!(!folder.path().join("rigs/broken").exists());
    assert!(processes_with(folder.path().to_str().unwrap()).is_empty());
}
