//! What keeps a machine from being divided, and the exact line that removes it.
//!
//! Pure: [`Facts`] are what the machine's inventory does not hold; [`sys::read`] finds them out by
//! trying.

pub mod sys;

use serde::{Deserialize, Serialize};

use crate::cluster::Risk;
use crate::inventory::{Lockdown, Machine};

/// Something that stands in the way of a back end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Its name, for programs and people: `lockdown`, `host-ipi-broadcast`.
    pub name: String,
    /// What was found, for people.
    pub found: String,
    /// The line to type or to add, or what else removes it.
    pub remedy: String,
    /// The word for `accept:` in the cluster file, where the operator may accept it.
    pub accept: Option<String>,
}

/// What was found by trying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Whether we are root.
    pub root: bool,
    /// Why memory below 1 MiB cannot be mapped through `/dev/mem`.
    pub dev_mem: Option<String>,
    /// Pages below 1 MiB that partitions could have.
    pub low_pages: usize,
    /// Why the local APIC cannot be reached through the `msr` module.
    pub msr: Option<String>,
    /// Whether CPUs run in x2APIC mode.
    pub x2apic: bool,
    /// Whether the host's own trampoline was found.
    pub host_trampoline: bool,
    /// Why the xAPIC registers cannot be reached through `/dev/mem`.
    pub xapic: Option<String>,
    /// Why `/dev/kvm` is of no use.
    pub kvm: Option<String>,
}

/// The least kernel whose log and low memory are as we know them.
const OLDEST: (u32, u32) = (5, 10);

/// The first kernel that takes a CPU online again which it has once called in vain (commit
/// 453e41085183, "cpu/hotplug: Allow the CPU in CPU_UP_PREPARE state to be brought up again").
const CALLS_AGAIN: (u32, u32) = (5, 17);

/// What keeps `bare` from working.
pub fn bare(machine: &Machine, facts: &Facts) -> Vec<Obstacle> {
    let mut found = Vec::new();
    let mut add = |name: &str, what: String, remedy: &str| {
        found.push(Obstacle {
            name: name.to_owned(),
            found: what,
            remedy: remedy.to_owned(),
            accept: None,
        });
    };
    if !facts.root {
        let what = "partitiond does not run as root: what is below 1 MiB, and how CPUs can be \
                    started, was not looked at";
        add("root", what.into(), "sudo partitiond …");
    }
    let lockdown = machine.kernel.lockdown;
    let locked_down = matches!(lockdown, Some(Lockdown::Integrity | Lockdown::Confidentiality));
    // Whoever is kept from looking has found out nothing: what was tried in vain follows from that
    // and is no obstacle of its own.
    let could_look = facts.root && !locked_down;
    if locked_down {
        add(
            "lockdown",
            "the kernel is locked down, as a rule because of Secure Boot: physical memory and \
             model-specific registers are closed"
                .into(),
            "switch Secure Boot off in the firmware, or take `lockdown=` off the kernel command line",
        );
    }
    if !could_look {
        // Said above.
    } else if let Some(why) = &facts.dev_mem {
        add(
            "dev-mem",
            format!("/dev/mem is closed: {why}"),
            "boot a kernel with CONFIG_DEVMEM=y and no lockdown",
        );
    } else if facts.low_pages < boot::bare::LowWindow::PAGES {
        add(
            "low-memory",
            format!(
                "only {} pages below 1 MiB are free of use; a partition needs {} in a row",
                facts.low_pages,
                boot::bare::LowWindow::PAGES
            ),
            "add `reservelow=640K` to the host's kernel command line",
        );
    }
    if !could_look {
        // Likewise.
    } else if let Some(why) = &facts.msr {
        add("msr", why.clone(), "modprobe msr");
    }
    if !machine.cpus.iter().any(|cpu| cpu.removable && !cpu.boot) {
        add(
            "cpu-hotplug",
            "no CPU can be taken offline".into(),
            "boot a kernel with CONFIG_HOTPLUG_CPU=y on two CPUs or more",
        );
    }
    if machine.hugepage_sizes.is_empty() {
        add(
            "hugepages",
            "the kernel has no huge pages".into(),
            "boot a kernel with CONFIG_HUGETLBFS=y",
        );
    }
    if version(&machine.kernel.release).is_some_and(|version| version < OLDEST) {
        add(
            "kernel-version",
            format!("the host's kernel is {}", machine.kernel.release),
            "boot kernel 5.10 or later",
        );
    }
    let without_host_kernel = if !facts.host_trampoline {
        Some("the host kernel's trampoline was not found".to_owned())
    } else if version(&machine.kernel.release).is_some_and(|version| version < CALLS_AGAIN) {
        let release = &machine.kernel.release;
        Some(format!(
            "the host's kernel {release} could never take a CPU back that a partition has booted on \
             (5.17 and later can)"
        ))
    } else {
        None
    };
    if could_look
        && facts.msr.is_none()
        && facts.dev_mem.is_none()
        && !facts.x2apic
        && let Some(why) = without_host_kernel
    {
        let risk = Risk::XApicRegisters.name();
        let accepted = if facts.xapic.is_none() {
            format!(
                "; or accept the risk of two writes with `accept: [{risk}]` in the cluster file"
            )
        } else {
            String::new()
        };
        found.push(Obstacle {
            name: "apic-mode".to_owned(),
            found: format!("the CPUs are in xAPIC mode, and {why}"),
            remedy: format!(
                "switch x2APIC on in the firmware, and take `nox2apic` off the kernel command \
                 line{accepted}"
            ),
            accept: facts.xapic.is_none().then(|| risk.to_owned()),
        });
    }
    // The last word of that name counts.
    let words = machine.kernel.cmdline.split_whitespace();
    let said = words.filter_map(|word| word.strip_prefix("no_ipi_broadcast=")).next_back();
    if said != Some("1") {
        found.push(Obstacle {
            name: "host-ipi-broadcast".to_owned(),
            found: "the host sends interrupts to all CPUs at once: when it panics or restarts, \
                    it stops the partitions"
                .to_owned(),
            remedy:
                "add `no_ipi_broadcast=1` to the host's kernel command line; or accept it with \
                     `accept: [HostIpiBroadcast]` in the cluster file"
                    .to_owned(),
            accept: Some("HostIpiBroadcast".to_owned()),
        });
    }
    found
}

