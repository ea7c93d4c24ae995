//! Reads the machine from procfs and sysfs.

mod files;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boot::units::{ApicId, Bytes, CpuId, CpuSet, NodeId, PhysAddr};

use boot::iomem;
use boot::memory::Segment;

use self::files::Files;
use super::pools::{self, Clues, Dax};
use super::{
    Apic, ApicMode, Cpu, HugePages, Kernel, Lockdown, Machine, Node, PciDevice, Place, Pool, srat,
};

/// Why the machine could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// a file that has to be there
    #[error("cannot read {path}: {cause}. Are /proc and /sys mounted?")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// a file that does not say what it should
    #[error("{path} says `{text}`, which is not {expected}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it says, shortened.
        text: String,
        /// What it should say.
        expected: &'static str,
    },
}

/// Reads the machine whose `/proc` and `/sys` lie under `root`: `/` for the running one.
///
/// # Errors
/// [`ReadError`] where `/proc/cpuinfo`, `/proc/meminfo` or the lists of CPUs cannot be read; what
/// else is missing becomes a note.
pub fn read(root: &Path) -> Result<Machine, ReadError> {
    let files = Files { root };
    let mut notes = Vec::new();
    let info = cpu_info(&files.required("proc/cpuinfo")?);
    let nodes = nodes(&files, &mut notes)?;
    let cpus = cpus(&files, &info, &nodes, &mut notes)?;
    let flag = |name: &str| info.flags.iter().any(|flag| flag == name);
    let beyond_xapic = info.apic_ids.values().any(|id| id.0 > 254);
    let x2apic_capable = flag("x2apic");
    let mode = match (x2apic_capable, beyond_xapic) {
        (false, _) => Some(ApicMode::XApic),
        (true, true) => Some(ApicMode::X2Apic),
        (true, false) => None,
    };
    let kernel = kernel(&files);
    Ok(Machine {
        pools: pools(&files, &kernel.cmdline, &nodes, &mut notes),
        memory: mem_total(&files.required("proc/meminfo")?).unwrap_or_default(),
        hugepage_sizes: hugepages(&files, "sys/kernel/mm/hugepages")
            .into_iter()
            .map(|pages| pages.size)
            .collect(),
        nodes: nodes.into_iter().map(|(node, _)| node).collect(),
        cpus,
        kernel,
        apic: Apic { x2apic_capable, mode },
        tsc_constant: flag("constant_tsc"),
        tsc_nonstop: flag("nonstop_tsc"),
        hypervisor: flag("hypervisor"),
        cgroup_v2: files.exists("sys/fs/cgroup/cgroup.controllers"),
        pci: pci(&files),
        notes,
    })
}

#[derive(Default)]
struct CpuInfo {
    apic_ids: BTreeMap<CpuId, ApicId>,
    flags: Vec<String>,
}

/// `/proc/cpuinfo`: the only file that tells APIC ids.
fn cpu_info(text: &str) -> CpuInfo {
    let mut info = CpuInfo::default();
    let mut cpu = None;
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim() {
            "processor" => cpu = value.parse().ok().map(CpuId),
            "apicid" => {
                if let (Some(cpu), Ok(id)) = (cpu, value.parse()) {
                    info.apic_ids.insert(cpu, ApicId(id));
                }
            }
            "flags" if info.flags.is_empty() => {
                info.flags = value.split_whitespace().map(str::to_owned).collect();
            }
            _ => {}
        }
    }
    info
}

fn cpus(
    files: &Files,
    info: &CpuInfo,
    nodes: &[(Node, CpuSet)],
    notes: &mut Vec<String>,
) -> Result<Vec<Cpu>, ReadError> {
    let present = files.required_set("sys/devices/system/cpu/present")?;
    let online = files.required_set("sys/devices/system/cpu/online")?;
    let mut unknown = CpuSet::new();
    let mut cpus = Vec::new();
    for id in present.iter() {
        let directory = format!("sys/devices/system/cpu/cpu{}", id.0);
        let node = nodes.iter().find(|(_, cpus)| cpus.contains(id)).map(|(node, _)| node.id);
        let place = place(files, &directory, id, info, node);
        if place.is_none() {
            unknown.insert(id);
        }
        cpus.push(Cpu {
            id,
            online: online.contains(id),
            // On x86 Linux gives the CPU that it boots on the number 0 (`boot_cpu_init`,
            // kernel/cpu.c; `smp_prepare_boot_cpu`).
            boot: id.0 == 0,
            removable: files.exists(&format!("{directory}/online")),
            place,
        });
    }
    if !unknown.is_empty() {
        notes.push(format!("CPUs {unknown} are offline: where they sit is not to be seen now"));
    }
    Ok(cpus)
}

