//! What can be known about a machine, and what is.
//!
//! The table of [all facts](ALL) is fixed; [`Facts`] holds those that are known of one machine. Of a
//! machine that is only described (`--kernel 6.12-rt --cpus 8 --memory 16GiB`) few are, and an
//! expression over the others cannot be evaluated: which is told, and no error.

mod read;
mod signals;

use std::collections::BTreeMap;

pub use read::{Beneath, Look, MachineError, machine};
pub use signals::{Signals, holds};

use crate::catalogue::Kernel;
use crate::expression::{Found, Type, Value};
use crate::syntax::literal::{Dimension, Version};

/// What a fact is about, and so where it may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The machine and its kernel.
    Machine,
    /// The device that a block or an entry is about.
    Device,
    /// What the kernel's types hold.
    Constant,
    /// The plan under way; only entries of the catalogue ask for it.
    Plan,
    /// How things go: it changes by itself, and only policies and guards ask for it.
    Signal,
}

/// A fact that scripts and the catalogue can speak of.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub of: Type,
    /// What it is about.
    pub about: About,
    /// What it is.
    pub doc: &'static str,
}

const SIZE: Type = Type::Quantity(Dimension::Size);
const SHARE: Type = Type::Quantity(Dimension::Share);

const fn fact(name: &'static str, of: Type, about: About, doc: &'static str) -> Fact {
    Fact { name, of, about, doc }
}

/// Every fact, by name. The last part of a signal's name may be a `*`: any one part.
pub const ALL: &[Fact] = &[
    fact(
        "block.media",
        Type::Word,
        About::Device,
        "what a block device stores on: rotational, solid, memory or virtual",
    ),
    fact("boot.isolated", Type::Cpus, About::Machine, "CPUs of the command line's `isolcpus=`"),
    fact("boot.nohz_full", Type::Cpus, About::Machine, "CPUs of the command line's `nohz_full=`"),
    fact("cpus", Type::Cpus, About::Machine, "the CPUs that are online"),
    fact("cpus.count", Type::Number, About::Machine, "how many CPUs are online"),
    fact("cpus.isolated", Type::Cpus, About::Machine, "the CPUs that ordinary tasks are kept off"),
    fact("cpus.possible", Type::Cpus, About::Machine, "the CPUs that the kernel can ever have"),
    fact(
        "housekeeping",
        Type::Cpus,
        About::Machine,
        "the CPUs that are not isolated; where none is, the first one and its siblings",
    ),
    fact("int.max", Type::Number, About::Constant, "2147483647"),
    fact("int.min", Type::Number, About::Constant, "-2147483648"),
    fact(
        "kernel.boots_partitions",
        Type::Flag,
        About::Machine,
        "whether this kernel starts partitions with kexec",
    ),
    fact("kernel.flavour", Type::Word, About::Machine, "cloud, generic or rt"),
    fact("kernel.lockdown", Type::Flag, About::Machine, "whether the kernel is locked down"),
    fact("kernel.pid_max", Type::Number, About::Machine, "the highest process number in force"),
    fact("kernel.version", Type::Version, About::Machine, "the kernel's version"),
    fact("load.avg1", Type::Decimal, About::Signal, "load average of the last minute"),
    fact("load.avg15", Type::Decimal, About::Signal, "load average of the last 15 minutes"),
    fact("load.avg5", Type::Decimal, About::Signal, "load average of the last 5 minutes"),
    fact("long.max", Type::Number, About::Constant, "9223372036854775807"),
    fact("memory.available", SIZE, About::Machine, "MemAvailable"),
    fact(
        "memory.committed",
        SIZE,
        About::Machine,
        "Committed_AS: address space that programs were promised",
    ),
    fact("memory.huge_free", SIZE, About::Machine, "bytes of huge pages that exist and are unused"),
    fact("memory.huge_page", SIZE, About::Machine, "size of the default huge page"),
    fact("memory.huge_total", SIZE, About::Machine, "bytes of huge pages that exist"),
    fact("memory.swap", SIZE, About::Machine, "SwapTotal"),
    fact("memory.total", SIZE, About::Machine, "MemTotal"),
    fact(
        "net.management",
        Type::Text,
        About::Machine,
        "the network device that the management connection comes in by",
    ),
    fact("net.mtu", Type::Number, About::Device, "the largest packet of the network device"),
    fact(
        "net.numa_node",
        Type::Number,
        About::Device,
        "the NUMA node that the network device is attached to",
    ),
    fact(
        "net.routes",
        Type::Flag,
        About::Machine,
        "whether this machine routes packets of others, partitions and containers included",
    ),
    fact("numa.nodes", Type::Number, About::Machine, "how many NUMA nodes have memory"),
    fact("partition.cpus", Type::Cpus, About::Machine, "the CPUs of this partition, or machine"),
    fact("partition.name", Type::Text, About::Machine, "the partition's name; `host` on a host"),
    fact(
        "plan.later_modules",
        Type::Unknown,
        About::Plan,
        "modules that steps behind this one in the plan need loaded",
    ),
    fact("psi.cpu.some.avg10", SHARE, About::Signal, "time in which some task waited for a CPU"),
    fact("psi.cpu.some.avg300", SHARE, About::Signal, "the same over five minutes"),
    fact("psi.cpu.some.avg60", SHARE, About::Signal, "the same over a minute"),
    fact("psi.io.full.avg10", SHARE, About::Signal, "time in which all tasks waited for devices"),
    fact("psi.io.full.avg300", SHARE, About::Signal, "the same over five minutes"),
    fact("psi.io.full.avg60", SHARE, About::Signal, "the same over a minute"),
    fact("psi.io.some.avg10", SHARE, About::Signal, "time in which some task waited for a device"),
    fact("psi.io.some.avg300", SHARE, About::Signal, "the same over five minutes"),
    fact("psi.io.some.avg60", SHARE, About::Signal, "the same over a minute"),
    fact(
        "psi.memory.full.avg10",
        SHARE,
        About::Signal,
        "time in which all tasks waited for memory",
    ),
    fact("psi.memory.full.avg300", SHARE, About::Signal, "the same over five minutes"),
    fact("psi.memory.full.avg60", SHARE, About::Signal, "the same over a minute"),
    fact(
        "psi.memory.some.avg10",
        SHARE,
        About::Signal,
        "time in which some task waited for memory",
    ),
    fact("psi.memory.some.avg300", SHARE, About::Signal, "the same over five minutes"),
    fact("psi.memory.some.avg60", SHARE, About::Signal, "the same over a minute"),
    fact(
        "tasks.maximum",
        Type::Number,
        About::Machine,
        "the most tasks that ran at once since boot, or run now",
    ),
    fact(
        "tasks.realtime_on_shared_cpus",
        Type::Flag,
        About::Machine,
        "whether tasks of real-time classes run on CPUs that are not isolated",
    ),
    fact("tasks.running", Type::Number, About::Machine, "how many tasks there are"),
    fact("time", Type::TimeOfDay, About::Signal, "the time of day, in the machine's time zone"),
    fact("uint.max", Type::Number, About::Constant, "4294967295"),
    fact("ulong.max", Type::Number, About::Constant, "18446744073709551615"),
    fact(
        "vm.committed_limit",
        SIZE,
        About::Plan,
        "CommitLimit that the values of this plan lead to",
    ),
    fact("workload.*.active", Type::Flag, About::Signal, "whether programs of that workload run"),
];