/// What keeps CPUs from being started through the xAPIC registers, for those who accept that.
pub fn xapic(facts: &Facts) -> Option<Obstacle> {
    let why = facts.xapic.as_ref()?;
    Some(Obstacle {
        name: "xapic-registers".to_owned(),
        found: format!("the local APIC cannot be reached through /dev/mem: {why}"),
        remedy: format!(
            "add `iomem=relaxed` to the host's kernel command line; or take `{}` off `accept`, and \
             the host's kernel starts the CPUs",
            Risk::XApicRegisters.name()
        ),
        accept: None,
    })
}

/// What keeps `kvm` from working.
pub fn kvm(machine: &Machine, facts: &Facts) -> Vec<Obstacle> {
    let mut found = Vec::new();
    let mut add = |name: &str, what: String, remedy: &str| {
        found.push(Obstacle {
            name: name.to_owned(),
            found: what,
            remedy: remedy.to_owned(),
            accept: None,
        });
    };
    if !facts.root {
        let what = "partitiond does not run as root: it cannot give huge pages and CPUs away";
        add("root", what.into(), "sudo partitiond …");
    }
    if let Some(why) = &facts.kvm {
        add(
            "kvm",
            why.clone(),
            "switch virtualisation on in the firmware; in a virtual machine, nested virtualisation \
             on its host; and load `kvm_intel` or `kvm_amd`",
        );
    }
    if machine.hugepage_sizes.is_empty() {
        add(
            "hugepages",
            "the kernel has no huge pages".into(),
            "boot a kernel with CONFIG_HUGETLBFS=y",
        );
    }
    if !machine.cgroup_v2 {
        add(
            "cgroup2",
            "control groups v2 are not mounted at /sys/fs/cgroup".into(),
            "take `systemd.unified_cgroup_hierarchy=0` off the kernel command line; or mount -t \
             cgroup2 none /sys/fs/cgroup",
        );
    }
    found
}

