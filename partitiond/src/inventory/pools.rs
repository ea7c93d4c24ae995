//! Memory that the host was booted without, and whether partitions can have it.
//!
//! Pure: [`find`] goes by what the kernel tells of its command line, of physical addresses
//! (`/proc/iomem`), of what the firmware called memory (`/sys/firmware/memmap`), of nodes (SRAT) and of
//! device DAX.

use boot::iomem::{self, Resource};
use boot::memory::Segment;
use boot::units::{Bytes, NodeId, PhysAddr};

use super::{Pool, PoolKind};

/// What pools are found by.
#[derive(Clone, Debug, Default)]
pub struct Clues<'a> {
    /// The kernel's command line.
    pub cmdline: &'a str,
    /// `/proc/iomem`; empty where addresses are hidden.
    pub map: Vec<Resource>,
    /// What was memory before the command line changed it; `None` where nothing tells.
    pub firmware: Option<Vec<Segment>>,
    /// The memory of each node; nothing where there is one node only.
    pub nodes: Vec<(Segment, NodeId)>,
    /// Devices of device DAX.
    pub dax: Vec<Dax>,
}

/// A device of device DAX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dax {
    /// `dax0.0`
    pub name: String,
    /// Its memory.
    pub place: Segment,
    /// The node that it would lie on as ordinary memory.
    pub node: Option<NodeId>,
    /// `device_dax`, `kmem`, or none.
    pub driver: Option<String>,
}

/// Finds the pools, in the order of addresses; and what is to be said about it.
pub fn find(clues: &Clues) -> (Vec<Pool>, Vec<String>) {
    let asked = on_command_line(clues.cmdline);
    let soft = clues.map.iter().filter(|resource| resource.name == "Soft Reserved");
    let mut pools: Vec<Pool> = soft.flat_map(|resource| soft_reserved(clues, resource)).collect();
    let mut notes = Vec::new();
    if clues.map.is_empty() && !asked.is_empty() {
        notes.push(
            "only root sees in /proc/iomem whether `memmap=` on the command line has set memory aside"
                .to_owned(),
        );
    } else {
        for range in asked {
            // What is asked for twice, or soft-reserved too, is there once.
            let known: Vec<Segment> = pools.iter().map(Pool::place).collect();
            let parts = without(range, &known);
            pools.extend(parts.into_iter().flat_map(|part| reserved(clues, part)));
        }
    }
    pools.sort_by_key(|pool| pool.start);
    (pools, notes)
}

/// What `memmap=` has set aside of one range.
fn reserved(clues: &Clues, range: Segment) -> Vec<Pool> {
    let unusable = |why: &str| {
        vec![Pool { unusable: Some(why.to_owned()), ..pool(PoolKind::Memmap, range, None) }]
    };
    if iomem::ram_in(&clues.map, range).is_some() {
        return unusable("the host runs in it (/proc/iomem calls it System RAM)");
    }
    let reserved = |resource: &&Resource| resource.depth == 0 && resource.name == "Reserved";
    let reserved: Vec<Segment> =
        clues.map.iter().filter(reserved).map(|resource| resource.place).collect();
    let inner = clues.map.iter().filter(|resource| resource.depth > 0);
    let inner: Vec<Segment> = inner.map(|resource| resource.place).collect();
    let mut parts = common(range, &reserved);
    if let Some(firmware) = &clues.firmware {
        parts = parts.into_iter().flat_map(|part| common(part, firmware)).collect();
    }
    let parts: Vec<Segment> = parts.into_iter().flat_map(|part| without(part, &inner)).collect();
    if parts.is_empty() {
        return unusable("there is no memory there, or something else has it");
    }
    parts.into_iter().flat_map(|part| on_nodes(clues, PoolKind::Memmap, part)).collect()
}