fn place(
    files: &Files,
    directory: &str,
    id: CpuId,
    info: &CpuInfo,
    node: Option<NodeId>,
) -> Option<Place> {
    let topology = |name: &str| format!("{directory}/topology/{name}");
    let number =
        |name: &str| files.number(&topology(name)).and_then(|number| u32::try_from(number).ok());
    let siblings = files.set(&topology("thread_siblings_list"))?;
    Some(Place {
        apic_id: *info.apic_ids.get(&id)?,
        package: number("physical_package_id").unwrap_or(0),
        core: number("core_id")?,
        llc: last_level_cache(files, directory).unwrap_or_else(|| siblings.clone()),
        siblings,
        node: node.or_else(|| linked_node(files, directory)).unwrap_or(NodeId(0)),
    })
}

/// `cpuN/nodeM`: kept for offline CPUs too, unlike a node's list of CPUs.
fn linked_node(files: &Files, directory: &str) -> Option<NodeId> {
    files
        .names(directory)
        .iter()
        .find_map(|name| name.strip_prefix("node")?.parse().ok())
        .map(NodeId)
}

/// The CPUs that share the cache of the highest level that holds data.
fn last_level_cache(files: &Files, directory: &str) -> Option<CpuSet> {
    let mut last = (0, None);
    for name in files.names(&format!("{directory}/cache")) {
        let index = format!("{directory}/cache/{name}");
        let Some(level) = files.number(&format!("{index}/level")) else { continue };
        let holds_data =
            files.text(&format!("{index}/type")).is_none_or(|kind| kind != "Instruction");
        if level > last.0 && holds_data {
            last = (level, files.set(&format!("{index}/shared_cpu_list")));
        }
    }
    last.1
}

fn nodes(files: &Files, notes: &mut Vec<String>) -> Result<Vec<(Node, CpuSet)>, ReadError> {
    let Some(online) = files.set("sys/devices/system/node/online") else {
        notes.push("this kernel has no NUMA: all CPUs and memory count as node 0".to_owned());
        let memory = mem_total(&files.required("proc/meminfo")?).unwrap_or_default();
        let hugepages = hugepages(files, "sys/kernel/mm/hugepages");
        let node = Node { id: NodeId(0), memory, distances: vec![10], hugepages };
        return Ok(vec![(node, files.required_set("sys/devices/system/cpu/present")?)]);
    };
    let mut nodes = Vec::new();
    for id in online.iter().map(|id| NodeId(id.0)) {
        let directory = format!("sys/devices/system/node/node{}", id.0);
        let distances = files.text(&format!("{directory}/distance")).unwrap_or_default();
        let mut distances: Vec<u32> =
            distances.split_whitespace().filter_map(|distance| distance.parse().ok()).collect();
        if distances.len() != online.len() {
            notes.push(format!("{id} does not tell its distances: all count as 20"));
            distances = online.iter().map(|to| if to.0 == id.0 { 10 } else { 20 }).collect();
        }
        let memory = files.required(&format!("{directory}/meminfo"))?;
        let node = Node {
            id,
            memory: mem_total(&memory).unwrap_or_default(),
            distances,
            hugepages: hugepages(files, &format!("{directory}/hugepages")),
        };
        nodes.push((node, files.set(&format!("{directory}/cpulist")).unwrap_or_default()));
    }
    Ok(nodes)
}

/// `MemTotal: 4039484 kB`, also behind `Node 0` as the nodes' own files have it.
fn mem_total(text: &str) -> Option<Bytes> {
    let line = text.lines().find(|line| line.contains("MemTotal:"))?;
    let (_, value) = line.split_once(':')?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024).map(Bytes)
}

