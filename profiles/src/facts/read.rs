//! Facts of the machine that this runs on, from its files.
//!
//! What cannot be read is not known, and says so where it is asked for; nothing is guessed.

use std::fs;
use std::path::Path;

use super::Facts;
use crate::catalogue::{Flavour, Kernel, VersionError};
use crate::expression::{Cpus, Value};
use crate::resolution::Present;
use crate::script::DeviceKind;
use crate::syntax::literal::Dimension;

/// Why a machine cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// no release
    #[error("cannot read which kernel runs: /proc/sys/kernel/osrelease")]
    Release,
    /// a release that is none
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// Where the files of a machine are looked at: its `/proc`, `/sys` and `/boot`.
pub trait Look {
    /// What a file says; none where it cannot be read. `path` has no `/` in front.
    fn text(&self, path: &str) -> Option<String>;

    /// What lies in a directory, in any order; none where it cannot be read.
    fn names(&self, path: &str) -> Option<Vec<String>>;
}

/// The files below a directory; `/` for this machine.
#[derive(Clone, Debug)]
pub struct Beneath<'r>(pub &'r Path);

impl Look for Beneath<'_> {
    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.join(path)).ok()
    }

    fn names(&self, path: &str) -> Option<Vec<String>> {
        let entries = fs::read_dir(self.0.join(path)).ok()?;
        Some(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}

/// What is known of a machine.
///
/// # Errors
/// Only where not even the kernel's release can be read.
pub fn machine(files: &dyn Look) -> Result<(Facts, Present), MachineError> {
    let reader = Reader { files };
    let release = reader.text("proc/sys/kernel/osrelease").ok_or(MachineError::Release)?;
    let mut facts = Facts::of_kernel(reader.kernel(&release)?);
    reader.cpus(&mut facts);
    reader.memory(&mut facts);
    reader.tasks(&mut facts);
    reader.command_line(&mut facts);
    facts.know("partition.name", Value::Text("host".to_owned()));
    if let Some(text) = reader.text("sys/kernel/security/lockdown") {
        facts.know("kernel.lockdown", Value::Flag(!text.contains("[none]")));
    }
    if let Some(forward) = reader.number("proc/sys/net/ipv4/ip_forward") {
        facts.know("net.routes", Value::Flag(forward != 0));
    }
    Ok((facts, reader.present()))
}

struct Reader<'r> {
    files: &'r dyn Look,
}

