//! The file systems that every Linux program expects.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;

use super::check;

struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: libc::c_ulong,
    options: &'static str,
}

const QUIET: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

const MOUNTS: [Mount; 8] = [
    Mount { kind: "proc", target: "/proc", flags: QUIET, options: "" },
    Mount { kind: "sysfs", target: "/sys", flags: QUIET, options: "" },
    Mount { kind: "devtmpfs", target: "/dev", flags: libc::MS_NOSUID, options: "mode=0755" },
    Mount {
        kind: "devpts",
        target: "/dev/pts",
        flags: libc::MS_NOSUID | libc::MS_NOEXEC,
        options: "mode=0620,gid=5,ptmxmode=0666",
    },
    Mount {
        kind: "tmpfs",
        target: "/dev/shm",
        flags: libc::MS_NOSUID | libc::MS_NODEV,
        options: "mode=1777",
    },
    Mount {
        kind: "tmpfs",
        target: "/run",
        flags: libc::MS_NOSUID | libc::MS_NODEV,
        options: "mode=0755",
    },
    Mount {
        kind: "tmpfs",
        target: "/tmp",
        flags: libc::MS_NOSUID | libc::MS_NODEV,
        options: "mode=1777",
    },
    Mount { kind: "cgroup2", target: "/sys/fs/cgroup", flags: QUIET, options: "" },
];

fn mount(kind: &str, target: &str, flags: libc::c_ulong, options: &str) -> io::Result<()> {
    let kind = CString::new(kind)?;
    let target = CString::new(target)?;
    let options = CString::new(options)?;
    // SAFETY: C strings that live through the call.
    check(unsafe {
        libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    })?;
    Ok(())
}

/// Mounts all of them. What is mounted already stays; each one that cannot be mounted is told.
pub fn mount_all() -> Vec<String> {
    let mut failures = Vec::new();
    for Mount { kind, target, flags, options } in MOUNTS {
        // Below /proc and /sys directories exist or cannot be made, and mounting says which.
        let _ = fs::create_dir_all(target);
        match mount(kind, target, flags, options) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => failures.push(format!("cannot mount {kind} on {target}: {error}")),
        }
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        // Where the link exists it is the one wanted.
        let _ = std::os::unix::fs::symlink(target, link);
    }
    failures
}

/// Mounts debugfs, where the scheduler's settings are since 5.13, unless it is mounted or this kernel has none.
pub fn mount_debugfs() {
    // What is not there is named for each setting that needs it.
    let _ = mount("debugfs", "/sys/kernel/debug", QUIET, "mode=0700");
}

/// Mounts the calling process's view of processes over `/proc`.
///
/// # Errors
///
/// What mount(2) says.
pub fn mount_proc() -> io::Result<()> {
    mount("proc", "/proc", QUIET, "")
}

/// A cgroup for all programs, with room for fewer processes than the kernel has, so that a fork bomb
/// in it leaves some for guest-init and the kernel. The file takes the processes: one that writes 0
/// to it moves itself.
///
/// # Errors
///
/// What making the group says: a kernel without cgroup v2 or without its pids controller.
pub fn programs_cgroup() -> io::Result<File> {
    const GROUP: &str = "/sys/fs/cgroup/programs";
    let all: u64 =
        fs::read_to_string("/proc/sys/kernel/threads-max")?.trim().parse().unwrap_or(u64::MAX);
    let ids: u64 =
        fs::read_to_string("/proc/sys/kernel/pid_max")?.trim().parse().unwrap_or(u64::MAX);
    fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+pids")?;
    match fs::create_dir(GROUP) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::write(format!("{GROUP}/pids.max"), (all.min(ids) / 10 * 9).to_string())?;
    File::options().write(true).open(format!("{GROUP}/cgroup.procs"))
}

/// Unmounts everything that can be, last mounted first, and makes the rest read-only.
pub fn unmount_all(mounts: &str) {
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1)).rev();
    for target in targets {
        // The kernel's own file systems need no care, and /dev/kmsg is needed to the end.
        let own = ["/proc", "/sys", "/dev"].iter().any(|top| {
            target == *top || target.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
        });
        if own {
            continue;
        }
        let Ok(path) = CString::new(unescape(target)) else { continue };
        // SAFETY: a C string that lives through the call.
        let unmounted =
            target != "/" && unsafe { libc::umount2(path.as_ptr(), libc::UMOUNT_NOFOLLOW) } == 0;
        if !unmounted {
            // SAFETY: as above; a remount looks at target, flags and options only.
            unsafe {
                libc::mount(
                    std::ptr::null(),
                    path.as_ptr(),
                    std::ptr::null(),
                    libc::MS_REMOUNT | libc::MS_RDONLY,
                    std::ptr::null(),
                );
            }
        }
    }
}

/// `/proc/mounts` writes blanks as octal numbers.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}