/// The fact of a name.
pub fn named(path: &[String]) -> Option<&'static Fact> {
    let name = path.join(".");
    let found = ALL.binary_search_by(|fact| fact.name.cmp(name.as_str()));
    if let Ok(at) = found {
        return ALL.get(at);
    }
    match path {
        [first, _, last] if first == "workload" && last == "active" => {
            ALL.iter().find(|fact| fact.name == "workload.*.active")
        }
        _ => None,
    }
}

/// What is known of one machine.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its kernel.
    pub kernel: Kernel,
    values: BTreeMap<String, Value>,
}

impl Facts {
    /// Those that follow from its kernel, and the constants.
    pub fn of_kernel(kernel: Kernel) -> Self {
        let version = Version {
            major: kernel.version.major.into(),
            minor: kernel.version.minor.into(),
            patch: None,
        };
        let flavour = kernel.flavour.to_string();
        let mut facts = Self { kernel, values: BTreeMap::new() };
        facts.know("kernel.version", Value::Version(version));
        facts.know("kernel.flavour", Value::Word(flavour));
        for (name, value) in [
            ("int.max", i128::from(i32::MAX)),
            ("int.min", i128::from(i32::MIN)),
            ("uint.max", i128::from(u32::MAX)),
            ("long.max", i128::from(i64::MAX)),
            ("ulong.max", i128::from(u64::MAX)),
        ] {
            facts.know(name, Value::Number(value));
        }
        facts
    }

    /// The same with this many CPUs, numbered from 0, all of which are there from the start.
    #[must_use]
    pub fn with_cpus(mut self, count: u16) -> Self {
        let cpus = Value::Cpus((0..count).collect());
        self.know("cpus", cpus.clone());
        self.know("cpus.possible", cpus.clone());
        self.know("partition.cpus", cpus);
        self.know("cpus.count", Value::Number(count.into()));
        self
    }

    /// The same with so many bytes of memory.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.know("memory.total", Value::bytes(bytes));
        self
    }

    /// Learns a fact.
    pub fn know(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// What a name leads to.
    pub fn find(&self, path: &[String]) -> Found {
        match (self.values.get(&path.join(".")), named(path)) {
            (None, None) if matches!(path, [ask, _] if ask == "exists" || ask == "active") => {
                Found::NotKnownHere
            }
            (Some(value), _) => Found::Value(value.clone()),
            (None, Some(_)) => Found::NotKnownHere,
            (None, None) => Found::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Flavour;

    fn path(name: &str) -> Vec<String> {
        name.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(ALL.is_sorted_by(|one, next| one.name < next.name));
    }

    #[test]
    fn what_is_described_is_known_and_nothing_else() {
        let kernel = Kernel::new(crate::catalogue::Version::new(6, 12), Flavour::Rt);
        let facts = Facts::of_kernel(kernel).with_cpus(2).with_memory(1 << 30);
        assert_eq!(facts.find(&path("memory.total")), Found::Value(Value::bytes(1 << 30)));
        assert_eq!(facts.find(&path("kernel.flavour")), Found::Value(Value::word("rt")));
        assert_eq!(facts.find(&path("cpus.count")), Found::Value(Value::Number(2)));
        assert_eq!(facts.find(&path("tasks.running")), Found::NotKnownHere);
        assert_eq!(facts.find(&path("workload.db.active")), Found::NotKnownHere);
        assert_eq!(facts.find(&path("workload.db.idle")), Found::Nothing);
        assert_eq!(facts.find(&path("memory.totall")), Found::Nothing);
    }

    #[test]
    fn what_is_known_is_of_the_type_that_the_table_says() {
        let kernel = Kernel::new(crate::catalogue::Version::new(6, 12), Flavour::Rt);
        let facts = Facts::of_kernel(kernel).with_cpus(2).with_memory(1 << 30);
        for (name, value) in &facts.values {
            let fact = named(&path(name)).unwrap_or_else(|| panic!("{name} is in the table"));
            assert!(value.type_of().fits(&fact.of), "{name}");
        }
    }
}
