//! Where a setting lives, and in which kernels.

use serde::Deserialize;

use super::kernel::Flavour;
use super::version::KernelRange;

/// One place of a setting, and the kernels in which it is that place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What is written to.
    pub at: At,
    /// The versions that have it; all if left out.
    #[serde(default)]
    pub kernels: KernelRange,
    /// The flavours that have it; all if empty.
    #[serde(default)]
    pub flavours: Vec<Flavour>,
    /// Kernel options that must all be built in or built as modules: `CONFIG_ZSWAP`.
    #[serde(default)]
    pub config: Vec<String>,
    /// Whether it can be read and written.
    #[serde(default)]
    pub access: Access,
}

/// An address that can be written to. Parts in braces stand for any device, CPU, node or size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub enum At {
    /// A file below `/proc/sys`.
    Sysctl(String),
    /// A file below `/proc/sys` that each network device has, besides `all` and `default`: `{device}`.
    NetSysctl(String),
    /// A file below `/proc` outside `/proc/sys`.
    Proc(String),
    /// A file below `/sys`.
    Sysfs(String),
    /// A file below `/sys/kernel/debug`.
    Debugfs(String),
    /// A file below `/sys/block/{device}`.
    Block(String),
    /// A file below `/sys/class/net/{device}`.
    Net(String),
    /// A file of a cgroup v2 directory.
    Cgroup(String),
    /// A word of the kernel's command line: `isolcpus=`, or a bare `nosmt`.
    CommandLine(String),
    /// An option of a module, `module.option`: on the command line, in modprobe.d, and, where the module
    /// allows it, in `/sys/module`.
    ModuleOption(String),
    /// What ethtool sets over netlink: `rings.rx`, `coalesce.rx-usecs`, `features.gro`.
    Ethtool(String),
    /// What rtnetlink sets for a link: `qdisc`, `mtu`.
    Link(String),
    /// A file below `/proc/irq/{irq}`.
    Irq(String),
    /// A system call, or a file below `/proc/{pid}`, for each task of a workload.
    Task(String),
    /// The latency that a process asks for by holding this device file open.
    Held(String),
}

/// Whether a place can be read and written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub enum Access {
    /// Read and written.
    #[default]
    ReadWrite,
    /// Written only; reading fails or says nothing.
    WriteOnly,
    /// There, but cannot be changed.
    ReadOnly,
    /// Writable on some machines only; the text says what decides.
    Depends(String),
}

/// Why a setting is nowhere in some kernels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// The versions this is about; all if left out.
    #[serde(default)]
    pub kernels: KernelRange,
    /// The flavours this is about; all if empty.
    #[serde(default)]
    pub flavours: Vec<Flavour>,
    /// The reason, as an operator reads it behind "not applicable:".
    pub why: String,
}

impl At {
    /// The path below `/proc/sys`, for those that are there.
    pub fn sysctl(&self) -> Option<&str> {
        match self {
            At::Sysctl(path) | At::NetSysctl(path) => Some(path),
            _ => None,
        }
    }

    /// The files that this can be, where it is a file: absolute, with `*` for any device, CPU, node,
    /// size or group. An option of a module is none.
    pub fn files(&self) -> Vec<String> {
        let below = |root: &str, path: &str| vec![starred(&format!("{root}/{path}"))];
        match self {
            At::Sysctl(path) | At::NetSysctl(path) => below("/proc/sys", path),
            At::Proc(path) => below("/proc", path),
            At::Sysfs(path) => below("/sys", path),
            At::Debugfs(path) => below("/sys/kernel/debug", path),
            At::Block(path) => below("/sys/block/*", path),
            At::Net(path) => below("/sys/class/net/*", path),
            At::Irq(path) => below("/proc/irq/*", path),
            At::Cgroup(file) => {
                [below("/sys/fs/cgroup", file), below("/sys/fs/cgroup/*", file)].concat()
            }
            At::Task(file) => below("/proc/self", file),
            At::Held(file) => below("/dev", file),
            At::CommandLine(_) | At::ModuleOption(_) | At::Ethtool(_) | At::Link(_) => Vec::new(),
        }
    }

    /// Whether this is the place of a sysctl path such as `net/ipv4/conf/all/rp_filter`.
    pub fn covers_sysctl(&self, path: &str) -> bool {
        match self {
            At::Sysctl(own) => own == path,
            At::NetSysctl(own) => own.split_once("{device}").is_some_and(|(before, behind)| {
                path.strip_prefix(before)
                    .and_then(|rest| rest.strip_suffix(behind))
                    .is_some_and(|device| !device.is_empty() && !device.contains('/'))
            }),
            _ => false,
        }
    }
}

/// A path with a star for each part in braces.
fn starred(path: &str) -> String {
    let Some((before, rest)) = path.split_once('{') else { return path.to_owned() };
    match rest.split_once('}') {
        Some((_, behind)) => format!("{before}*{}", starred(behind)),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_stars_for_what_differs() {
        let of = |at: At| at.files();
        assert_eq!(of(At::Block("queue/scheduler".into())), ["/sys/block/*/queue/scheduler"]);
        assert_eq!(
            of(At::Sysfs("kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages".into())),
            ["/sys/kernel/mm/hugepages/hugepages-*kB/nr_hugepages"]
        );
        assert_eq!(of(At::Cgroup("cpu.max".into())).len(), 2);
        assert!(of(At::CommandLine("nosmt".into())).is_empty());
    }

    #[test]
    fn a_device_is_one_part_of_a_path() {
        let at = At::NetSysctl("net/ipv4/conf/{device}/rp_filter".into());
        assert!(at.covers_sysctl("net/ipv4/conf/all/rp_filter"));
        assert!(at.covers_sysctl("net/ipv4/conf/eth0.100/rp_filter"));
        assert!(!at.covers_sysctl("net/ipv4/conf/rp_filter"));
        assert!(!at.covers_sysctl("net/ipv4/conf//rp_filter"));
        assert!(!at.covers_sysctl("net/ipv4/conf/a/b/rp_filter"));
        assert!(!At::Sysctl("vm/swappiness".into()).covers_sysctl("vm/swap"));
    }
}