/// What can be had of a range that is soft-reserved.
fn soft_reserved(clues: &Clues, resource: &Resource) -> Vec<Pool> {
    let range = resource.place;
    let devices: Vec<&Dax> = clues.dax.iter().filter(|dax| range.contains(dax.place)).collect();
    let mut pools = Vec::new();
    for dax in &devices {
        let name = &dax.name;
        let unusable = match dax.driver.as_deref() {
            Some("device_dax") => None,
            Some("kmem") => Some(format!(
                "the host runs in it, through kmem: `daxctl reconfigure-device --mode=devdax {name}`"
            )),
            _ => Some(format!(
                "{name} holds it and has no driver: `echo {name} > /sys/bus/dax/drivers/device_dax/new_id`"
            )),
        };
        pools.push(Pool { unusable, ..pool(PoolKind::SoftReserved, dax.place, dax.node) });
    }
    let ram = clues.map.iter().filter(|resource| iomem::is_ram(resource));
    let taken: Vec<Segment> =
        devices.iter().map(|dax| dax.place).chain(ram.map(|resource| resource.place)).collect();
    let free = without(range, &taken).into_iter();
    pools.extend(free.flat_map(|part| on_nodes(clues, PoolKind::SoftReserved, part)));
    pools
}

/// A range as one pool for each node that it lies on.
fn on_nodes(clues: &Clues, kind: PoolKind, range: Segment) -> Vec<Pool> {
    let mut pools = Vec::new();
    for (place, node) in &clues.nodes {
        pools
            .extend(common(range, &[*place]).into_iter().map(|part| pool(kind, part, Some(*node))));
    }
    let known: Vec<Segment> = clues.nodes.iter().map(|(place, _)| *place).collect();
    pools.extend(without(range, &known).into_iter().map(|part| pool(kind, part, None)));
    pools
}

fn pool(kind: PoolKind, place: Segment, node: Option<NodeId>) -> Pool {
    Pool { kind, start: place.start, size: place.size, node, unusable: None }
}

/// The ranges that `memmap=<size>$<start>` names.
fn on_command_line(cmdline: &str) -> Vec<Segment> {
    let words = cmdline.split_whitespace().filter_map(|word| word.strip_prefix("memmap="));
    let range = |text: &str| {
        let (size, start) = text.split_once('$')?;
        Some(Segment { start: PhysAddr(size_of(start)?), size: Bytes(size_of(size)?) })
    };
    words.flat_map(|word| word.split(',')).filter_map(range).collect()
}

/// A size as the kernel's command line has it: `4G`, `512M`, `0x1000` (`memparse`, lib/cmdline.c).
fn size_of(text: &str) -> Option<u64> {
    let (digits, shift) = match text.char_indices().next_back()? {
        (at, 'K' | 'k') => (text.get(..at)?, 10),
        (at, 'M' | 'm') => (text.get(..at)?, 20),
        (at, 'G' | 'g') => (text.get(..at)?, 30),
        (at, 'T' | 't') => (text.get(..at)?, 40),
        _ => (text, 0),
    };
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    number.checked_mul(1 << shift)
}

fn between(start: PhysAddr, end: PhysAddr) -> Option<Segment> {
    let size = end.0.checked_sub(start.0).filter(|size| *size > 0)?;
    Some(Segment { start, size: Bytes(size) })
}

/// What of `range` lies in `others`, none of which overlap.
fn common(range: Segment, others: &[Segment]) -> Vec<Segment> {
    let part =
        |other: &Segment| between(range.start.max(other.start), range.end().min(other.end()));
    others.iter().filter_map(part).collect()
}