/// `hugepages-2048kB/nr_hugepages` and so on, ascending by size.
fn hugepages(files: &Files, directory: &str) -> Vec<HugePages> {
    let mut list: Vec<HugePages> = files
        .names(directory)
        .iter()
        .filter_map(|name| {
            let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let count = |what: &str| files.number(&format!("{directory}/{name}/{what}"));
            Some(HugePages {
                size: Bytes(kib.checked_mul(1_024)?),
                total: count("nr_hugepages")?,
                free: count("free_hugepages")?,
            })
        })
        .collect();
    list.sort_by_key(|pages| pages.size);
    list
}

fn kernel(files: &Files) -> Kernel {
    let text = |name: &str| files.text(name).unwrap_or_default();
    let lockdown = files.text("sys/kernel/security/lockdown").and_then(|text| {
        // The mode in force stands in brackets: `none [integrity] confidentiality`.
        let (_, rest) = text.split_once('[')?;
        match rest.split_once(']')?.0 {
            "none" => Some(Lockdown::None),
            "integrity" => Some(Lockdown::Integrity),
            "confidentiality" => Some(Lockdown::Confidentiality),
            _ => None,
        }
    });
    Kernel {
        release: text("proc/sys/kernel/osrelease"),
        version: text("proc/version"),
        cmdline: text("proc/cmdline"),
        // Since 6.1; before that, what this program was built for.
        arch: files
            .text("proc/sys/kernel/arch")
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        lockdown,
    }
}

fn pools(
    files: &Files,
    cmdline: &str,
    nodes: &[(Node, CpuSet)],
    notes: &mut Vec<String>,
) -> Vec<Pool> {
    let map = iomem::parse(&files.text("proc/iomem").unwrap_or_default());
    // Of a machine with one node all memory is there, and as a rule there is no table then.
    let nodes = match nodes {
        [(node, _)] => {
            let all = Segment { start: PhysAddr(0), size: Bytes(u64::MAX) };
            vec![(all, node.id)]
        }
        _ => {
            srat::memory(&fs::read(files.path("sys/firmware/acpi/tables/SRAT")).unwrap_or_default())
        }
    };
    let clues = Clues { cmdline, map, firmware: firmware_memory(files), nodes, dax: dax(files) };
    let (pools, more) = pools::find(&clues);
    notes.extend(more);
    pools
}

/// What the firmware called memory, before the command line changed it.
fn firmware_memory(files: &Files) -> Option<Vec<Segment>> {
    let folder = "sys/firmware/memmap";
    let names = files.names(folder);
    let range = |name: String| {
        let number = |what: &str| files.number(&format!("{folder}/{name}/{what}"));
        let (start, last) = (number("start")?, number("end")?);
        let memory = ["System RAM", "Soft Reserved"]
            .contains(&files.text(&format!("{folder}/{name}/type"))?.as_str());
        let size = last.checked_sub(start)?.checked_add(1)?;
        memory.then_some(Segment { start: PhysAddr(start), size: Bytes(size) })
    };
    (!names.is_empty()).then(|| names.into_iter().filter_map(range).collect())
}

fn dax(files: &Files) -> Vec<Dax> {
    let device = |name: String| {
        let directory = format!("sys/bus/dax/devices/{name}");
        let number = |what: &str| files.number(&format!("{directory}/{what}"));
        let size = Bytes(number("size").filter(|size| *size > 0)?);
        Some(Dax {
            place: Segment { start: PhysAddr(number("resource")?), size },
            node: number("target_node").and_then(|node| u32::try_from(node).ok()).map(NodeId),
            driver: files.link(&format!("{directory}/driver")),
            name,
        })
    };
    files.names("sys/bus/dax/devices").into_iter().filter_map(device).collect()
}

fn pci(files: &Files) -> Vec<PciDevice> {
    let device = |address: String| {
        let directory = format!("sys/bus/pci/devices/{address}");
        let number = |name: &str| files.number(&format!("{directory}/{name}"));
        Some(PciDevice {
            vendor: u16::try_from(number("vendor")?).ok()?,
            device: u16::try_from(number("device")?).ok()?,
            class: u32::try_from(number("class")?).ok()?,
            driver: files.link(&format!("{directory}/driver")),
            // -1, where the firmware does not say.
            node: number("numa_node").and_then(|node| u32::try_from(node).ok()).map(NodeId),
            address,
        })
    };
    files.names("sys/bus/pci/devices").into_iter().filter_map(device).collect()
}
