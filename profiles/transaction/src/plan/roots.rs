//! Where files may be that a plan names.

/// A kind of file system that settings live in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// procfs.
    Proc,
    /// sysfs.
    Sysfs,
    /// debugfs.
    Debugfs,
    /// cgroup v2.
    Cgroup2,
}

/// A directory below which a plan may name files.
#[derive(Debug, PartialEq, Eq)]
pub struct Root {
    /// Its path.
    pub path: &'static str,
    /// What is mounted there.
    pub filesystem: Filesystem,
    /// Whether there are links within: `/sys/block/vda` is one to its place below `/sys/devices`.
    pub links: bool,
}

/// How many there are.
pub(crate) const COUNT: usize = 6;

/// All of them; where one lies within another, it stands before it.
pub static ROOTS: [Root; COUNT] = [
    Root { path: "/proc/sys", filesystem: Filesystem::Proc, links: false },
    Root { path: "/proc/irq", filesystem: Filesystem::Proc, links: false },
    Root { path: "/proc", filesystem: Filesystem::Proc, links: false },
    Root { path: "/sys/kernel/debug", filesystem: Filesystem::Debugfs, links: false },
    Root { path: "/sys/fs/cgroup", filesystem: Filesystem::Cgroup2, links: false },
    Root { path: "/sys", filesystem: Filesystem::Sysfs, links: true },
];

/// What a plan may name of a process.
const OF_A_PROCESS: [&str; 4] = ["autogroup", "coredump_filter", "oom_score_adj", "timerslack_ns"];

/// The root that a path lies in, and the path from there. Of `/proc` itself, only a few files of
/// processes.
pub fn root_of(path: &str) -> Option<(&'static Root, &str)> {
    let (root, rest) = ROOTS.iter().find_map(|root| {
        let rest = path.strip_prefix(root.path)?.strip_prefix('/')?;
        (!rest.is_empty()).then_some((root, rest))
    })?;
    if root.path != "/proc" {
        return Some((root, rest));
    }
    let (process, file) = rest.split_once('/')?;
    let is_number = process.bytes().all(|byte| byte.is_ascii_digit())
        && !process.starts_with('0')
        && (1..=10).contains(&process.len());
    (is_number && OF_A_PROCESS.contains(&file)).then_some((root, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_roots_win() {
        let of = |path| root_of(path).map(|(root, rest)| (root.path, rest));
        assert_eq!(of("/proc/sys/vm/swappiness"), Some(("/proc/sys", "vm/swappiness")));
        assert_eq!(of("/proc/irq/5/smp_affinity"), Some(("/proc/irq", "5/smp_affinity")));
        assert_eq!(
            of("/sys/kernel/debug/sched/preempt"),
            Some(("/sys/kernel/debug", "sched/preempt"))
        );
        assert_eq!(of("/sys/fs/cgroup/a/cpu.max"), Some(("/sys/fs/cgroup", "a/cpu.max")));
        assert_eq!(of("/sys/kernel/mm/ksm/run"), Some(("/sys", "kernel/mm/ksm/run")));
        assert_eq!(of("/proc/12/oom_score_adj"), Some(("/proc", "12/oom_score_adj")));
    }

    #[test]
    fn everything_else_is_outside() {
        for path in [
            "/proc/sysrq-trigger",
            "/proc/sys",
            "/proc/sys/",
            "/proc/sysx/vm",
            "/proc/self/oom_score_adj",
            "/proc/12/mem",
            "/proc/12/task/12/oom_score_adj",
            "/proc/012/oom_score_adj",
            "/proc//oom_score_adj",
            "/etc/passwd",
            "/sysx/a",
            "/dev/sda",
            "sys/a",
        ] {
            assert_eq!(root_of(path), None, "{path}");
        }
    }
}