impl Reader<'_> {
    fn text(&self, path: &str) -> Option<String> {
        self.files.text(path).map(|text| text.trim().to_owned())
    }

    fn number(&self, path: &str) -> Option<i128> {
        self.text(path)?.parse().ok()
    }

    /// Version and flavour by the release's name, and the options by Debian's file beside the kernel.
    fn kernel(&self, release: &str) -> Result<Kernel, VersionError> {
        let flavour = match release {
            cloud if cloud.contains("cloud") => Flavour::Cloud,
            rt if rt.contains("-rt") => Flavour::Rt,
            _ => Flavour::Generic,
        };
        let mut kernel = Kernel::new(release.parse()?, flavour);
        for line in
            self.text(&format!("boot/config-{release}")).iter().flat_map(|text| text.lines())
        {
            if let Some((option, value)) = line.split_once('=') {
                kernel.config.insert(option.to_owned(), value != "n");
            } else if let Some(option) =
                line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"))
            {
                kernel.config.insert(option.to_owned(), false);
            }
        }
        Ok(kernel)
    }

    fn cpu_list(&self, path: &str) -> Option<Cpus> {
        Cpus::of_list(&self.text(path)?)
    }

    fn cpus(&self, facts: &mut Facts) {
        let below = |name: &str| self.cpu_list(&format!("sys/devices/system/cpu/{name}"));
        let isolated = below("isolated").unwrap_or_default();
        if let Some(online) = below("online") {
            let others = online.difference(&isolated);
            let housekeeping = match isolated.is_empty() {
                false => others,
                true => {
                    let first = online.iter().next().unwrap_or_default();
                    let path =
                        format!("sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list");
                    self.cpu_list(&path).unwrap_or_else(|| Cpus::from_iter([first]))
                }
            };
            facts.know("housekeeping", Value::Cpus(housekeeping));
            facts.know("cpus.count", Value::Number(online.count() as i128));
            facts.know("partition.cpus", Value::Cpus(online.clone()));
            facts.know("cpus", Value::Cpus(online));
        }
        if let Some(possible) = below("possible") {
            facts.know("cpus.possible", Value::Cpus(possible));
        }
        facts.know("cpus.isolated", Value::Cpus(isolated));
        if let Some(nodes) = self.cpu_list("sys/devices/system/node/has_memory") {
            facts.know("numa.nodes", Value::Number(nodes.count() as i128));
        }
    }

    fn memory(&self, facts: &mut Facts) {
        let Some(text) = self.text("proc/meminfo") else { return };
        let kib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<i128>().ok()
        };
        let size = |kib: i128| Value::Quantity(kib.saturating_mul(1024), Dimension::Size);
        for (fact, name) in [
            ("memory.total", "MemTotal"),
            ("memory.available", "MemAvailable"),
            ("memory.committed", "Committed_AS"),
            ("memory.swap", "SwapTotal"),
            ("memory.huge_page", "Hugepagesize"),
        ] {
            if let Some(kib) = kib(name) {
                facts.know(fact, size(kib));
            }
        }
        if let (Some(total), Some(free), Some(page)) =
            (kib("HugePages_Total"), kib("HugePages_Free"), kib("Hugepagesize"))
        {
            facts.know("memory.huge_total", size(total.saturating_mul(page)));
            facts.know("memory.huge_free", size(free.saturating_mul(page)));
        }
        if let Some(limit) = kib("CommitLimit") {
            facts.know("vm.committed_limit", size(limit));
        }
    }

    fn tasks(&self, facts: &mut Facts) {
        // `0.00 0.01 0.05 1/123 4567`: those of all that exist.
        let tasks = self.text("proc/loadavg").and_then(|text| {
            text.split_whitespace().nth(3)?.split_once('/')?.1.parse::<i128>().ok()
        });
        if let Some(tasks) = tasks {
            facts.know("tasks.running", Value::Number(tasks));
            // The kernel keeps no highest mark of all tasks.
            facts.know("tasks.maximum", Value::Number(tasks));
        }
        if let Some(most) = self.number("proc/sys/kernel/pid_max") {
            facts.know("kernel.pid_max", Value::Number(most));
        }
    }

    fn command_line(&self, facts: &mut Facts) {
        let Some(line) = self.text("proc/cmdline") else { return };
        let cpus = |key: &str| {
            let value = line.split_whitespace().rev().find_map(|word| word.strip_prefix(key));
            // `isolcpus=domain,managed_irq,2-3`: words before the list.
            let list = value.unwrap_or_default().split(',');
            let list: Vec<&str> = list
                .filter(|part| part.starts_with(|first: char| first.is_ascii_digit()))
                .collect();
            Cpus::of_list(&list.join(","))
        };
        for (fact, key) in [("boot.isolated", "isolcpus="), ("boot.nohz_full", "nohz_full=")] {
            if let Some(cpus) = cpus(key) {
                facts.know(fact, Value::Cpus(cpus));
            }
        }
    }

    fn present(&self) -> Present {
        let mut present = Present::default();
        for (kind, path) in [
            (DeviceKind::Block, "sys/block"),
            (DeviceKind::Net, "sys/class/net"),
            (DeviceKind::Irq, "proc/irq"),
        ] {
            if let Some(mut names) = self.files.names(path) {
                if kind == DeviceKind::Irq {
                    names.retain(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
                }
                names.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
                present.devices.insert(kind, names);
            }
        }
        for device in present.devices.get(&DeviceKind::Net).into_iter().flatten() {
            if let Some(mut queues) = self.files.names(&format!("sys/class/net/{device}/queues")) {
                queues.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
                present.queues.insert(device.clone(), queues);
            }
        }
        if let Some(online) = self.cpu_list("sys/devices/system/cpu/online") {
            let names = online.iter().map(|cpu| cpu.to_string()).collect();
            present.devices.insert(DeviceKind::Cpus, names);
        }
        present
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Found;

    fn path(name: &str) -> Vec<String> {
        name.split('.').map(str::to_owned).collect()
    }

    fn told(facts: &Facts, name: &str) -> String {
        match facts.find(&path(name)) {
            Found::Value(value) => value.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_machine_is_read_from_its_files() {
        let root = std::env::temp_dir().join(format!("facts-{}", std::process::id()));
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/sys/kernel/osrelease", "6.12.117+deb12-rt-amd64\n");
        write("boot/config-6.12.117+deb12-rt-amd64", "CONFIG_NUMA=y\n# CONFIG_ZSWAP is not set\n");
        write("sys/devices/system/cpu/online", "0-3\n");
        write("sys/devices/system/cpu/isolated", "\n");
        write("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n");
        write(
            "proc/meminfo",
            "MemTotal:  1024 kB\nHugePages_Total: 3\nHugePages_Free: 1\nHugepagesize: 2048 kB\n",
        );
        write("proc/loadavg", "0.00 0.01 0.05 1/123 4567\n");
        write("proc/cmdline", "quiet isolcpus=domain,managed_irq,2-3 nohz_full=3\n");
        fs::create_dir_all(root.join("sys/block/nvme0n1")).unwrap();
        fs::create_dir_all(root.join("sys/block/vda")).unwrap();
        let (facts, present) = machine(&Beneath(&root)).unwrap();
        fs::remove_dir_all(&root).unwrap();

        assert_eq!(facts.kernel.to_string(), "6.12-rt");
        assert_eq!(facts.kernel.config.get("CONFIG_ZSWAP"), Some(&false));
        assert_eq!(facts.kernel.config.get("CONFIG_NUMA"), Some(&true));
        for (name, expected) in [
            ("cpus", "0-3"),
            ("cpus.count", "4"),
            ("housekeeping", "0-1"),
            ("memory.total", "1MiB"),
            ("memory.huge_total", "6MiB"),
            ("tasks.running", "123"),
            ("boot.isolated", "2-3"),
            ("boot.nohz_full", "3"),
            ("memory.available", "NotKnownHere"),
            ("cpus.possible", "NotKnownHere"),
        ] {
            assert_eq!(told(&facts, name), expected, "{name}");
        }
        assert_eq!(present.devices.get(&DeviceKind::Block).unwrap(), &["vda", "nvme0n1"]);
        assert_eq!(present.devices.get(&DeviceKind::Net), None);
        assert!(machine(&Beneath(Path::new("/no/such/root"))).is_err());
    }
}
