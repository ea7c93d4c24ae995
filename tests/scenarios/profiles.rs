//! Profiles on a machine's own kernel: in force as a whole, verified, and undone to the last byte.

#![allow(clippy::panic, reason = "a scenario ends where something does not work")]

use std::collections::BTreeMap;
use std::time::Duration;

use profiles::catalogue::{Flavour, Member, matrix};
use scenarios::{Server, Setup, scenario};
use serde_json::Value;

const STANDARD: [&str; 15] = [
    "analytics",
    "build-farm",
    "container-node",
    "desktop",
    "hpc",
    "key-value",
    "latency",
    "network-edge",
    "oltp",
    "powersave",
    "realtime",
    "server",
    "throughput",
    "trading",
    "web-front",
];

/// A disk behind each kind of driver, and a network device.
const DEVICES: &[&str] = &[
    "-blockdev",
    "driver=null-co,node-name=disk,size=1073741824,read-zeroes=on",
    "-device",
    "virtio-blk-pci,drive=disk",
    "-blockdev",
    "driver=null-co,node-name=scsi,size=1073741824,read-zeroes=on",
    "-device",
    "virtio-scsi-pci",
    "-device",
    "scsi-hd,drive=scsi",
    "-netdev",
    "user,id=net,restrict=on",
    "-device",
    "virtio-net-pci,netdev=net",
];

/// A machine with a kernel of the matrix, with disks, a network device, and modules that profiles ask for.
fn start(member: &'static Member) -> Server {
    let server = Server::start(&Setup {
        kernel: Some((&member.package, &member.suite)),
        devices: DEVICES,
        images: &[],
        modules: &["virtio_blk", "virtio_net", "virtio_scsi", "sd_mod", "bfq", "tcp_bbr", "sch_fq"],
        ..Setup::default()
    });
    server.wait_for(
        "test -e /sys/block/vda -a -e /sys/block/sda -a -e /sys/class/net/eth0",
        PATIENCE,
    );
    server.sh("mount -t debugfs none /sys/kernel/debug 2>/dev/null; true");
    server
}

/// How long devices may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that can be read of a kernel's settings, but for what changes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings(BTreeMap<String, String>);

impl Settings {
    fn of(server: &Server) -> Self {
        let text = server.sh(
            "grep -rs '' /proc/sys /sys/kernel/mm /sys/block/*/queue/ /sys/class/net/*/queues \
             /sys/module/*/parameters /sys/devices/system/cpu/*/cpufreq /proc/irq/*/smp_affinity \
             2>/dev/null | grep -v '^/proc/sys/kernel/random/' | sort",
        );
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let is_measured = |file: &str| MEASURED.iter().any(|part| file.contains(part));
        let lines = lines.filter(|(file, _)| !is_measured(file));
        let mut all = BTreeMap::new();
        for (file, value) in lines {
            let known: &mut String = all.entry(file.to_owned()).or_default();
            *known += value;
            known.push('\n');
        }
        assert!(all.len() > 500, "only {} files can be read", all.len());
        Self(all)
    }

    /// Without what differs between two looks at a machine that nobody touches.
    fn steady(server: &Server) -> (Self, Vec<String>) {
        let (first, second) = (Self::of(server), Self::of(server));
        let moving: Vec<String> = first
            .0
            .iter()
            .filter(|(file, value)| second.0.get(*file) != Some(value))
            .map(|(file, _)| file.clone())
            .chain(COUNTERS.map(str::to_owned))
            .collect();
        assert!(moving.len() < 40, "too much moves: {moving:?}");
        (second.without(&moving), moving)
    }

    fn without(mut self, files: &[String]) -> Self {
        self.0.retain(|file, _| !files.contains(file));
        self
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let told =
            |value: Option<&String>| value.map_or("nothing", |value| value.trim()).to_owned();
        let mut files: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
        files.sort();
        files.dedup();
        files
            .into_iter()
            .filter(|file| self.0.get(*file) != other.0.get(*file))
            .map(|file| format!("{file}: {} → {}", told(self.0.get(file)), told(other.0.get(file))))
            .collect()
    }
}

