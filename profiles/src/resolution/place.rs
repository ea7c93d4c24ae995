//! Where a setting is, on one machine.

use std::fmt;

use crate::catalogue::At;

/// A place that can be written to. The names of devices may be patterns where the machine is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Where {
    /// A file, by its whole path.
    File(String),
    /// A word of the kernel's command line.
    CommandLine(String),
    /// An option of a module, `module.option`.
    ModuleOption(String),
    /// A file of a control group: the group, and the file's name.
    Cgroup(String, String),
    /// What ethtool sets: the device, and what.
    Ethtool(String, String),
    /// What rtnetlink sets: the device, and what.
    Link(String, String),
    /// What is set for each task of a workload.
    Task(String),
    /// A device file that is held open.
    Held(String),
}

impl Where {
    /// The place of an entry, for one device where it is for devices.
    pub fn of(at: &At, device: Option<&str>) -> Self {
        let device = device.unwrap_or("*");
        let below = |root: &str, path: &str| Self::File(format!("{root}/{}", named(path, device)));
        match at {
            At::Sysctl(path) | At::NetSysctl(path) => below("/proc/sys", path),
            At::Proc(path) => below("/proc", path),
            At::Sysfs(path) => below("/sys", path),
            At::Debugfs(path) => below("/sys/kernel/debug", path),
            At::Block(path) => below(&format!("/sys/block/{device}"), path),
            At::Net(path) => below(&format!("/sys/class/net/{device}"), path),
            At::Irq(path) => below(&format!("/proc/irq/{device}"), path),
            At::Cgroup(file) => Self::Cgroup(device.to_owned(), file.clone()),
            At::CommandLine(word) => Self::CommandLine(word.clone()),
            At::ModuleOption(option) => Self::ModuleOption(option.clone()),
            At::Ethtool(what) => Self::Ethtool(device.to_owned(), what.clone()),
            At::Link(what) => Self::Link(device.to_owned(), what.clone()),
            At::Task(what) => Self::Task(what.clone()),
            At::Held(file) => Self::Held(format!("/dev/{file}")),
        }
    }
}

/// The part of a path that stands for each queue of a device.
const QUEUE: &str = "{queue}";

/// The places of an entry that each queue of a network device has, with the names of those queues (`rx-0`); none
/// where it is no such entry.
pub fn of_queues(at: &At, device: &str, queues: &[String]) -> Option<Vec<(String, Where)>> {
    let At::Net(path) = at else { return None };
    let (before, behind) = path.split_once(QUEUE)?;
    let kind = before.rsplit('/').next().unwrap_or_default();
    let numbered = queues.iter().filter_map(|queue| {
        let number = queue.strip_prefix(kind)?;
        let file = format!("/sys/class/net/{device}/{before}{number}{behind}");
        Some((queue.clone(), Where::File(file)))
    });
    Some(numbered.collect())
}

/// A path whose part in braces is a device; any queue where that is a queue.
fn named(path: &str, device: &str) -> String {
    let Some((before, rest)) = path.split_once('{') else { return path.to_owned() };
    match rest.split_once('}') {
        Some(("queue", behind)) => format!("{before}*{}", named(behind, device)),
        Some((_, behind)) => format!("{before}{device}{}", named(behind, device)),
        None => path.to_owned(),
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Held(path) => f.write_str(path),
            Self::CommandLine(word) => write!(f, "kernel command line, {word}"),
            Self::ModuleOption(option) => write!(f, "module option {option}"),
            Self::Cgroup(group, file) => write!(f, "cgroup {group}, {file}"),
            Self::Ethtool(device, what) => write!(f, "{device}, ethtool {what}"),
            Self::Link(device, what) => write!(f, "{device}, link {what}"),
            Self::Task(what) => write!(f, "each task, {what}"),
        }
    }
}
