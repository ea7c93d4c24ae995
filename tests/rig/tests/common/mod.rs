//! What every test of the rig needs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use boot::units::Bytes;
use images::progress::Progress;
use rig::qemu::{self, QemuVersion};
use rig::{RigName, RigSpec, Topology, provide};

/// Says on standard error what takes time.
struct Told;

impl Progress for Told {
    fn step(&self, name: &str) {
        eprintln!("{name}");
    }

    fn advance(&self, _: u64, _: u64) {}

    fn note(&self, text: &str) {
        eprintln!("{text}");
    }
}

/// The folder with `rig-agent` and `unix-echo`, which must be static; a test's own build is not.
pub fn static_programs() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agent");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "rig", "--bin", "rig-agent", "--example", "unix-echo"])
        .args(["--profile", "guest"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .unwrap();
    assert!(status.success(), "the agent does not build");
    target.join("x86_64-unknown-linux-gnu/guest")
}

/// A machine with 4 CPUs in 2 nodes.
pub fn spec(name: &str, qemu: QemuVersion, kernel: (&str, &str)) -> RigSpec {
    let cache = provide::cache_dir().unwrap();
    let (package, suite) = kernel;
    RigSpec {
        name: name.parse::<RigName>().unwrap(),
        topology: Topology { cpus: 4, sockets: 2, threads: 1, nodes: 2 },
        memory: Bytes::gib(1),
        kernel: provide::kernel(package, suite, &cache, &Told).unwrap(),
        command_line: RigSpec::COMMAND_LINE.to_owned(),
        modules: vec!["msr allow_writes=on".to_owned()],
        files: Vec::new(),
        archives: Vec::new(),
        qemu: qemu::provide(&qemu, &cache, &Told).unwrap(),
        cpu_model: "max".to_owned(),
        qemu_args: Vec::new(),
        agent: static_programs().join("rig-agent"),
        busybox: provide::busybox(&cache, &Told).unwrap(),
        boot_timeout: Duration::from_secs(120),
    }
}