/// What of `range` lies in none of `others`.
pub fn without(range: Segment, others: &[Segment]) -> Vec<Segment> {
    let mut left = vec![range];
    for other in others {
        let parts = |part: Segment| {
            if !part.overlaps(*other) {
                return [Some(part), None];
            }
            [between(part.start, other.start), between(other.end(), part.end())]
        };
        left = left.into_iter().flat_map(parts).flatten().collect();
    }
    left.retain(|part| part.size.0 > 0);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "00000000-00000fff : Reserved\n\
        00001000-0009fbff : System RAM\n\
        00100000-7fffffff : System RAM\n\
        b0000000-bfffffff : Reserved\n\
        \x20 b0000000-bfffffff : PCI MMCONFIG 0000\n\
        100000000-13fffffff : System RAM\n\
        140000000-15fffffff : Reserved\n\
        160000000-17fffffff : Soft Reserved\n";

    fn range(start_mib: u64, size_mib: u64) -> Segment {
        Segment { start: PhysAddr(start_mib << 20), size: Bytes::mib(size_mib) }
    }

    fn clues(cmdline: &str) -> Clues<'_> {
        Clues {
            cmdline,
            map: iomem::parse(MAP),
            firmware: Some(vec![range(1, 2047), range(4096, 2048)]),
            ..Clues::default()
        }
    }

    /// Kind, first MiB and size in MiB of those that can be had; why of those that cannot.
    fn told(clues: &Clues) -> Vec<String> {
        let tell = |pool: Pool| {
            let node = pool.node.map_or(String::new(), |node| format!(" {node}"));
            let why = pool.unusable.map_or(String::new(), |why| format!(": {why}"));
            format!("{:?} {}+{}{node}{why}", pool.kind, pool.start.0 >> 20, pool.size.0 >> 20)
        };
        find(clues).0.into_iter().map(tell).collect()
    }

    #[test]
    fn what_the_command_line_sets_aside_is_a_pool() {
        let soft = "SoftReserved 5632+512";
        let found = told(&clues("ro memmap=512M$0x140000000 memmap=1G%2G-1+2 quiet"));
        assert_eq!(found, ["Memmap 5120+512", soft]);
        // Named twice it is there once, and what is soft-reserved is no second pool.
        let found = told(&clues("memmap=256M$5G,1G$5G"));
        assert_eq!(found, ["Memmap 5120+256", "Memmap 5376+256", soft]);
        assert_eq!(told(&clues("memmap=nonsense memmap=4G memmap=$ memmap=1Q$2G")), [soft]);
    }

    #[test]
    fn what_the_host_runs_in_is_no_pool() {
        let found = told(&clues("memmap=1G$4G"));
        assert!(found[0].starts_with("Memmap 4096+1024: the host runs in it"), "{found:?}");
        // Reserved it is, but no memory.
        let found = told(&clues("memmap=256M$0xb0000000"));
        assert!(found[0].contains("there is no memory there"), "{found:?}");
        let mut blind = clues("memmap=256M$0xb0000000");
        blind.firmware = None;
        assert!(told(&blind)[0].contains("there is no memory there"), "a device is in it");
    }

    #[test]
    fn pools_end_where_nodes_do() {
        let mut clues = clues("memmap=512M$5G");
        clues.nodes = vec![(range(0, 5376), NodeId(0)), (range(5376, 512), NodeId(1))];
        let expected = [
            "Memmap 5120+256 node 0",
            "Memmap 5376+256 node 1",
            "SoftReserved 5632+256 node 1",
            "SoftReserved 5888+256",
        ];
        assert_eq!(told(&clues), expected);
    }

    #[test]
    fn device_dax_has_soft_reserved_memory_or_the_host_does() {
        let dax = |driver: Option<&str>| {
            let mut clues = clues("");
            let driver = driver.map(str::to_owned);
            let place = range(5632, 256);
            clues.dax = vec![Dax { name: "dax0.0".into(), place, node: Some(NodeId(0)), driver }];
            told(&clues)
        };
        let rest = "SoftReserved 5888+256";
        assert_eq!(dax(Some("device_dax")), ["SoftReserved 5632+256 node 0", rest]);
        assert!(dax(Some("kmem"))[0].contains("--mode=devdax dax0.0"));
        assert!(dax(None)[0].contains("has no driver"));
        // Persistent memory is nobody's to take.
        let mut clues = clues("");
        let place = range(8192, 256);
        clues.dax = vec![Dax { name: "dax1.0".into(), place, node: None, driver: None }];
        assert_eq!(told(&clues), ["SoftReserved 5632+512"]);
    }

    #[test]
    fn who_may_not_see_is_told_so() {
        let hidden = Clues { cmdline: "memmap=512M$5G", ..Clues::default() };
        let (pools, notes) = find(&hidden);
        assert_eq!(pools, []);
        assert!(notes[0].contains("only root"), "{notes:?}");
    }

    proptest::proptest! {
        #[test]
        fn what_is_left_touches_nothing(
            start in 0_u64..100, size in 1_u64..100,
            others in proptest::collection::vec((0_u64..200, 1_u64..20), 0..8),
        ) {
            let whole = range(start, size);
            let others: Vec<_> = others.into_iter().map(|(at, size)| range(at, size)).collect();
            let left = without(whole, &others);
            for mib in 0..220 {
                let page = range(mib, 1);
                let expected = whole.contains(page) && !others.iter().any(|o| o.overlaps(page));
                let found = left.iter().filter(|part| part.contains(page)).count();
                proptest::prop_assert_eq!(found, usize::from(expected));
            }
        }

        #[test]
        fn no_command_line_panics(cmdline: String) {
            let cmdline = format!("memmap={cmdline}");
            find(&clues(&cmdline));
        }
    }
}