/// Major and minor number of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let mut machine = Machine::four_sockets();
        machine.kernel.cmdline = "quiet no_ipi_broadcast=1".to_owned();
        machine.kernel.release = "6.12.117+deb12-cloud-amd64".to_owned();
        machine
    }

    fn facts() -> Facts {
        Facts {
            root: true,
            dev_mem: None,
            low_pages: 140,
            msr: None,
            x2apic: true,
            host_trampoline: true,
            xapic: None,
            kvm: None,
        }
    }

    fn names(machine: &Machine, facts: &Facts) -> Vec<String> {
        bare(machine, facts).into_iter().map(|obstacle| obstacle.name).collect()
    }

    #[test]
    fn a_machine_without_obstacles_has_none() {
        assert_eq!(names(&machine(), &facts()), [""; 0]);
    }

    #[test]
    fn every_obstacle_is_named_with_its_remedy() {
        let mut machine = machine();
        machine.kernel.lockdown = Some(Lockdown::Integrity);
        machine.kernel.cmdline = String::new();
        machine.kernel.release = "4.19.0".to_owned();
        machine.kernel.cmdline = "no_ipi_broadcast=1 no_ipi_broadcast=0".to_owned();
        assert_eq!(names(&machine, &facts()), ["lockdown", "kernel-version", "host-ipi-broadcast"]);
        let facts = Facts {
            dev_mem: Some("refused".to_owned()),
            low_pages: 0,
            msr: Some("closed".to_owned()),
            ..facts()
        };
        machine.kernel.lockdown = None;
        let expected = ["dev-mem", "msr", "kernel-version", "host-ipi-broadcast"];
        assert_eq!(names(&machine, &facts), expected);
        machine.kernel.lockdown = Some(Lockdown::Integrity);
        let both = Facts { root: false, ..facts.clone() };
        for facts in [&facts, &both] {
            assert!(bare(&machine, facts).iter().all(|obstacle| !obstacle.remedy.is_empty()));
        }
    }

    /// What could not be tried, because of an obstacle that is named, is not one more.
    #[test]
    fn consequences_of_an_obstacle_are_not_obstacles() {
        let blind = Facts {
            dev_mem: Some("Operation not permitted".to_owned()),
            low_pages: 0,
            msr: Some("Permission denied".to_owned()),
            x2apic: false,
            host_trampoline: false,
            ..facts()
        };
        let mut machine = machine();
        assert_eq!(names(&machine, &Facts { root: false, ..blind.clone() }), ["root"]);
        // Without /dev/mem nobody can look for the trampoline.
        assert_eq!(names(&machine, &Facts { msr: None, ..blind.clone() }), ["dev-mem"]);
        machine.kernel.lockdown = Some(Lockdown::Confidentiality);
        assert_eq!(names(&machine, &blind), ["lockdown"]);
        assert_eq!(names(&machine, &Facts { root: false, ..blind }), ["root", "lockdown"]);
        machine.kernel.lockdown = Some(Lockdown::None);
        assert_eq!(names(&machine, &Facts { msr: None, ..facts() }), [""; 0]);
    }

    #[test]
    fn what_keeps_kvm_from_working_is_named() {
        let names = |machine: &Machine, facts: &Facts| -> Vec<String> {
            kvm(machine, facts).into_iter().map(|obstacle| obstacle.name).collect()
        };
        let mut machine = machine();
        machine.cgroup_v2 = true;
        assert_eq!(names(&machine, &facts()), [""; 0]);
        let useless = Facts { root: false, kvm: Some("it only pretends".to_owned()), ..facts() };
        machine.cgroup_v2 = false;
        machine.hugepage_sizes.clear();
        assert_eq!(names(&machine, &useless), ["root", "kvm", "hugepages", "cgroup2"]);
        assert!(kvm(&machine, &useless).iter().all(|obstacle| !obstacle.remedy.is_empty()));
    }

    #[test]
    fn xapic_alone_is_no_obstacle_where_the_host_kernel_can_help() {
        let xapic = Facts { x2apic: false, ..facts() };
        assert_eq!(names(&machine(), &xapic), [""; 0]);
        let alone = Facts { host_trampoline: false, ..xapic.clone() };
        assert_eq!(names(&machine(), &alone), ["apic-mode"]);
        let mut old = machine();
        old.kernel.release = "5.10.0-32-cloud-amd64".to_owned();
        assert_eq!(names(&old, &xapic), ["apic-mode"]);
        assert_eq!(names(&old, &facts()), [""; 0], "x2APIC does not need the host's kernel");
        assert_eq!(bare(&machine(), &alone)[0].accept.as_deref(), Some("XApicRegisters"));
        assert_eq!(super::xapic(&alone), None);
        // What cannot be done cannot be accepted.
        let closed = Facts { xapic: Some("refused".to_owned()), ..alone.clone() };
        assert_eq!(bare(&machine(), &closed)[0].accept, None);
        assert!(super::xapic(&closed).unwrap().remedy.contains("iomem=relaxed"));
        let crowded = Facts { low_pages: 3, ..facts() };
        assert_eq!(names(&machine(), &crowded), ["low-memory"]);
    }
}