/// What kernels measure of themselves, by a part of the path.
const MEASURED: [&str; 3] = ["/sched_domain/", "/khugepaged/full_scans", "/module/damon_stat/"];

/// What counts events, and so changes whenever a program runs.
const COUNTERS: [&str; 8] = [
    "/proc/sys/fs/dentry-state",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/inode-nr",
    "/proc/sys/fs/inode-state",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/kernel/pty/nr",
    "/proc/sys/fs/aio-nr",
    "/proc/sys/vm/nr_hugepages_mempolicy",
];

/// Applies each standard profile, verifies it and takes it back.
fn every_standard_profile(member: &'static Member) {
    let (server, release) = (start(member), member.name());
    let (before, moving) = Settings::steady(&server);
    for profile in STANDARD {
        let apply = format!("partitiond --format json profile apply {profile} --host");
        if profile == "realtime" && member.flavour != Flavour::Rt {
            // It says so itself: hard deadlines take a kernel that was made for them.
            let refused = server.try_sh(&apply);
            assert!(refused.text().contains("KS0305"), "{}", refused.text());
            continue;
        }
        nothing_vanishes(&server, profile, &release);
        let report = server.sh(&apply);
        let report = parsed(&report);
        let written = list(&report["steps"]).filter(|step| step["outcome"] == "written").count();
        let during = Settings::of(&server).without(&moving);
        let changed = before.differences(&during);
        println!("{release} {profile}: {written} written, {} files differ", changed.len());
        assert!(written > 3 && changed.len() >= written / 2, "{profile}: {changed:#?}");
        let verified = server.sh("partitiond --format json profile verify --host");
        assert_eq!(parsed(&verified)["drifts"], serde_json::json!([]), "{profile}");
        server.sh("partitiond profile rollback --host");
        let after = Settings::of(&server).without(&moving);
        assert_eq!(before.differences(&after), [""; 0], "{profile} left something behind");
    }
}

/// Whatever a profile asks of this kernel is in its plan, or is named there with a reason.
fn nothing_vanishes(server: &Server, profile: &str, release: &str) {
    let plan = |machine: &str| {
        let line =
            format!("partitiond --format json profile plan {profile} {machine}; test $? = 2");
        parsed(&server.sh(&line))
    };
    let names = |items: &Value, key: &str| -> Vec<String> {
        let own = |item: &Value| text(&item[key]).split(" of ").take(1).collect();
        list(items).map(own).collect()
    };
    let asked = plan(&format!("--kernel {release} --cpus 4 --memory 4GiB"));
    let here = plan("--host");
    let mut told = names(&here["steps"], "setting");
    told.extend(names(&here["not_applicable"], "setting"));
    for absent in list(&here["not_applicable"]) {
        assert!(text(&absent["reason"]).len() > 10, "{absent}");
    }
    let mut vanished = names(&asked["settings"], "name");
    vanished.extend(names(&asked["not_applicable"], "name"));
    vanished.retain(|name| !told.contains(name));
    assert_eq!(vanished, [""; 0], "{profile} on {release}");
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn members() -> impl Iterator<Item = &'static Member> {
    matrix().unwrap_or_else(|error| panic!("the list of kernels: {error}")).iter()
}

#[test]
fn every_standard_profile_on_one_kernel() {
    let usual: Vec<&Member> = members().filter(|member| member.name() == "6.12-cloud").collect();
    assert_eq!(usual.len(), 1);
    scenario(|| every_standard_profile(usual[0]));
}

#[test]
#[ignore = "soak: half a minute for each kernel"]
fn every_standard_profile_on_every_kernel() {
    members().for_each(|member| scenario(|| every_standard_profile(member)));
}
