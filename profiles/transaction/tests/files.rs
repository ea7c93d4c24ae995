//! Real files: what is opened, and what never is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use common::plans::{plan, step};
use transaction::compare::Compare;
use transaction::{Directory, Files, Machine, Store, StoreError, Target, Unrecovered};

fn root() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "proc/sys/vm",
        "proc/irq",
        "sys/devices/pci0/vda/queue",
        "sys/block",
        "sys/kernel/debug",
        "sys/fs/cgroup",
    ] {
        fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    symlink("../devices/pci0/vda", folder.path().join("sys/block/vda")).unwrap();
    put(folder.path(), "proc/sys/vm/swappiness", "60\n");
    put(folder.path(), "sys/devices/pci0/vda/queue/scheduler", "[none] bfq\n");
    let files = Files::beneath(folder.path());
    (folder, files)
}

fn put(root: &Path, path: &str, value: &str) {
    fs::write(root.join(path), value).unwrap();
}

fn file(path: &str) -> Target {
    Target::file(path)
}

#[test]
fn values_are_read_and_written() {
    let (folder, mut files) = root();
    let swappiness = file("/proc/sys/vm/swappiness");
    assert_eq!(files.read(&swappiness).unwrap(), "60");
    files.write(&swappiness, "7").unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("proc/sys/vm/swappiness")).unwrap(), "7\n");
    files.write(&swappiness, "").unwrap();
    assert_eq!(files.read(&swappiness).unwrap(), "");
    assert_eq!(files.read(&file("/proc/sys/vm/none")), Err(StoreError::Absent));
    assert_eq!(files.write(&file("/proc/sys/vm/none"), "1"), Err(StoreError::Absent));
    assert!(!folder.path().join("proc/sys/vm/none").exists(), "nothing is ever made");
}

#[test]
fn large_values_are_whole() {
    let (folder, mut files) = root();
    for bytes in [16 * 1024 - 1, 16 * 1024, 64 * 1024, 64 * 1024 + 1, 300_000, 1024 * 1024] {
        let value = "1234567,".repeat(bytes / 8 + 1)[..bytes].to_owned();
        let target = file("/proc/sys/vm/swappiness");
        files.write(&target, &value).unwrap();
        assert_eq!(files.read(&target).unwrap(), value, "{bytes}");
    }
    put(folder.path(), "proc/sys/vm/swappiness", &"x".repeat(1024 * 1024 + 2));
    let refused = files.read(&file("/proc/sys/vm/swappiness")).unwrap_err();
    assert!(matches!(refused, StoreError::TooLong(_)), "{refused}");
    fs::write(folder.path().join("proc/sys/vm/swappiness"), b"\xff\xfe").unwrap();
    assert_eq!(files.read(&file("/proc/sys/vm/swappiness")), Err(StoreError::NotText));
}

#[test]
fn links_are_followed_below_sys_only() {
    let (folder, mut files) = root();
    let through_link = file("/sys/block/vda/queue/scheduler");
    assert_eq!(files.read(&through_link).unwrap(), "[none] bfq");
    assert_eq!(
        files.canonical(&through_link).unwrap(),
        file("/sys/devices/pci0/vda/queue/scheduler")
    );
    symlink("swappiness", folder.path().join("proc/sys/vm/link")).unwrap();
    assert_eq!(files.read(&file("/proc/sys/vm/link")), Err(StoreError::OutOfReach));
}

#[test]
fn nothing_leads_out() {
    let (folder, mut files) = root();
    let outside = folder.path().join("secret");
    fs::write(&outside, "secret").unwrap();
    symlink(&outside, folder.path().join("sys/block/absolute")).unwrap();
    symlink("../../secret", folder.path().join("sys/block/relative")).unwrap();
    symlink("/etc", folder.path().join("sys/block/etc")).unwrap();
    symlink("/proc/self/root", folder.path().join("sys/block/magic")).unwrap();
    for path in [
        "/sys/block/absolute",
        "/sys/block/relative",
        "/sys/block/etc/hostname",
        "/sys/block/magic/etc/hostname",
        "/secret",
        "/sys/../secret",
        "/sys/block/../../secret",
        "secret",
        "/proc/sys/vm/../../../secret",
        "/proc/kcore",
    ] {
        assert_eq!(files.read(&file(path)), Err(StoreError::OutOfReach), "{path}");
        assert_eq!(files.write(&file(path), "x"), Err(StoreError::OutOfReach), "{path}");
    }
    assert_eq!(fs::read_to_string(outside).unwrap(), "secret");
}

#[test]
fn one_file_under_two_names_is_one_target() {
    let (folder, mut files) = root();
    let storage = Directory::lock(&folder.path().join("journal")).unwrap();
    let machine = Machine { boot: "b".into(), release: None };
    let (mut engine, _) = Unrecovered::open(storage, machine).unwrap().recover(&mut files).unwrap();
    let steps = |one: &str, other: &str| {
        plan([
            step("/sys/block/vda/queue/scheduler", one, Compare::Same),
            step("/sys/devices/pci0/vda/queue/scheduler", other, Compare::Same),
        ])
    };
    let refused = engine.apply(&steps("bfq", "none"), &mut files).unwrap_err().to_string();
    assert!(refused.contains("are given different values"), "{refused}");
    assert_eq!(files.read(&file("/sys/block/vda/queue/scheduler")).unwrap(), "[none] bfq");
    engine.apply(&steps("bfq", "bfq"), &mut files).unwrap();
}

#[test]
fn only_files_are_settings() {
    let (folder, mut files) = root();
    assert!(files.read(&file("/proc/sys/vm")).is_err());
    let fifo = folder.path().join("proc/sys/vm/fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // A FIFO without a writer would hold up whoever opens it.
    let (done, waited) = mpsc::channel();
    let handle = std::thread::spawn(move || {
        let read = files.read(&file("/proc/sys/vm/fifo"));
        let write = files.write(&file("/proc/sys/vm/fifo"), "1");
        done.send((read, write)).unwrap();
    });
    let (read, write) = waited.recv_timeout(Duration::from_secs(20)).expect("it hangs");
    handle.join().unwrap();
    assert_eq!(read, Err(StoreError::NotAFile));
    assert!(write.is_err());
}

#[test]
fn other_kinds_are_out_of_reach() {
    let (_folder, mut files) = root();
    let link = Target::Link { device: "eth0".into(), attribute: "mtu".into() };
    assert!(!files.reaches(&link));
    assert_eq!(files.read(&link), Err(StoreError::OutOfReach));
    assert_eq!(files.write(&link, "1500"), Err(StoreError::OutOfReach));
}

/// The kernel that runs the test: read only.
#[test]
fn the_running_kernel_can_be_read() {
    let mut files = Files::of_kernel();
    let swappiness = files.read(&file("/proc/sys/vm/swappiness")).unwrap();
    swappiness.parse::<u32>().unwrap();
    let machine = transaction::Machine::running().unwrap();
    assert_eq!(machine.boot.len(), 36);
    let page = file("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    assert!(matches!(files.read(&page), Ok(_) | Err(StoreError::Absent)));
    assert_eq!(files.canonical(&page).unwrap_or(page.clone()), page);
}
