//! What numbers a kernel takes, tried with care: first the value that is there, then a few at the ends
//! of what an integer holds, then the old one again.

use std::collections::BTreeMap;

use profiles::catalogue::{
    Catalogue, Class, Couple, Dump, Kernel, Key, Kind, Presence, Reads, Setting, Tried, Undo,
    matches,
};

use super::machine::{INSIDE, Machine};

/// What is not tried although no entry calls it dangerous: it changes what the machine does at once, or
/// moves other settings.
const SPARED: &[&str] = &[
    "fs.",
    "kernel.",
    "user.",
    "vm.admin_reserve_kbytes",
    "vm.compact",
    "vm.dirty",
    "vm.lowmem",
    "vm.max_map_count",
    "vm.min_free_kbytes",
    "vm.mmap",
    "vm.nr_",
    "vm.numa",
    "vm.oom",
    "vm.overcommit",
    "vm.panic",
    "vm.percpu",
    "vm.user_reserve_kbytes",
    "vm.watermark",
    "net.core.bpf",
    "net.ipv4.ip_forward",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
    "net.ipv6.conf.",
    "net.ipv4.conf.",
    "net.netfilter.",
];

/// Of those, what does no harm.
const HARMLESS: &[&str] = &[
    "kernel.perf_event_max_",
    "kernel.sched_autogroup_enabled",
    "kernel.sched_cfs_bandwidth_slice_us",
    "kernel.sched_schedstats",
    "kernel.sched_util_clamp_min_rt_default",
    "kernel.timer_migration",
    "kernel.numa_balancing",
    "fs.aio-max-nr",
    "fs.lease-break-time",
    "fs.leases-enable",
    "fs.inotify.",
    "fs.epoll.",
    "vm.compaction_proactiveness",
    "vm.compact_unevictable_allowed",
    "vm.dirty_expire_centisecs",
    "vm.dirty_writeback_centisecs",
    "vm.dirtytime_expire_seconds",
    "net.netfilter.nf_conntrack_tcp_",
];

/// Tries the settings of a kernel that may be tried, and notes what came of it.
pub fn ranges(machine: &Machine, dump: &mut Dump, catalogue: &Catalogue) {
    let kernel = dump.kernel.clone();
    let meant: Vec<String> = (dump.keys.iter())
        .filter(|key| may_be_tried(key, &kernel, catalogue))
        .map(Key::path)
        .collect();
    machine.write_lines("/tmp/tried", &meant);
    let said = machine.sh(&format!("sh {INSIDE}/probe.sh /tmp/tried"));
    let mut tried: BTreeMap<&str, Vec<Tried>> = BTreeMap::new();
    for line in said.lines() {
        let Some((path, results)) = line.split_once(' ') else { continue };
        for result in results.split(' ') {
            if let Some(now) = result.strip_prefix('?') {
                println!("{}: {path} does not come back: it is {now}", dump.release);
            } else {
                tried.entry(path).or_default().extend(read(result));
            }
        }
    }
    for key in &mut dump.keys {
        if let Some(tried) = tried.remove(key.path().as_str()) {
            key.tried = tried;
        }
    }
}

fn read(result: &str) -> Option<Tried> {
    if let Some(refused) = result.strip_suffix('!') {
        return Some(Tried { value: refused.parse().ok()?, reads: None });
    }
    let (value, reads) = result.split_once('=')?;
    Some(Tried { value: value.parse().ok()?, reads: Some(reads.to_owned()) })
}

fn may_be_tried(key: &Key, kernel: &Kernel, catalogue: &Catalogue) -> bool {
    let begins = |names: &[&str]| names.iter().any(|name| key.name.starts_with(name));
    let is_sysctl = !key.name.starts_with('/');
    let is_number = key.value.parse::<i64>().is_ok();
    if !is_sysctl || !is_number || !key.is_writable() || !key.is_readable() {
        return false;
    }
    if begins(SPARED) && !begins(HARMLESS) {
        return false;
    }
    let path = key.path();
    let mut entries = catalogue.settings().filter(|setting| {
        setting.places.iter().any(|place| place.at.files().iter().any(|file| matches(file, &path)))
    });
    entries.next().is_some_and(|setting| is_harmless(setting, kernel))
}

/// Whether an entry says nothing against it.
fn is_harmless(setting: &Setting, kernel: &Kernel) -> bool {
    let number = matches!(
        setting.kind,
        Kind::Flag
            | Kind::Integer
            | Kind::Size(_)
            | Kind::Time(_)
            | Kind::Percent
            | Kind::Rate(_)
            | Kind::Level(_)
            | Kind::Bits(_)
    );
    let moves = setting.couples.iter().any(|it| matches!(it, Couple::Twin(_) | Couple::Moves(_)));
    number
        && !moves
        && setting.class == Class::Runtime
        && setting.danger.is_none()
        && setting.danger_row.is_none()
        && setting.guarded.is_empty()
        && setting.undo == Undo::Write
        && !matches!(setting.reads, Reads::WriteOnly | Reads::Ignored(_))
        && matches!(kernel.find(setting), Presence::Present(_))
}
